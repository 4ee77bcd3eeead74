"""The demo's SAEs: same data, width, k, steps, initialisation and seed; only the sparsifier differs.

And its Difference-in-Mean axes. Knows nothing of the command line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from models.activations import ActivationStream, SinkPolicy
from models.concepts.axes import axes_as_sae, make_axis, text_moments
from models.concepts.contrasts import load_contrasts
from models.corpus import Window
from models.evaluate.fidelity import measure_fidelity
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.checkpoint import save_sae
from models.train import Checkpoints, TrainConfig, TrainUpdate, train

SPARSIFIERS = ("abstopk", "topk", "vsae")
BETA = 1e-4  # weight of the vSAE's KL
SINKS = SinkPolicy()


class Recipe(NamedTuple):
    """What the three SAEs share."""

    layer: int
    width: int
    k: int
    tokens: int
    batch: int = 2_048
    lr: float = 1e-3
    seed: int = 0


def train_dictionaries(
    lm: LanguageModel,
    recipe: Recipe,
    training: Sequence[Window],
    checkpoints: Checkpoints | None = None,
) -> Iterator[TrainUpdate]:
    """Train the three on one pass of the activations, in step; go on from a checkpoint if there is one."""
    configs = []
    for sparsifier in SPARSIFIERS:
        weight = BETA if sparsifier == "vsae" else 0.0
        training_config = TrainConfig(
            tokens=recipe.tokens,
            batch=recipe.batch,
            lr=recipe.lr,
            seed=recipe.seed,
            sparsity_weight=weight,
            dead_after=200_000,
            clip=float(lm.d_in),  # hardly ever binds: as the demo's SAEs were trained
        )
        configs.append((SAEConfig(lm.d_in, recipe.width, sparsifier, recipe.k), training_config))
    stream = ActivationStream(
        lm, recipe.layer, training, recipe.batch, recipe.tokens, recipe.seed, sinks=SINKS
    )
    yield from train(configs, stream, checkpoints)


def save_dictionary(
    lm: LanguageModel,
    recipe: Recipe,
    sae: SparseAutoencoder,
    held_out: Sequence[Window],
    folder: Path,
    command: str,
) -> dict[str, Any]:
    """Measure one SAE on held-out windows and write it; returns what was measured."""
    sae = sae.eval().requires_grad_(False)
    fidelity = measure_fidelity(lm, recipe.layer, sae, held_out)
    about = {
        "model": "demo",
        "layer": recipe.layer,
        "training": recipe._asdict() | {"beta": BETA if sae.config.sparsifier == "vsae" else 0.0},
        "sinks": asdict(SINKS),
        "fidelity": fidelity._asdict(),
        "command": command,
    }
    save_sae(folder, sae, about)
    return fidelity._asdict()


def save_axes(
    lm: LanguageModel,
    layer: int,
    names: Sequence[str],
    training: Sequence[Window],
    folder: Path,
    command: str,
) -> list[dict[str, Any]]:
    """Make the Difference-in-Mean axes of these contrasts and write them as one dictionary."""
    contrasts = load_contrasts()
    axes = [make_axis(lm, layer, contrasts[name]) for name in names]
    centre, mean_square = text_moments(lm, layer, training)
    entries = [
        {
            "name": a.name,
            "side_a": a.side_a,
            "side_b": a.side_b,
            "auc": a.auc,
            "paired": a.paired,
            "pairs": a.pairs,
        }
        for a in axes
    ]
    sae = axes_as_sae(axes, centre, mean_square)
    save_sae(folder, sae, {"model": "demo", "layer": layer, "axes": entries, "command": command})
    return entries
