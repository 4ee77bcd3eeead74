"""t-SNE in steps: scikit-learn's for a few rows, openTSNE's for many.

Knows neighbours and a start; nothing of rows or metrics.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from openTSNE import TSNEEmbedding, affinity
from openTSNE.nearest_neighbors import PrecomputedNeighbors
from sklearn.manifold import TSNE

from models.layout.neighbours import Neighbours

FIRST, REST = 250, 500
"""Iterations with the neighbours' pull exaggerated, and without."""
AT_ONCE = 25
EXAGGERATION = 12
ITERATIONS = FIRST + REST
OF_FEW = f"t-SNE (scikit-learn {version('scikit-learn')})"
OF_MANY = f"t-SNE (openTSNE {version('openTSNE')})"


class TsneStep(NamedTuple):
    """Iterations done, and the places so far, float64 [items, 2]."""

    done: int
    places: np.ndarray


def of_few(
    distances: Float[np.ndarray, "items items"],
    start: Float[np.ndarray, "items 2"],
    perplexity: float,
    seed: int,
) -> Float[np.ndarray, "items 2"]:
    """Barnes–Hut t-SNE of all distances."""
    method = TSNE(
        perplexity=perplexity, metric="precomputed", init=_small(start), random_state=seed
    )
    return method.fit_transform(distances)


def of_many(
    neighbours: Neighbours,
    start: Float[np.ndarray, "items 2"],
    perplexity: float,
    seed: int,
    threads: int,
) -> Iterator[TsneStep]:
    """t-SNE of the nearest neighbours alone; the places of the last step are the result."""
    index = PrecomputedNeighbors(neighbours.places, neighbours.distances)
    pull = affinity.PerplexityBasedNN(
        perplexity=perplexity, knn_index=index, n_jobs=threads, random_state=seed
    )
    places = TSNEEmbedding(
        _small(start),
        pull,
        negative_gradient_method="auto",  # Barnes–Hut up to 10,000, then interpolation
        n_jobs=threads,
        random_state=seed,
    )
    done = 0
    while done < ITERATIONS:
        is_first = done < FIRST
        places.optimize(
            n_iter=AT_ONCE,
            inplace=True,
            exaggeration=EXAGGERATION if is_first else 1,
            momentum=0.5 if is_first else 0.8,
        )
        done += AT_ONCE
        yield TsneStep(done, np.asarray(places))


def _small(start: np.ndarray) -> np.ndarray:
    """So small that all pull on all: the layout is then stable."""
    return start / (start[:, 0].std() or 1.0) * 1e-4
