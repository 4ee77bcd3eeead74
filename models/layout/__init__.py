"""A map of a dictionary: t-SNE of decoder rows, by direction or by axis, and a quick one at once.

By axis, d and −d coincide: the right metric for signed latents. Qualitative, and says so.
Source: science §6. Knows nothing of pages or databases.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from models.layout import tsne
from models.layout.neighbours import Metric, find_neighbours, similarity, unit_rows
from models.layout.principal import principal_axes
from models.layout.quality import NEIGHBOURS, trustworthiness

__all__ = [
    "MOST_ITEMS",
    "Layout",
    "LayoutStep",
    "Metric",
    "distance_matrix",
    "lay_out",
    "layout_steps",
]

AT_ONCE = 1_024
"""Up to here t-SNE takes seconds, so no quick map comes before it."""
FEW = AT_ONCE
"""Up to here scikit-learn is given all distances; beyond, openTSNE is faster (docs/LOG.md)."""
MOST_ITEMS = 1 << 17
"""The neighbours of so many rows take minutes; the time grows with the square."""
PERPLEXITY = 30
QUICK = "principal axes, a quick map until t-SNE is done"
SHARE_OF_NEIGHBOURS = 0.2


class Layout(NamedTuple):
    """Coordinates of `features`, and everything needed to repeat them."""

    features: np.ndarray  # int32 [items]
    coordinates: np.ndarray  # float32 [items, 2]
    metric: Metric
    method: str
    perplexity: float
    seed: int
    trustworthiness: float | None  # of the 15 nearest neighbours; None below 32 items


class LayoutStep(NamedTuple):
    """How far a layout is, from 0 to 1, and a layout where there is one to show."""

    share: float
    message: str
    layout: Layout | None = None


def lay_out(
    rows: Float[torch.Tensor, "items d_in"],
    features: np.ndarray,
    metric: Metric = "axis",
    seed: int = 0,
) -> Layout:
    """The finished layout of `layout_steps`."""
    *_, last = layout_steps(rows, features, metric, seed)
    assert last.layout is not None
    return last.layout


def layout_steps(
    rows: Float[torch.Tensor, "items d_in"],
    features: np.ndarray,
    metric: Metric = "axis",
    seed: int = 0,
) -> Iterator[LayoutStep]:
    """Place decoder rows in the plane; of many rows, first a quick layout, then t-SNE.

    Beyond `MOST_ITEMS` so many are drawn at random, and the method says so.
    """
    if len(rows) != len(features):
        raise ValueError(
            f"{len(rows)} rows but {len(features)} feature numbers: give one number per row"
        )
    unit, features, drawn = _drawn(unit_rows(rows), features.astype(np.int32), seed)
    items = len(unit)

    def layout(places: np.ndarray, method: str, perplexity: float) -> Layout:
        measured = items > 2 * NEIGHBOURS + 1
        trust = trustworthiness(unit, places, metric) if measured else None
        shown = places.astype(np.float32)
        return Layout(features, shown, metric, method + drawn, perplexity, seed, trust)

    if items < 4:
        line = np.stack([np.linspace(-1, 1, items), np.zeros(items)], axis=1)
        yield LayoutStep(1, "laid out", layout(line, "line: too few rows for t-SNE", 0.0))
        return
    perplexity = float(min(PERPLEXITY, (items - 1) / 3))
    start = principal_axes(unit, metric, seed)
    if items > AT_ONCE:
        yield LayoutStep(0, "a quick map is there", layout(start, QUICK, 0.0))
    if items <= FEW:
        places = tsne.of_few(distance_matrix(unit, metric), start, perplexity, seed)
        yield LayoutStep(1, "laid out", layout(places, tsne.OF_FEW, perplexity))
        return
    neighbours = None
    for near in find_neighbours(unit, metric, 3 * PERPLEXITY):
        share = SHARE_OF_NEIGHBOURS * near.done / items
        yield LayoutStep(share, f"neighbours of {near.done:,} of {items:,} features")
        neighbours = near.neighbours
    assert neighbours is not None
    places = start
    for step in tsne.of_many(neighbours, start, perplexity, seed, torch.get_num_threads()):
        places = step.places
        share = SHARE_OF_NEIGHBOURS + (1 - SHARE_OF_NEIGHBOURS) * step.done / tsne.ITERATIONS
        yield LayoutStep(min(share, 0.99), f"t-SNE, iteration {step.done} of {tsne.ITERATIONS}")
    yield LayoutStep(1, "laid out", layout(places, tsne.OF_MANY, perplexity))


def distance_matrix(rows: Float[torch.Tensor, "items d_in"], metric: Metric) -> np.ndarray:
    """1 − cos (directed) or 1 − |cos| (axis), float32 [items, items], zero diagonal."""
    unit = unit_rows(rows)
    distances = (1 - similarity(unit, unit, metric)).numpy()
    np.fill_diagonal(distances, 0)
    return np.clip(distances, 0, None)


def _drawn(
    unit: torch.Tensor, features: np.ndarray, seed: int
) -> tuple[torch.Tensor, np.ndarray, str]:
    """All rows; of too many, a sample in their order, and the words that say so."""
    items = len(features)
    if items <= MOST_ITEMS:
        return unit, features, ""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(items, generator=generator)[:MOST_ITEMS].sort().values
    said = f", {MOST_ITEMS:,} of {items:,} drawn at random"
    return unit[chosen], features[chosen.numpy()], said
