"""Features by the cosine of their decoder rows: the most aligned and the most opposed of each.

Exact, in blocks of columns, so that memory does not grow with the square of the width; its time does.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

NEIGHBOURS = 8
COSINES_AT_ONCE = 1 << 25
MOST_STEPS_CPU = 1 << 43  # multiplications: some minutes on a few cores


class Neighbours(NamedTuple):
    """Per feature: other features by cosine of decoder rows, most aligned and most opposed."""

    aligned: np.ndarray  # int64 [features, n]
    aligned_cosine: np.ndarray
    opposed: np.ndarray
    opposed_cosine: np.ndarray


class NeighbourSearch:
    """Searches among all rows of a decoder."""

    def __init__(self, W_dec: Float[Tensor, "d_sae d_in"]) -> None:
        self._unit = torch.nn.functional.normalize(W_dec.detach().float(), dim=-1)

    @property
    def is_affordable(self) -> bool:
        """Whether every feature can be searched for: at a million features only on a GPU."""
        width, d_in = self._unit.shape
        return self._unit.is_cuda or width * width * d_in <= MOST_STEPS_CPU

    @torch.inference_mode()
    def find(self, features: Sequence[int]) -> Neighbours:
        """Neighbours of these features among all latents, the feature itself left out."""
        chosen = torch.tensor(list(features), device=self._unit.device)
        width = self._unit.shape[0]
        count = min(NEIGHBOURS, width - 1)
        block = max(count + 1, COSINES_AT_ONCE // max(1, len(chosen)))
        aligned, opposed = [], []
        for start in range(0, width, block):
            cosine = self._unit[chosen] @ self._unit[start : start + block].T
            own = torch.nonzero((chosen >= start) & (chosen < start + block)).squeeze(1)
            for sign, found in ((1, aligned), (-1, opposed)):
                cosine[own, chosen[own] - start] = -2.0 * sign
                best = (sign * cosine).topk(min(count, cosine.shape[1]), dim=-1)
                found.append((best.indices + start, best.values))
        columns = (*_merge(aligned, count), *_merge(opposed, count))
        arrays = [column.cpu().numpy() for column in columns]
        return Neighbours(arrays[0], arrays[1], arrays[2], -arrays[3])


def _merge(blocks: list[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """The best of every block's best."""
    if len(blocks) == 1:
        return blocks[0]
    indices, values = (torch.cat(column, dim=-1) for column in zip(*blocks, strict=True))
    best = values.topk(count, dim=-1)
    return indices.gather(-1, best.indices), best.values
