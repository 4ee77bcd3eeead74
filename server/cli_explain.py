"""The command `explain`: features in the words of a language model behind an endpoint.

Knows which words a flag takes; nobody is asked here.
"""

import argparse
from typing import TYPE_CHECKING

from server.cli_runs import begin_run, given_fields, require_saes
from server.protocol.explain import ExplainRequest
from server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]


def explain(settings: Settings, arguments: argparse.Namespace) -> int:
    """Have features explained, and the explanations scored."""
    values = given_fields(settings, arguments, ExplainRequest)
    values["model"] = arguments.model  # a name at the endpoint, never a folder here
    request = ExplainRequest(**values)
    require_saes(settings, [request.sae])
    return begin_run(settings, "explain", request, arguments.json)


def add_explain(add: "Add") -> None:
    """The command with its flags."""
    parser = add("explain", explain, "have features explained by a language model, and score it")
    parser.add_argument("--sae", metavar="NAME|ID", required=True)
    parser.add_argument(
        "--features", metavar="N[,N]", type=_numbers, help="these features, by comma"
    )
    parser.add_argument(
        "--top", metavar="N", type=int, help="those of highest opposition (default 20)"
    )
    parser.add_argument(
        "--endpoint", metavar="URL", required=True, help="OpenAI-compatible, up to /v1"
    )
    parser.add_argument("--model", metavar="NAME", required=True, help="which model to ask there")
    parser.add_argument("--api-key-env", metavar="VAR", help="environment variable with the key")
    parser.add_argument(
        "--concurrency", metavar="N", type=int, help="features at a time (default 4)"
    )
    parser.add_argument(
        "--again", action="store_true", default=None, help="those it has explained already, too"
    )


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a list of numbers such as 1,2") from None
