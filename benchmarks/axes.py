"""Where are the axes? Layer, width, k and training against held-out opposition and its null.

    python benchmarks/axes.py --model models/demo/lm --text models/demo/stories.txt.gz \
        --layers 2 3 4 5 --widths 256 1024 --ks 26 --sparsifiers abstopk topk --json axes.json

For every SAE: normalised MSE on held-out windows, and for every concept the single latent chosen on
half of the documents, scored on the other half (both signs, AUC) beside the 95th percentile of
word sets drawn at random. Prints one line per SAE and concept. Nothing is chosen for you.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
import torch

from models.activations import ActivationStream, window_activations
from models.concepts.score import answer, ask_concepts
from models.concepts.sentences import cut_passages, mean_activations, presence
from models.corpus import make_windows, read_documents
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.sae.checkpoint import save_sae
from models.train import TrainConfig, train


def main() -> None:
    """Train the grid layer by layer, print as it goes, write everything at the end."""
    options = parse()
    lm = LanguageModel.load(options.model)
    windows = list(make_windows(lm, read_documents(options.text)))
    held_out = windows[-max(1, len(windows) // 10) :]
    training_windows = windows[: -len(held_out)]
    spans = {
        each: cut_passages(lm, training_windows, options.spans, each)
        for each in options.sentences_each
    }
    held = {
        each: presence(len(lm.vocabulary), training_windows, cut) for each, cut in spans.items()
    }
    document = {each: np.array([span.document for span in cut]) for each, cut in spans.items()}
    questions = {
        each: ask_concepts(lm.vocabulary, tokens, document[each]) for each, tokens in held.items()
    }
    rows = []
    for layer in options.layers:
        grid = list(product(options.sparsifiers, options.widths, options.ks, options.seeds))
        configs = [
            (
                SAEConfig(lm.d_in, width, sparsifier, k),
                TrainConfig(
                    tokens=options.tokens,
                    batch=options.batch,
                    lr=options.lr,
                    seed=seed,
                    sparsity_weight=options.beta if sparsifier == "vsae" else 0.0,
                ),
            )
            for sparsifier, width, k, seed in grid
        ]
        stream = ActivationStream(
            lm, layer, training_windows, options.batch, options.tokens, seed=0
        )
        *_, last = train(configs, stream)
        saes = [sae.eval().requires_grad_(False) for sae in last.saes]
        errors = held_out_nmse(lm, layer, saes, held_out)
        for each in options.sentences_each:
            means = mean_activations(lm, layer, saes, training_windows, spans[each])
            for cell, nmse, mean in zip(grid, errors, means, strict=True):
                scores = answer(questions[each], mean, document[each])
                name = dict(zip(("sparsifier", "width", "k", "seed"), cell, strict=True))
                name |= {"layer": layer, "nmse": round(nmse, 4), "sentences": each}
                print(json.dumps(name), flush=True)
                for score in scores:
                    print(
                        f"    {score.concept:12s} #{score.feature:<5d} both {score.both_signs:.2f} "
                        f"null95 {score.null_95:.2f} p {score.p_value:.3f} AUC {score.auc:.2f} n {score.pairs}",
                        flush=True,
                    )
                rows.append(name | {"concepts": [score._asdict() for score in scores]})
        if options.save:
            for cell, sae in zip(grid, saes, strict=True):
                folder = options.save / "-".join(["layer", str(layer), *map(str, cell)])
                save_sae(folder, sae, {"model": options.model, "layer": layer})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


@torch.inference_mode()
def held_out_nmse(lm, layer, saes, windows) -> list[float]:
    """Normalised MSE of each SAE on held-out windows."""
    x = torch.cat(
        [
            residual[row, 1 : len(windows[index].tokens)]
            for batch, residual in window_activations(lm, layer, windows)
            for row, index in enumerate(batch)
        ]
    ).float()
    variance = float((x - x.mean(0)).square().sum())
    return [float((x - sae.decode(sae.encode(x))).square().sum()) / variance for sae in saes]


def parse() -> argparse.Namespace:
    """The grid."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="models/demo/lm")
    parser.add_argument("--text", type=Path, default=Path("models/demo/stories.txt.gz"))
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 3, 4, 5])
    parser.add_argument("--sparsifiers", nargs="+", default=["abstopk", "topk"])
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--ks", type=int, nargs="+", default=[26])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--beta", type=float, default=1e-4)
    parser.add_argument("--spans", type=int, default=4000, help="how many passages to score on")
    parser.add_argument(
        "--sentences-each", type=int, nargs="+", default=[1, 3], help="length of a passage"
    )
    parser.add_argument("--save", type=Path, help="keep the trained SAEs in this folder")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
