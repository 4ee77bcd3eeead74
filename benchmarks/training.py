"""How fast is a training step? Ours and the peers', as multiples of the encode matmul's own time.

    python benchmarks/training.py --quick                     # ours alone, within a minute
    python benchmarks/training.py --peers --json FILE         # installs the peers first (2 GB)
    python benchmarks/training.py --peers --fidelity          # instead: who reconstructs better?
    python benchmarks/training.py --device cuda               # on a GPU, a larger case with it

Every contender is a process of its own that holds the same weights and the same batch of 4,096. They
take steps in turn, one thread each, and CPU time is what counts, so that neighbours on the machine
weigh on all alike; on a GPU, the time until it is done. A step is the whole one: forward, backward,
clipping, Adam, unit norm. AuxK off, float32 throughout.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import peers
import torch
from training_fidelity import compare_fidelity

OURS = ["ours_exact", "ours_candidates"]
THEIRS = ["saelens", "saelens_sparse", "dictionary_learning", "sparsify"]
SIGNED = ["floor", "ours_exact", "ours_candidates", "saelens"]
PLAIN = "ours_torch"  # exact, by the torch path alone
ROWS = 4_096
WARM_UP = {"cpu": 1, "cuda": 3}


class Case(NamedTuple):
    """A shape of SAE and how many rounds are measured."""

    d_in: int
    d_sae: int
    k: int
    rounds: int

    @property
    def name(self) -> str:
        return f"{self.d_in}x{self.d_sae}"


class Figures(NamedTuple):
    """What one case measured, by contender."""

    ratio_to_floor: dict[str, float]
    tokens_per_second: dict[str, float]
    peak_mb: dict[str, float]


def main() -> None:
    """Measure, print as it goes, write everything at the end."""
    options = parse()
    if options.peers and not options.quick:
        peers.install()
    with_peers = peers.is_installed() and not options.quick
    names = OURS + (THEIRS if with_peers else [])
    results = (
        {"fidelity_nmse": compare_fidelity(names, options)}
        if options.fidelity
        else measure_all(names, options)
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


def measure_all(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Both cases with TopK; unless in haste AbsTopK, where there is one, and ours without numba."""
    cases = [Case(512, 16_384, 32, options.rounds), Case(64, 2_048, 16, 5 * options.rounds)]
    if options.device == "cuda":
        cases.append(Case(2_048, 65_536, 64, options.rounds))
    results: dict[str, Any] = {"ratio_to_floor": {}, "tokens_per_second": {}, "peak_mb": {}}
    started = ["floor", *names, *([] if options.quick else [PLAIN])]
    with ExitStack() as stack:
        all_of_them = {
            name: stack.enter_context(peers.Contender(name, options.threads)) for name in started
        }
        for case in cases:
            figures = measure(case, "topk", all_of_them, options.device)
            report(f"TopK {case.name}, k {case.k}", figures)
            for key, value in figures._asdict().items():
                results[key][case.name] = {name: value[name] for name in value if name != PLAIN}
            if PLAIN in figures.ratio_to_floor:
                plain = results.setdefault("without_numba_ratio_to_floor", {})
                plain[case.name] = figures.ratio_to_floor[PLAIN]
        if not options.quick:
            results["abstopk_ratio_to_floor"] = {}
            signed = {name: each for name, each in all_of_them.items() if name in SIGNED}
            for case in cases:
                figures = measure(case, "abstopk", signed, options.device)
                report(f"AbsTopK {case.name}, k {case.k}", figures)
                results["abstopk_ratio_to_floor"][case.name] = figures.ratio_to_floor
    return results


def measure(
    case: Case, sparsifier: str, contenders: dict[str, peers.Contender], device: str
) -> Figures:
    """Rounds in which the floor and every contender take one step each, after some to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        settings = write_case(case, sparsifier, Path(folder)) | {"device": device}
        for contender in contenders.values():
            contender.ask("prepare", case=settings)
            for _ in range(WARM_UP[device]):
                contender.ask("step")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(case.rounds):
        for name, contender in contenders.items():
            seconds[name].append(contender.ask("step")["seconds"])
    peak = {name: round(each.ask("peak")["mb"]) for name, each in contenders.items()}
    middle = {name: median(values) for name, values in seconds.items()}
    return Figures(
        {name: round(middle[name] / middle["floor"], 3) for name in middle if name != "floor"},
        {name: round(ROWS / value) for name, value in middle.items()},
        {name: value for name, value in peak.items() if name != "floor"},
    )


def write_case(case: Case, sparsifier: str, folder: Path) -> dict[str, Any]:
    """The batch and the weights that all contenders share: unit atoms, and rows made of k of them."""
    random = torch.Generator().manual_seed(0)
    dictionary = torch.nn.functional.normalize(
        torch.randn(case.d_sae, case.d_in, generator=random), dim=-1
    )
    atoms = torch.randint(case.d_sae, (ROWS, case.k), generator=random)
    weights = torch.rand(ROWS, case.k, generator=random) + 0.5
    x = torch.nn.functional.embedding_bag(atoms, dictionary, per_sample_weights=weights, mode="sum")
    x = x + 0.3 * torch.randn(x.shape, generator=random)
    x = x * (case.d_in / x.square().sum(-1).mean()).sqrt()
    files = {"batch": x, "dictionary": dictionary, "b_dec": torch.zeros(case.d_in)}
    for name, tensor in files.items():
        np.save(folder / name, tensor.numpy())
    paths = {name: str(folder / f"{name}.npy") for name in files}
    steps = case.rounds + max(WARM_UP.values())
    numbers = {"k": case.k, "rows": ROWS, "lr": 3e-4, "steps": steps}
    return numbers | paths | {"sparsifier": sparsifier}


def report(title: str, figures: Figures) -> None:
    """One table."""
    print(f"\n{title}: batch {ROWS:,}, float32, whole step, AuxK off; floor "
          f"{figures.tokens_per_second['floor']:,} tokens/s")  # fmt: skip
    print(f"{'':22s}{'x floor':>9s}{'tokens/s':>11s}{'peak MB':>9s}")
    for name, ratio in figures.ratio_to_floor.items():
        tokens, peak = figures.tokens_per_second[name], figures.peak_mb[name]
        print(f"{name:22s}{ratio:9.2f}{tokens:11,d}{peak:9,d}", flush=True)


def parse() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ours alone, few rounds")
    parser.add_argument("--peers", action="store_true", help="install the peers if they are not")
    parser.add_argument(
        "--fidelity", action="store_true", help="train on a model's activations instead"
    )
    parser.add_argument(
        "--rounds", type=int, help="of the large case; the small one has 5 times more"
    )
    parser.add_argument("--threads", type=int, default=1, help="of every contender")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path)
    fidelity = parser.add_argument_group("fidelity")
    fidelity.add_argument("--model", default="models/demo/lm")
    fidelity.add_argument("--text", default="models/demo/stories.txt.gz")
    fidelity.add_argument("--layer", type=int, default=3)
    fidelity.add_argument("--width", type=int, default=1_024)
    fidelity.add_argument("--k", type=int, default=16)
    fidelity.add_argument("--batch", type=int, default=1_024)
    fidelity.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    usual = 20 if options.device == "cuda" else 5
    options.rounds = options.rounds or (2 if options.quick else usual)
    return options


if __name__ == "__main__":
    main()
