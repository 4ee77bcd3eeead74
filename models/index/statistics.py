"""Signed statistics of every feature, per pole: counts, sums, extremes, histogram, consistency.

Firing means z ≠ 0. All of it adds up over shards. Knows nothing of examples or models.
"""

from typing import NamedTuple

import numpy as np

from models.index.firings import Firings, Groups

BINS_PER_OCTAVE = 8
LOWEST_OCTAVE, HIGHEST_OCTAVE = -12, 16
BINS = (HIGHEST_OCTAVE - LOWEST_OCTAVE) * BINS_PER_OCTAVE  # per pole
EDGES = 2.0 ** (
    LOWEST_OCTAVE + np.arange(BINS + 1) / BINS_PER_OCTAVE
)  # of |z|; the ends take what is beyond
COUNTED_WHOLE = 4_000_000  # cells; beyond it only those that occur are touched
DISPLAY_MERGE = 4  # bins merged for display: half an octave each


class Consistency(NamedTuple):
    """Does a feature keep its sign within a context? Cohen's κ between the halves of its windows.

    κ = 0 is chance given how often each sign occurs; windows count when both halves fire.
    """

    kappa: np.ndarray  # float64 [features], nan where undefined
    windows: np.ndarray  # int64 [features]


class Statistics:
    """Running statistics of `features` features; poles are indexed 0 for + and 1 for −."""

    def __init__(self, features: int) -> None:
        self.tokens = 0
        self.firings = np.zeros((2, features), dtype=np.int64)
        self.sums = np.zeros((2, features), dtype=np.float64)
        self.extremes = np.zeros((2, features), dtype=np.float32)  # signed; 0 where a pole is empty
        self.histogram = np.zeros((2, features, BINS), dtype=np.int32)
        self.signs = np.zeros(
            (features, 4), dtype=np.int64
        )  # (first half, second half): ++ +− −+ −−

    def add(self, firings: Firings, groups: Groups, tokens: int) -> None:
        """Count the firings of windows that hold `tokens` indexed tokens."""
        self.tokens += tokens
        features = self.firings.shape[1]
        for pole, sign in enumerate((1, -1)):
            chosen = firings.value * sign > 0
            feature, size = firings.feature[chosen], np.abs(firings.value[chosen])
            self.firings[pole] += np.bincount(feature, minlength=features)
            self.sums[pole] += sign * np.bincount(
                feature, weights=size.astype(np.float64), minlength=features
            )
            self._count(pole, feature * BINS + bin_of(size))
        np.maximum.at(self.extremes[0], groups.feature, np.maximum(groups.highest, 0))
        np.minimum.at(self.extremes[1], groups.feature, np.minimum(groups.lowest, 0))
        both = (groups.halves != 0).all(1)
        pattern = (groups.halves[both, 0] < 0) * 2 + (groups.halves[both, 1] < 0)
        self.signs += np.bincount(
            groups.feature[both] * 4 + pattern, minlength=features * 4
        ).reshape(-1, 4)

    def _count(self, pole: int, cells: np.ndarray) -> None:
        """Add one to each named cell of a pole's histogram."""
        flat = self.histogram[pole].reshape(-1)
        if flat.size <= COUNTED_WHOLE:
            flat += np.bincount(cells, minlength=flat.size).astype(np.int32)
        else:
            found, counts = np.unique(cells, return_counts=True)
            flat[found] += counts.astype(np.int32)

    def merge(self, other: "Statistics") -> None:
        """Take in another shard's statistics."""
        self.tokens += other.tokens
        self.firings += other.firings
        self.sums += other.sums
        self.extremes[0] = np.maximum(self.extremes[0], other.extremes[0])
        self.extremes[1] = np.minimum(self.extremes[1], other.extremes[1])
        self.histogram += other.histogram
        self.signs += other.signs

    def density(self) -> np.ndarray:
        """The share of tokens on which each pole fires: float64 [2, features]."""
        return self.firings / max(1, self.tokens)

    def pole_balance(self) -> np.ndarray:
        """B = (Σz₊ − Σ|z₋|) / Σ|z|: float64 [features], nan for features that never fire."""
        total = self.sums[0] - self.sums[1]
        return np.divide(
            self.sums[0] + self.sums[1], total, out=np.full_like(total, np.nan), where=total > 0
        )

    def quantile(self, share: float = 0.999) -> np.ndarray:
        """Signed quantile of |z| among each pole's firings: float64 [2, features], 0 for an empty pole.

        Read off the histogram, log-linear within a bin (a bin is 9 % wide), never beyond the extreme.
        """
        counts = self.histogram.cumsum(-1)
        total = counts[..., -1:]
        wanted = share * total
        place = (counts < wanted).sum(-1, keepdims=True).clip(max=BINS - 1)
        inside = np.take_along_axis(self.histogram, place, -1)
        before = np.take_along_axis(counts, place, -1) - inside
        part = np.divide(wanted - before, inside, out=np.zeros_like(wanted), where=inside > 0)
        size = (2.0 ** (LOWEST_OCTAVE + (place + part) / BINS_PER_OCTAVE))[..., 0]
        size = np.minimum(size, np.abs(self.extremes))
        return np.where(total[..., 0] > 0, size, 0.0) * np.array([[1.0], [-1.0]])

    def consistency(self) -> Consistency:
        """Cohen's κ of the signs of the two halves of each window."""
        counts = self.signs.astype(np.float64)
        total = counts.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            agree = (counts[:, 0] + counts[:, 3]) / total
            first, second = (
                (counts[:, 0] + counts[:, 1]) / total,
                (counts[:, 0] + counts[:, 2]) / total,
            )
            chance = first * second + (1 - first) * (1 - second)
            kappa = (agree - chance) / (1 - chance)
        return Consistency(np.where(chance < 1, kappa, np.nan), self.signs.sum(1))

    def display_histogram(self, feature: int) -> tuple[list[float], list[int]]:
        """Signed bins for a page: edges ascending and symmetric through 0, counts between them.

        Bins are half an octave of |z|; the middle one, around 0, is empty by construction.
        """
        merged = self.histogram[:, feature].reshape(2, -1, DISPLAY_MERGE).sum(-1)
        used = np.flatnonzero(merged.any(0))
        if len(used) == 0:
            return [], []
        first, last = used[0], used[-1] + 1
        edges = EDGES[::DISPLAY_MERGE][first : last + 1]
        counts = [*merged[1, first:last][::-1].tolist(), 0, *merged[0, first:last].tolist()]
        return [*(-edges[::-1]).tolist(), *edges.tolist()], counts


def bin_of(size: np.ndarray) -> np.ndarray:
    """The bin of each |z|; what is beyond the edges goes into the first or last bin."""
    with np.errstate(divide="ignore"):
        place = np.floor((np.log2(size.astype(np.float64)) - LOWEST_OCTAVE) * BINS_PER_OCTAVE)
    return np.clip(place, 0, BINS - 1).astype(np.int64)
