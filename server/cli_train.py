"""The command `train`: its flags, sweeps by comma, and going on with a run that was stopped.

Knows which words a flag takes. What goes together is for `server.train_rules` to say; nothing is
computed here and no torch is loaded to refuse.
"""

import argparse
from collections.abc import Callable
from typing import Any, get_args

from server.cli_runs import begin_run, given_fields, resume_run
from server.protocol import TrainableSparsifier, TrainRequest
from server.settings import Settings
from server.train_rules import check_given, check_training

SPARSIFIERS = get_args(TrainableSparsifier)


def train(settings: Settings, arguments: argparse.Namespace) -> int:
    """Train one SAE or several on one pass, index them and map them; or go on with a run."""
    if arguments.resume is not None:
        _refuse_others(arguments)
        return resume_run(settings, "train", arguments.resume, arguments.json)
    if arguments.text is None:
        raise ValueError("--text is required: see dipole train --help")
    request = TrainRequest(**given_fields(settings, arguments, TrainRequest))
    check_given(request)
    check_training(request)
    return begin_run(settings, "train", request, arguments.json)


def add_train_flags(parser: argparse.ArgumentParser, option: Callable[..., None]) -> None:
    """Every flag but --text; `option` adds one that is named like a field of the request."""
    option("--model", "NAME|DIR", "the language model")
    option("--layer", "N", "residual stream after this block, from 0 (the middle one)", int)
    kinds = f"the sparsifier, or several by comma: {', '.join(SPARSIFIERS)}"
    option("--sae", "KIND", kinds, one_or_more(_sparsifier))
    option("--width", "N", "number of features", int)
    option("--k", "N[,N]", "features a token may use", one_or_more(int))
    option("--tokens", "N", "tokens to train on", int)
    option("--seed", "N[,N]", "of weights; the first also of shuffling", one_or_more(int))
    option("--name", "NAME", "what to call it")
    weight = "weight of the penalty: L1, L0, or the vsae's KL (by sparsifier)"
    option("--sparsity-weight", "X[,X]", weight, one_or_more(float))
    option("--threshold", "X", "λ, or the first θ, in scaled units (by sparsifier)", float)
    nested = "Matryoshka: widths of the nested SAEs, the last one --width"
    parser.add_argument("--prefixes", metavar="N,N,...", type=_list_of(int), help=nested)
    _add_switch(parser, "--token-bias", "look each token's mean up, code the rest")
    option("--sigma", "KIND", "vsae: how σ is set", choices=("learned", "fixed"))
    _add_switch(parser, "--no-sample", "vsae: draw no noise", "sample", False)
    _add_switch(parser, "--rectify", "vsae: μ is never below 0")
    _add_switch(parser, "--by-magnitude", "vsae: the k largest |z|, sign kept")
    option("--lr", "X", "Adam's rate at its height (by batch size)", float)
    option("--batch", "N", "tokens per step (by --tokens)", int)
    option("--precision", "KIND", "how the k are found", choices=("exact", "candidates"))
    _add_switch(parser, "--keep-sinks", "train on position 0 and on outliers, too")
    option("--outlier-norm", "X", "leave out norms above X × the median", float)
    cached = ("float16", "bfloat16", "float32")
    option("--cache", "TYPE", "keep the activations on disk", choices=cached)
    option("--device", "NAME", "auto, cpu, cuda or cuda:N")
    option("--processes", "N", "data-parallel processes, each with a GPU of its own", int)
    option("--checkpoint-every", "N", "steps between checkpoints (100; on a GPU 1,000)", int)
    parser.add_argument(
        "--resume", metavar="RUN", type=int, help="go on with this run; no other flag is needed"
    )


def one_or_more(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A parser of one value, or of several as a list: `16` or `16,32`."""
    several = _list_of(kind)

    def parse(text: str) -> Any:
        values = several(text)
        return values[0] if len(values) == 1 else values

    return parse


def _list_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    def parse(text: str) -> list[Any]:
        try:
            return [kind(part) for part in text.split(",")]
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number, nor several like 16,32"
            ) from None

    return parse


def _sparsifier(text: str) -> str:
    if text not in SPARSIFIERS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(SPARSIFIERS)}")
    return text


def _add_switch(
    parser: argparse.ArgumentParser,
    flag: str,
    sentence: str,
    field: str | None = None,
    value: bool = True,
) -> None:
    """A flag without a value; unset, it leaves the field alone."""
    name = field or flag[2:].replace("-", "_")
    parser.add_argument(flag, dest=name, action="store_const", const=value, help=sentence)


def _refuse_others(arguments: argparse.Namespace) -> None:
    for name in TrainRequest.model_fields:
        if getattr(arguments, name, None) is not None:
            flag = "no-sample" if name == "sample" else name.replace("_", "-")
            raise ValueError(f"--resume takes everything from its run: leave out --{flag}")
