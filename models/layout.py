"""A map of a dictionary: t-SNE of decoder rows, by direction or by axis.

By axis, d and −d coincide: the right metric for signed latents. Qualitative, and says so.
Source: science §6. Knows nothing of pages or databases.
"""

from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from sklearn.manifold import TSNE, trustworthiness

Metric = Literal["axis", "directed"]
NEIGHBOURS = 15
MOST_ROWS = 8_192  # all distances are held at once: 256 MB each copy


class Layout(NamedTuple):
    """Coordinates of `features`, and everything needed to repeat them."""

    features: np.ndarray  # int32 [items]
    coordinates: np.ndarray  # float32 [items, 2]
    metric: Metric
    method: str
    perplexity: float
    seed: int
    trustworthiness: float | None  # of the 15 nearest neighbours; None below 32 items


def lay_out(
    rows: Float[torch.Tensor, "items d_in"],
    features: np.ndarray,
    metric: Metric = "axis",
    seed: int = 0,
) -> Layout:
    """Place decoder rows in the plane by Barnes–Hut t-SNE of all cosine distances."""
    if len(rows) != len(features):
        raise ValueError(
            f"{len(rows)} rows but {len(features)} feature numbers: give one number per row"
        )
    if len(rows) > MOST_ROWS:
        raise ValueError(
            f"a map of {len(rows):,} decoder rows is beyond the {MOST_ROWS:,} that can be laid out yet"
        )
    distances = distance_matrix(rows, metric)
    if len(rows) < 4:
        places = np.stack([np.linspace(-1, 1, len(rows)), np.zeros(len(rows))], axis=1).astype(
            np.float32
        )
        return Layout(
            features.astype(np.int32),
            places,
            metric,
            "line: too few rows for t-SNE",
            0.0,
            seed,
            None,
        )
    perplexity = float(min(30, (len(rows) - 1) / 3))
    start = _principal_start(distances)
    method = TSNE(
        perplexity=perplexity, metric="precomputed", init=start, random_state=seed, n_jobs=None
    )
    coordinates = method.fit_transform(distances).astype(np.float32)
    trust = None
    if len(rows) > 2 * NEIGHBOURS + 1:
        trust = float(
            trustworthiness(distances, coordinates, n_neighbors=NEIGHBOURS, metric="precomputed")
        )
    return Layout(
        features.astype(np.int32),
        coordinates,
        metric,
        "t-SNE (scikit-learn)",
        perplexity,
        seed,
        trust,
    )


def distance_matrix(rows: Float[torch.Tensor, "items d_in"], metric: Metric) -> np.ndarray:
    """1 − cos (directed) or 1 − |cos| (axis), float32 [items, items], zero diagonal."""
    unit = torch.nn.functional.normalize(rows.float(), dim=-1)
    cosine = (unit @ unit.T).cpu().numpy()
    distances = 1 - (np.abs(cosine) if metric == "axis" else cosine)
    np.fill_diagonal(distances, 0)
    return np.clip(distances, 0, None).astype(np.float32)


def _principal_start(distances: np.ndarray) -> np.ndarray:
    """Classical scaling to two dimensions, small, so that the layout is stable."""
    squared = distances.astype(np.float64)
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    start = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    spread = start.std() or 1.0
    return (start / spread * 1e-4).astype(np.float32)
