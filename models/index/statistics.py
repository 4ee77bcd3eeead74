"""Signed statistics of every feature, per pole: counts, sums, extremes, histogram, consistency.

Firing means z ≠ 0. All of it adds up over shards, and its size depends on the width alone. Knows
nothing of examples or models.
"""

from typing import NamedTuple

import numpy as np

from models.index.firings import Firings, Groups

WIDE = 1 << 17  # features; beyond it the histogram is kept coarser: 470 MB at a million
BINS_PER_OCTAVE = 8
BINS_PER_OCTAVE_WIDE = 2
LOWEST_OCTAVE, HIGHEST_OCTAVE = -12, 16
OCTAVES = HIGHEST_OCTAVE - LOWEST_OCTAVE
BINS = OCTAVES * BINS_PER_OCTAVE  # per pole
EDGES = 2.0 ** (
    LOWEST_OCTAVE + np.arange(BINS + 1) / BINS_PER_OCTAVE
)  # of |z|; the ends take what is beyond
SHARES = (0.5, 0.9, 0.99, 0.999)  # quantiles of a page
DISPLAY_PER_OCTAVE = 2
DISPLAY_EDGES = np.array(
    [
        float(f"{2.0 ** (LOWEST_OCTAVE + step / DISPLAY_PER_OCTAVE):.6g}")
        for step in range(OCTAVES * DISPLAY_PER_OCTAVE + 1)
    ]
)  # six digits are enough for a page
FEATURES_AT_ONCE = 65_536  # whose histograms are summed up at once


class Consistency(NamedTuple):
    """Does a feature keep its sign within a context? Cohen's κ between the halves of its windows.

    κ = 0 is chance given how often each sign occurs; windows count when both halves fire.
    """

    kappa: np.ndarray  # float64 [features], nan where undefined
    windows: np.ndarray  # int64 [features]


