"""Difference-in-Mean axes: a direction from two lists of examples, as a latent like any other.

v = mean(h | A) − mean(h | B) on the train split, unit norm; the code is the projection of h on v,
0 at the mean of the text it is shown on. Source: science §4. Knows nothing of storage.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.activations import window_activations
from models.concepts.contrasts import Contrast, Pair
from models.concepts.probe import Direction
from models.corpus import Window
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder


class Axis(NamedTuple):
    """A unit direction in the residual stream and how it separates held-out pairs.

    `auc` is that of the mean projection over the sentence; `paired` the share of minimal pairs
    whose A sentence projects higher than its B sentence (words and frames not seen in training).
    """

    name: str
    side_a: str
    side_b: str
    direction: Float[Tensor, "d_in"]
    auc: float
    paired: float
    pairs: int


def make_axis(lm: LanguageModel, layer: int, contrast: Contrast) -> Axis:
    """The DiM axis of one contrast, side A positive."""
    train, test = contrast.pairs("train"), contrast.pairs("test")
    train_a, train_b = _hidden(lm, layer, train)
    direction = torch.nn.functional.normalize((train_a - train_b).mean(0), dim=0)
    test_a, test_b = (hidden @ direction for hidden in _hidden(lm, layer, test))
    auc = float((test_a[:, None] > test_b[None]).float().mean())
    paired = float((test_a > test_b).float().mean())
    return Axis(contrast.name, contrast.side_a, contrast.side_b, direction, auc, paired, len(test))


def axes_as_sae(
    axes: Sequence[Axis | Direction], centre: Float[Tensor, "d_in"], mean_square: float
) -> SparseAutoencoder:
    """The axes as one SAE of sparsifier `dim`: latent i is axis i, its code 0 at `centre`.

    `mean_square` is E‖x‖² of the text, so that codes are in the units of the other SAEs.
    """
    d_in = len(centre)
    config = SAEConfig(d_in, len(axes), "dim", input_scale=(d_in / mean_square) ** 0.5)
    sae = SparseAutoencoder(config)
    rows = torch.stack([axis.direction for axis in axes]).float()
    with torch.no_grad():
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
        sae.b_enc.copy_(-(rows @ (centre.float() * config.input_scale)))
    return sae.eval().requires_grad_(False)


def _hidden(lm: LanguageModel, layer: int, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Mean activation of each sentence from the first token that differs on: two [pairs, d_in]."""
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for pair in pairs:
        tokens = [lm.tokenize(text) for text in (pair.a, pair.b)]
        first = next((i for i, (x, y) in enumerate(zip(*tokens, strict=False)) if x != y), 1)
        for side, ids in zip(sides, tokens, strict=True):
            hidden = lm.residual(torch.tensor([ids]), layer)[0]
            side.append(hidden[max(1, min(first, len(ids) - 1)) :].float().mean(0).cpu())
    return torch.stack(sides[0]), torch.stack(sides[1])


def text_moments(lm: LanguageModel, layer: int, windows: Sequence[Window]) -> tuple[Tensor, float]:
    """Mean activation [d_in] and E‖x‖² of a text, position 0 left out."""
    total, square, count = torch.zeros(lm.d_in, dtype=torch.float64), 0.0, 0
    for batch, residual in window_activations(lm, layer, windows):
        lengths = np.array([len(windows[index].tokens) for index in batch])
        for row, length in enumerate(lengths):
            hidden = residual[row, 1:length].double().cpu()
            total += hidden.sum(0)
            square += float(hidden.square().sum())
            count += len(hidden)
    return (total / count).float(), square / count
