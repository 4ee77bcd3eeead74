"""Two dictionaries against each other: matched latents, fragments of an axis, opposed pairs.

Everything is by cosine of decoder rows. Knows nothing of activations, texts or databases.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

ROWS_AT_ONCE = 1_024
MOST_ASSIGNED = 4_096
"""Above so many rows latents are matched to their nearest, not one to one: the exact assignment is cubic."""
OPPOSED = -0.9


class Matches(NamedTuple):
    """Pairs of latents, best first; `cosine` is signed, so −1 is the same axis the other way round."""

    a: np.ndarray  # int64 [n], rows of the first dictionary
    b: np.ndarray  # int64 [n], rows of the second
    cosine: np.ndarray  # float32 [n]
    is_assignment: bool  # one to one (Hungarian on |cos|), or each row of `a` to its nearest


class Fragments(NamedTuple):
    """Per row of the first dictionary, what its + and − direction is most like in the second."""

    plus: np.ndarray  # int64 [rows]
    plus_cosine: np.ndarray  # float32 [rows]: cos(d, plus)
    minus: np.ndarray
    minus_cosine: np.ndarray  # cos(−d, minus)

    @property
    def score(self) -> np.ndarray:
        """min(plus_cosine, minus_cosine): high only if both poles are found."""
        return np.minimum(self.plus_cosine, self.minus_cosine)


def match_latents(a: Float[Tensor, "rows_a d_in"], b: Float[Tensor, "rows_b d_in"]) -> Matches:
    """Latents of one dictionary with those of another, by |cos| (science §4, stability).

    Hungarian up to MOST_ASSIGNED rows, else the nearest of each. Raises ValueError on unlike d_in.
    """
    _check(a, b)
    is_assignment = max(len(a), len(b)) <= MOST_ASSIGNED
    if is_assignment:
        cosine = torch.cat([part for _, part in _cosines(a, b)]).numpy()
        rows, columns = linear_sum_assignment(-np.abs(cosine))
        values = cosine[rows, columns]
    else:
        found = [
            (place, part.gather(1, place))
            for _, part in _cosines(a, b)
            for place in [part.abs().argmax(1, keepdim=True)]
        ]
        columns, values = (torch.cat(parts)[:, 0].numpy() for parts in zip(*found, strict=True))
        rows = np.arange(len(a))
    order = np.argsort(-np.abs(values), kind="stable")
    return Matches(rows[order], columns[order], values[order], is_assignment)


def find_fragments(a: Float[Tensor, "rows_a d_in"], b: Float[Tensor, "rows_b d_in"]) -> Fragments:
    """For each signed latent the two one-sided latents of another SAE that its poles match (science §4)."""
    _check(a, b)
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for _, cosine in _cosines(a, b):
        plus, minus = cosine.max(1), (-cosine).max(1)
        parts.append((plus.indices, plus.values, minus.indices, minus.values))
    return Fragments(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


def count_opposed(rows: Float[Tensor, "n d_in"], below: float = OPPOSED) -> int:
    """How many pairs of rows have a cosine below `below`: axes that were broken in two (science §4)."""
    total = 0
    for start, cosine in _cosines(rows, rows):
        place = torch.arange(start, start + len(cosine))
        total += int(((cosine < below) & (torch.arange(len(rows))[None] > place[:, None])).sum())
    return total


def _cosines(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor]]:
    left = torch.nn.functional.normalize(a.float().cpu(), dim=-1)
    right = torch.nn.functional.normalize(b.float().cpu(), dim=-1).T
    for start in range(0, len(left), ROWS_AT_ONCE):
        yield start, left[start : start + ROWS_AT_ONCE] @ right


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"one dictionary has d_in {a.shape[1]}, the other {b.shape[1]}: compare SAEs of one layer and model"
        )
