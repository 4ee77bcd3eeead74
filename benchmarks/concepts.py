"""Steering by one signed feature, by a pair and by Difference-in-Mean, concept by concept.

    python benchmarks/concepts.py --json concepts.json        (--quick: two concepts, under a minute)

What `/concept` answers for each built-in contrast: the feature is chosen on train texts and prompts
only, AUC and log-odds are of held-out ones, and the log-odds must rise at every step of that way's
own safe band. Prints a table, what fails included. Knows the demo model and its AbsTopK SAE.
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

from models.concepts.contrasts import load_contrasts
from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae
from models.steps import run_to_end
from server.protocol.concepts import ConceptRequest, ConceptResponse, EffectRow
from server.worker.concepts import find_concept
from server.worker.shelf import Shelf

LAYER = 4
QUICK = ("gender", "sentiment")


def main() -> None:
    """Ask for every concept, print as it comes, write the answers."""
    options = parse()
    torch.set_num_threads(options.threads)
    shelf = shelf_of(options.model, options.sae)
    names = QUICK if options.quick else tuple(load_contrasts())
    answers: dict[str, Any] = {}
    print("| | way | AUC | safe | log-odds at its ends | at ∓.25 | moves both ways |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        answer = run_to_end(find_concept(shelf, ConceptRequest(sae=1, contrast=name)))
        answers[name] = answer.model_dump()
        for effect in answer.effects:
            print(line(name, answer, effect), flush=True)
    ways = [effect["way"] for effect in answers[names[0]]["effects"]]
    counts = {way: sum(moves(answer, way) for answer in answers.values()) for way in ways}
    told = ", ".join(f"{way} {count}" for way, count in counts.items())
    print(f"\nMove both ways, of {len(names)}: {told}")
    if options.json:
        options.json.write_text(json.dumps({"moves_both_ways": counts, "answers": answers}))


def line(name: str, answer: ConceptResponse, effect: EffectRow) -> str:
    """One row of the table."""
    aucs = {"single": answer.single.auc, "pair": answer.pair.auc, "dim": answer.dim.auc}
    auc = aucs.get(effect.way)
    shown = "" if auc is None else f"{auc.value:.3f} [{auc.low:.2f}, {auc.high:.2f}]"
    safe = [place for place, is_safe in enumerate(effect.safe) if is_safe]
    ends, quarter = (safe[0], safe[-1]), (effect.shares.index(-0.25), effect.shares.index(0.25))

    def odds(places: tuple[int, int]) -> str:
        return " / ".join(f"{effect.log_odds[place]:+.2f}" for place in places)

    band = " to ".join(f"{effect.shares[place]:+g}" for place in ends)
    verdict = "yes" if effect.is_monotonic else "**fails**"
    feature = {
        "single": f" {answer.single.feature}",
        "steering": f" {answer.steering.feature}" if answer.steering else "",
    }.get(effect.way, "")
    cells = (name, f"{effect.way}{feature}", shown, band, odds(ends), odds(quarter), verdict)
    return f"| {' | '.join(cells)} |"


def moves(answer: dict[str, Any], way: str) -> bool:
    """Whether one way moves this concept's words both ways."""
    return any(row["way"] == way and row["is_monotonic"] for row in answer["effects"])


def shelf_of(model: str, sae: Path) -> Shelf:
    """The worker's shelf over one model and one SAE, without a database."""
    lm, dictionary = LanguageModel.load(model, name="demo"), load_sae(sae)
    record = SimpleNamespace(id=1, model_id=1, model="demo", layer=LAYER, name="demo-abstopk")
    found = SimpleNamespace(sae=lambda _key: (record, dictionary), model=lambda _key: lm)
    return cast(Shelf, found)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="models/demo/lm")
    parser.add_argument("--sae", type=Path, default=Path("models/demo/saes/abstopk"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two concepts, under a minute")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
