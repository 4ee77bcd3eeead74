"""AbsTopK against TopK: which reconstructs better, at three k and with three seeds?

    python benchmarks/reconstruction.py --json FILE
    python benchmarks/reconstruction.py --quick

All SAEs of one width are trained on one pass of the same activations, from the same start for each
seed, by the same recipe; only the sparsifier differs. Prints held-out normalised MSE (mean ± sd over
seeds) and the difference AbsTopK − TopK with its sign: below 0, AbsTopK is better.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor

from models.activations import ActivationStream
from models.corpus import Window, make_windows
from models.kernels import KernelOptions
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.texts import read_documents
from models.train import TrainConfig, train

SPARSIFIERS = ("abstopk", "topk")
HELD_OUT = 32_768


def main() -> None:
    """Train the grid on one pass, then score every SAE on the same held-out tokens."""
    options = parse()
    lm = LanguageModel.load(options.model)
    windows = list(make_windows(lm, read_documents(options.text)))
    held = windows[-max(1, len(windows) // 10) :]
    grid = list(product(SPARSIFIERS, options.ks, options.seeds))
    saes = train_grid(lm, windows[: -len(held)], grid, options)
    rows = serve(lm, held, options.layer, HELD_OUT)
    scores = {cell: nmse(sae, rows) for cell, sae in zip(grid, saes, strict=True)}
    print(
        f"held-out nMSE over {len(rows):,} tokens, layer {options.layer} of {options.model}, width "
        f"{options.width}, {options.tokens:,} training tokens, {len(options.seeds)} seeds"
    )
    result = {str(k): compare(scores, k, options.seeds) for k in options.ks}
    if options.json:
        options.json.write_text(json.dumps({"nmse": result}, indent=1) + "\n")


def train_grid(
    lm: LanguageModel,
    windows: list[Window],
    grid: list[tuple[str, int, int]],
    options: argparse.Namespace,
) -> list[SparseAutoencoder]:
    """Every SAE of the grid, on one pass of the activations."""
    configs = [
        (
            SAEConfig(lm.d_in, options.width, sparsifier, k),  # type: ignore[arg-type]
            TrainConfig(
                tokens=options.tokens,
                batch=options.batch,
                lr=options.lr,
                seed=seed,
                clip=options.clip,
                kernels=KernelOptions(options.precision),
            ),
        )
        for sparsifier, k, seed in grid
    ]
    stream = ActivationStream(lm, options.layer, windows, options.batch, options.tokens, 0)
    steps = configs[0][1].steps
    for update in train(configs, stream):
        if update.steps[0].step % max(1, steps // 10) == 0:
            print(f"step {update.steps[0].step} of {steps}", flush=True)
    return [sae.eval().requires_grad_(False) for sae in update.saes]


def serve(lm: LanguageModel, windows: list[Window], layer: int, tokens: int) -> Tensor:
    """Activations of windows, at most as many as these windows hold once."""
    tokens = min(tokens, sum(len(window.tokens) - 1 for window in windows))
    stream = ActivationStream(lm, layer, windows, 4_096, tokens, 0)
    return torch.cat([batch.activations for batch in stream])


def nmse(sae: SparseAutoencoder, rows: Tensor) -> float:
    """Σ‖x − x̂‖² / Σ‖x − mean‖² (science §4)."""
    error = sum(
        float((part - sae.decode(sae.encode_sparse(part))).square().sum())
        for part in rows.split(4_096)
    )
    return error / float((rows - rows.mean(0)).square().sum())


def compare(
    scores: dict[tuple[str, int, int], float], k: int, seeds: list[int]
) -> dict[str, list[float]]:
    """Print one line for this k; returns the scores by sparsifier, and their differences by seed."""
    found = {name: [scores[name, k, seed] for seed in seeds] for name in SPARSIFIERS}
    found["difference"] = [
        ours - theirs for ours, theirs in zip(found["abstopk"], found["topk"], strict=True)
    ]
    shown = [
        f"{name} {mean(values):+.4f} ± {stdev(values) if len(values) > 1 else 0:.4f}"
        for name, values in found.items()
    ]
    signs = {value > 0 for value in found["difference"]}
    verdict = (
        "the seeds disagree"
        if len(signs) > 1
        else f"better: {'TopK' if True in signs else 'AbsTopK'}"
    )
    print(f"k {k:4d}   " + "   ".join(shown) + f"   {verdict}", flush=True)
    return {name: [round(value, 5) for value in values] for name, values in found.items()}


def parse() -> argparse.Namespace:
    """The grid and the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one k, two seeds, few tokens")
    parser.add_argument("--model", default="models/demo/lm")
    parser.add_argument("--text", default="models/demo/stories.txt.gz")
    parser.add_argument("--layer", type=int, default=3)
    parser.add_argument("--width", type=int, default=1_024)
    parser.add_argument("--ks", type=int, nargs="+", default=[8, 26, 64])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tokens", type=int, default=600_000)
    parser.add_argument("--batch", type=int, default=2_048)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--clip", type=float, default=TrainConfig.clip)
    parser.add_argument("--precision", choices=["exact", "candidates"], default="exact")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.quick:
        options.ks, options.seeds, options.tokens = options.ks[:1], options.seeds[:2], 40_960
    return options


if __name__ == "__main__":
    main()
