"""The command `evaluate`: figures printed as a table, or as one JSON object.

Knows which words it takes and how figures stand in columns; nothing is computed here.
"""

import argparse
from typing import TYPE_CHECKING, Any

from server.cli_output import print_json, print_line, show_progress
from server.cli_runs import open_database, require_saes
from server.cli_text import text_source
from server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Add = Callable[..., argparse.ArgumentParser]

PLANTED = {
    "atoms": "atoms of the planted dictionary (default 128)",
    "width": "latents of the SAEs; both are trained at twice as many, too (default 128)",
    "k": "latents a sample may use (default 4)",
    "active": "atoms that make a sample (default 4)",
    "d_in": "dimensions (default 64)",
    "tokens": "samples to train on (default 300000)",
}
"""Flags named like the fields of PlantedConfig, whose defaults hold where they are not given."""


def planted(settings: Settings, arguments: argparse.Namespace) -> int:
    """Train AbsTopK and TopK on a known dictionary and count the atoms each finds."""
    from server.worker.evaluating import evaluate_planted

    changes = {name: value for name in PLANTED if (value := getattr(arguments, name)) is not None}
    seeds = arguments.seeds or (2 if arguments.quick else 5)
    steps = evaluate_planted(changes, seeds, arguments.quick)
    result = show_progress(steps, "planted", quiet=arguments.json) or {}
    if arguments.json:
        print_json(result)
    else:
        for line in planted_lines(result):
            print_line(line)
    return 0


def fidelity(settings: Settings, arguments: argparse.Namespace) -> int:
    """Measure an SAE on held-out windows."""
    require_saes(settings, [arguments.sae])
    text = arguments.text
    if text is not None:
        text = text_source(settings, text, arguments.text_column)
    from server.worker.evaluating import evaluate_fidelity

    with open_database(settings) as database:
        steps = evaluate_fidelity(settings, database, arguments.sae, text, arguments.tokens)
        result = show_progress(steps, "fidelity", quiet=arguments.json) or {}
    if arguments.json:
        print_json(result)
    else:
        print_line("".join(f"{name}: {value}\n" for name, value in result.items()).rstrip())
    return 0


def planted_lines(result: dict[str, Any]) -> list[str]:
    """The figures of `evaluate planted` as lines of one width."""
    config = result["planted"]
    lines = [
        f"{config['atoms']} atoms in {config['d_in']} dimensions, {config['active']} active in a "
        f"sample, k {config['k']}, {config['tokens']:,} samples, {result['seeds']} seeds",
        "",
        f"{'codes':<10}{'sae':<9}{'width':>6}{'atoms found':>16}{'nMSE':>8}",
    ]
    lines += [
        f"{one['codes']:<10}{one['sparsifier']:<9}{one['width']:>6}"
        f"{one['mean']:>9.1f} ± {one['sd']:<4.1f}{one['nmse']:>8.3f}"
        for one in result["found"]
    ]
    lines += ["", "AbsTopK minus TopK, paired by seed:"]
    lines += [
        f"{one['codes']:<10}width {one['abstopk_width']} against {one['topk_width']}: "
        f"{one['mean']:+.1f} ± {one['sd']:.1f}  ({one['sign']})"
        for one in result["differences"]
    ]
    return lines


def add_evaluate(add: "Add", shared: argparse.ArgumentParser) -> None:
    """The command and what it can evaluate; `shared` are the flags that every command takes."""
    parser = add("evaluate", _choose, "measure an SAE, or what SAEs find of planted data")
    kinds = parser.add_subparsers(title="what", metavar="WHAT", required=True)

    sentence = "plant a dictionary with signed codes; how much of it AbsTopK and TopK find"
    planting = kinds.add_parser("planted", help=sentence, description=sentence, parents=[shared])
    planting.set_defaults(run=planted)
    planting.add_argument("--seeds", metavar="N", type=_count, help="dictionaries (default 5)")
    for name, meaning in PLANTED.items():
        flag = f"--{name.replace('_', '-')}"
        planting.add_argument(flag, metavar="N", dest=name, type=_count, help=meaning)
    planting.add_argument("--quick", action="store_true", help="a smaller problem, in seconds")

    sentence = "normalised error, L0 and loss recovered on held-out text"
    measuring = kinds.add_parser("fidelity", help=sentence, description=sentence, parents=[shared])
    measuring.set_defaults(run=fidelity)
    measuring.add_argument("--sae", metavar="NAME|ID", required=True)
    measuring.add_argument(
        "--text", metavar="FILE|hf:NAME|-", help="measure on all of this text instead"
    )
    measuring.add_argument("--text-column", metavar="NAME", help="the column of the text (text)")
    measuring.add_argument("--tokens", metavar="N", type=_count, help="stop after so many")


def _choose(settings: Settings, arguments: argparse.Namespace) -> int:
    raise ValueError("say what to evaluate: planted or fidelity; see dipole evaluate --help")


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
