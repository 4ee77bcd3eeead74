"""Nearest neighbours of decoder rows by direction or by axis, exact, block by block.

Holds one block of cosines at a time, never all of them. Knows nothing of layouts.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

Metric = Literal["axis", "directed"]
BLOCK = 1_024


class Neighbours(NamedTuple):
    """The nearest other rows of each row, the nearest first, and how far they are."""

    places: np.ndarray  # int64 [items, k]
    distances: np.ndarray  # float32 [items, k], 1 − cos or 1 − |cos|


class NeighbourStep(NamedTuple):
    """How many rows have their neighbours; once all have, these."""

    done: int
    neighbours: Neighbours | None


def unit_rows(rows: Float[torch.Tensor, "items d_in"]) -> Float[torch.Tensor, "items d_in"]:
    """Directions, float32 on the CPU; a row of zeros stays one."""
    return torch.nn.functional.normalize(rows.detach().float().cpu(), dim=-1)


def similarity(
    some: Float[torch.Tensor, "some d_in"],
    others: Float[torch.Tensor, "others d_in"],
    metric: Metric,
) -> Float[torch.Tensor, "some others"]:
    """Cosines of unit rows, without their sign by axis."""
    cosine = some @ others.T
    return cosine.abs_() if metric == "axis" else cosine


def find_neighbours(
    unit: Float[torch.Tensor, "items d_in"], metric: Metric, k: int
) -> Iterator[NeighbourStep]:
    """The k nearest others of every row, exact; one step a block."""
    items = len(unit)
    if not 0 < k < items:
        raise ValueError(f"{k} neighbours of {items} rows: ask for 1 to {items - 1}")
    places = np.empty((items, k), dtype=np.int64)
    distances = np.empty((items, k), dtype=np.float32)
    for begin in range(0, items, BLOCK):
        near = similarity(unit[begin : begin + BLOCK], unit, metric)
        own = torch.arange(len(near))
        near[own, own + begin] = -torch.inf
        values, indices = near.topk(k, dim=-1)
        places[begin : begin + len(near)] = indices.numpy()
        distances[begin : begin + len(near)] = (1 - values).clamp_(min=0).numpy()
        done = begin + len(near)
        yield NeighbourStep(done, Neighbours(places, distances) if done == items else None)
