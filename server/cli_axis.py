"""The command `axis`: a Difference-in-Mean axis from two lists of texts, kept in the library.

Knows how a list of texts is read from a file; nothing is computed here.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from server.cli_runs import begin_run, given_fields
from server.protocol.axis import AxisRequest
from server.protocol.concepts import CONTRASTS
from server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]


def axis(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make an axis and keep it."""
    values = given_fields(settings, arguments, AxisRequest)
    for side in ("plus", "minus"):
        if side in values:
            values[side] = read_lines(Path(values[side]).expanduser(), f"--{side}")
    return begin_run(settings, "axis", AxisRequest(**values), arguments.json)


def read_lines(path: Path, flag: str) -> list[str]:
    """The texts of a file, one per line. Raises ValueError when it cannot be read."""
    try:
        return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise ValueError(f"no file {path}: check {flag}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: give {flag} one text per line") from error
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{path} cannot be read ({reason}): check {flag}") from error


def add_axis(add: "Add", add_text: "Callable[..., None]") -> None:
    """The command with its flags; `add_text` adds the flags of a text."""
    parser = add("axis", axis, "make an axis from two lists of texts, to browse and steer by")
    parser.add_argument("--name", metavar="NAME", required=True, help="what to call it")
    parser.add_argument("--model", metavar="NAME|DIR", help="the language model (default demo)")
    parser.add_argument(
        "--layer", metavar="N", type=int, help="residual stream after this block (the middle one)"
    )
    parser.add_argument("--plus", metavar="FILE", help="texts of the + side, one per line")
    parser.add_argument("--minus", metavar="FILE", help="texts of the − side, one per line")
    parser.add_argument(
        "--contrast", metavar="NAME", choices=CONTRASTS,
        help=f"instead of two lists: {', '.join(CONTRASTS)}",
    )  # fmt: skip
    parser.add_argument("--plus-label", metavar="TEXT", help="what to call the + pole")
    parser.add_argument("--minus-label", metavar="TEXT", help="what to call the − pole")
    add_text(parser, "what to index it on (the text of an SAE of the same model and layer)")
    parser.add_argument("--tokens", metavar="N", type=int, help="index no more than so many of it")
