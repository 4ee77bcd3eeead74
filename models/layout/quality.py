"""How far a map can be trusted: are neighbours on it neighbours in truth, and the other way?

Knows rows and places, block by block; of many rows a sample is asked, against all of them.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree

from models.layout.neighbours import Metric, similarity

NEIGHBOURS = 15
ASKED = 2_048
BLOCK = 256


def trustworthiness(
    unit: Float[torch.Tensor, "items d_in"],
    places: Float[np.ndarray, "items 2"],
    metric: Metric,
    k: int = NEIGHBOURS,
) -> float:
    """1 if the k nearest on the map are the k nearest in truth; each intruder costs its rank.

    Source: Venna and Kaski 2001. Of more than ASKED rows so many are asked, evenly chosen.
    """
    items = len(unit)
    asked, near = _near_on_the_map(places, k)
    lost = 0
    for begin in range(0, len(asked), BLOCK):
        some = asked[begin : begin + BLOCK]
        close = similarity(unit[some], unit, metric)
        close[torch.arange(len(some)), some] = -torch.inf
        own = close.gather(1, near[begin : begin + BLOCK])
        # How many are nearer in truth than the one on the map; argsort would cost more.
        ranks = torch.stack([(close > own[:, [place]]).sum(-1) for place in range(k)], dim=-1) + 1
        lost += int((ranks - k).clamp(min=0).sum())
    return 1 - lost * 2 / (len(asked) * k * (2 * items - 3 * k - 1))


def preservation(
    unit: Float[torch.Tensor, "items d_in"],
    places: Float[np.ndarray, "items 2"],
    metric: Metric,
    k: int = NEIGHBOURS,
) -> float:
    """The share of each row's k nearest that are among its k nearest on the map."""
    asked, near = _near_on_the_map(places, k)
    kept = 0
    for begin in range(0, len(asked), BLOCK):
        some = asked[begin : begin + BLOCK]
        close = similarity(unit[some], unit, metric)
        close[torch.arange(len(some)), some] = -torch.inf
        truly = close.topk(k, dim=-1).indices
        kept += int((truly[:, :, None] == near[begin : begin + BLOCK, None, :]).sum())
    return kept / (len(asked) * k)


def _near_on_the_map(places: np.ndarray, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that are asked, and each one's k nearest others on the map, int64 [asked, k]."""
    items = len(places)
    asked = np.unique(np.linspace(0, items - 1, min(items, ASKED)).round().astype(np.int64))
    found = cKDTree(places).query(places[asked], k=k + 1)[1]
    # Among several at one place the row itself need not come first, or at all.
    others = [
        [each for each in row if each != own][:k] for row, own in zip(found, asked, strict=True)
    ]
    return torch.from_numpy(asked), torch.tensor(others, dtype=torch.int64)