class Statistics:
    """Running statistics of `features` features; poles are indexed 0 for + and 1 for −."""

    def __init__(self, features: int) -> None:
        self.per_octave = BINS_PER_OCTAVE if features <= WIDE else BINS_PER_OCTAVE_WIDE
        self.tokens = 0
        self.firings = np.zeros((2, features), dtype=np.int64)
        self.sums = np.zeros((2, features), dtype=np.float64)
        self.extremes = np.zeros((2, features), dtype=np.float32)  # signed; 0 where a pole is empty
        self.histogram = np.zeros((2, features, OCTAVES * self.per_octave), dtype=np.int32)
        self.signs = np.zeros(
            (features, 4), dtype=np.int64
        )  # (first half, second half): ++ +− −+ −−
        self.turns = np.zeros((2, features), dtype=np.int64)  # to + from −, to − from +

    def add(self, firings: Firings, groups: Groups, tokens: int) -> None:
        """Count the firings of windows that hold `tokens` indexed tokens."""
        self.tokens += tokens
        features = self.firings.shape[1]
        pole = firings.value < 0
        cell = firings.feature + features * pole
        size = np.abs(firings.value)
        self.firings += np.bincount(cell, minlength=2 * features).reshape(2, -1)
        sums = np.bincount(cell, weights=size, minlength=2 * features).reshape(2, -1)
        self.sums += sums * [[1.0], [-1.0]]
        bins = self.histogram.shape[2]
        # With a scalar of the array's own type, add.at takes its fast path.
        np.add.at(
            self.histogram.reshape(-1), cell * bins + bin_of(size, self.per_octave), np.int32(1)
        )
        np.maximum.at(self.extremes[0], groups.feature, np.maximum(groups.highest, 0))
        np.minimum.at(self.extremes[1], groups.feature, np.minimum(groups.lowest, 0))
        both = (groups.halves != 0).all(1)
        pattern = (groups.halves[both, 0] < 0) * 2 + (groups.halves[both, 1] < 0)
        np.add.at(self.signs.reshape(-1), groups.feature[both] * 4 + pattern, np.int64(1))

    def add_turns(self, pole: int, feature: np.ndarray) -> None:
        """Count turning points that arrive at this pole."""
        np.add.at(self.turns[pole], feature, np.int64(1))

    def merge(self, other: "Statistics") -> None:
        """Take in another shard's statistics."""
        self.tokens += other.tokens
        self.extremes[0] = np.maximum(self.extremes[0], other.extremes[0])
        self.extremes[1] = np.minimum(self.extremes[1], other.extremes[1])
        for name in ("firings", "sums", "histogram", "signs", "turns"):
            getattr(self, name).__iadd__(getattr(other, name))

    def flip(self, features: np.ndarray) -> None:
        """Swap the poles of these features (bool [features])."""
        for array in (self.firings, self.turns, self.histogram):
            array[:, features] = array[::-1, features]
        for array in (self.sums, self.extremes):
            # The + 0 keeps an empty pole's figure from becoming -0.
            array[:, features] = -array[::-1, features] + 0
        self.signs[features] = self.signs[features][:, ::-1]

    def state(self) -> dict[str, np.ndarray]:
        """Everything counted, as arrays to be saved."""
        names = ("firings", "sums", "extremes", "histogram", "signs", "turns")
        return {"tokens": np.array([self.tokens]), **{name: getattr(self, name) for name in names}}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self.tokens = int(state["tokens"][0])
        for name in self.state().keys() - {"tokens"}:
            getattr(self, name)[...] = state[name]

    def heavier_minus(self) -> np.ndarray:
        """Features whose − pole holds more activation than their + pole: bool [features]."""
        return -self.sums[1] > self.sums[0]

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

        Read off the histogram, log-linear within a bin (a bin is 9 % wide, 41 % beyond WIDE
        features), never beyond the extreme.
        """
        parts = [
            self._quantile(share, slice(start, start + FEATURES_AT_ONCE))
            for start in range(0, self.firings.shape[1], FEATURES_AT_ONCE)
        ]
        return np.concatenate(parts, axis=1)

    def _quantile(self, share: float, part: slice) -> np.ndarray:
        histogram = self.histogram[:, part]
        counts = histogram.cumsum(-1, dtype=np.int64)
        total = counts[..., -1:]
        wanted = share * total
        place = (counts < wanted).sum(-1, keepdims=True).clip(max=histogram.shape[2] - 1)
        inside = np.take_along_axis(histogram, place, -1)
        before = np.take_along_axis(counts, place, -1) - inside
        fraction = np.divide(wanted - before, inside, out=np.zeros_like(wanted), where=inside > 0)
        size = (2.0 ** (LOWEST_OCTAVE + (place + fraction) / self.per_octave))[..., 0]
        size = np.minimum(size, np.abs(self.extremes[:, part]))
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
        merged = self._merged(feature, DISPLAY_PER_OCTAVE)
        used = np.flatnonzero(merged.any(0))
        if len(used) == 0:
            return [], []
        first, last = used[0], used[-1] + 1
        edges = DISPLAY_EDGES[first : last + 1]
        counts = [*merged[1, first:last][::-1].tolist(), 0, *merged[0, first:last].tolist()]
        return [*(-edges[::-1]).tolist(), *edges.tolist()], counts

    def octaves(self, feature: int) -> np.ndarray:
        """Firings by pole and octave of |z|: int64 [2, OCTAVES]."""
        return self._merged(feature, 1)

    def _merged(self, feature: int, per_octave: int) -> np.ndarray:
        shape = (2, OCTAVES * per_octave, self.per_octave // per_octave)
        return self.histogram[:, feature].reshape(shape).sum(-1, dtype=np.int64)


def bin_of(size: np.ndarray, per_octave: int = BINS_PER_OCTAVE) -> np.ndarray:
    """The bin of each |z|; what is beyond the edges goes into the first or last bin."""
    with np.errstate(divide="ignore"):
        place = np.floor((np.log2(size.astype(np.float64)) - LOWEST_OCTAVE) * per_octave)
    return np.clip(place, 0, OCTAVES * per_octave - 1).astype(np.int64)


def octave_of(size: np.ndarray) -> np.ndarray:
    """The octave of each |z|, 0 for 2**LOWEST_OCTAVE and less: int64."""
    return np.clip(np.frexp(size)[1].astype(np.int64) - 1 - LOWEST_OCTAVE, 0, OCTAVES - 1)
