"""A map at once: the two principal axes of the rows' similarities.

By direction these are the principal components of the rows; by axis those of |cosine|, whose
features are not the rows' own, from a few hundred landmarks (Nyström). Also where t-SNE starts.
"""

import numpy as np
import torch
from jaxtyping import Float

from models.layout.neighbours import Metric, similarity

LANDMARKS = 512


def principal_axes(
    unit: Float[torch.Tensor, "items d_in"], metric: Metric, seed: int
) -> Float[np.ndarray, "items 2"]:
    """Coordinates of unit rows, float64, centred; columns by falling variance."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(unit), generator=generator)[:LANDMARKS]
    features = similarity(unit, unit[chosen], metric).double()
    features -= features.mean(0)
    # Similarities to the landmarks, seen along the directions in which these differ most.
    _, vectors = torch.linalg.eigh(features.T @ features)
    axes = vectors[:, -2:].flip(-1)
    # An eigenvector has no sign of its own: the largest entry is made positive, so a map repeats.
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return (features @ (axes * signs)).numpy()
