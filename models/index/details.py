"""What a feature's dashboard says beyond its examples: logits promoted; numbers made short.

Knows nothing of databases.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

LOGITS = 10
BINS = 40
"""Of the histogram of a feature's logits, half of them on each side of 0."""


class TokenLogits(NamedTuple):
    """Per feature: the tokens that its + pole promotes and suppresses most (− negates both), and how
    many tokens of the vocabulary lie in each of BINS equal bins from −`reach` to `reach`, the largest
    magnitude."""

    promoted: np.ndarray  # int64 [features, LOGITS]
    promoted_logits: np.ndarray  # float32
    suppressed: np.ndarray
    suppressed_logits: np.ndarray
    reach: np.ndarray  # float32 [features]
    counts: np.ndarray  # int64 [features, BINS]


def token_logits(effect: Float[Tensor, "features vocabulary"]) -> TokenLogits:
    """The extremes of each row of a logit effect, and its histogram."""
    count = min(LOGITS, effect.shape[1])
    high, low = effect.topk(count, dim=-1), effect.topk(count, dim=-1, largest=False)
    reach = torch.maximum(high.values[:, 0].abs(), low.values[:, 0].abs()).float()
    counts = [
        torch.histc(row.float(), BINS, -limit, limit) if limit else row.new_zeros(BINS)
        for row, limit in zip(effect, reach.tolist(), strict=True)
    ]
    return TokenLogits(
        high.indices.cpu().numpy(),
        high.values.float().cpu().numpy(),
        low.indices.cpu().numpy(),
        low.values.float().cpu().numpy(),
        reach.cpu().numpy(),
        torch.stack(counts).long().cpu().numpy(),
    )


def shorten(values: np.ndarray, digits: int = 6) -> np.ndarray:
    """The same numbers to so many significant digits, as float64: short in JSON."""
    exact = values.astype(np.float64)
    size = np.abs(exact)
    with np.errstate(divide="ignore"):
        exponent = np.where(size > 0, np.floor(np.log10(size)), 0)
    scale = 10.0 ** (digits - 1 - exponent)
    return np.round(exact * scale) / scale
