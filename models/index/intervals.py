"""A sample of each activation interval, the same intervals on both sides of 0.

An interval is an octave of |z|: [2^e, 2^(e+1)). Its bounds do not depend on the data, so one pass is
enough; which firings are drawn depends on a hash alone, so every split of a corpus draws the same.
Knows nothing of what else is kept.
"""

from typing import NamedTuple

import numpy as np

from models.index.blocks import WindowBlock, mix
from models.index.firings import Firings, Groups
from models.index.statistics import LOWEST_OCTAVE, OCTAVES, octave_of
from models.index.top import Examples, TopExamples, swap_poles

SAMPLES = 3  # per feature, pole and interval, from as many documents
INTERVALS = 6  # octaves that are shown, from the one of the feature's largest |z| down


class IntervalExamples(NamedTuple):
    """The drawn examples of one pole, by feature, interval and draw."""

    examples: Examples
    interval: np.ndarray  # int64: 0 holds the feature's largest |z| of either pole, 1 is below it …


class IntervalSamples:
    """Per feature, pole and octave the firings with the lowest hashes, one per document."""

    def __init__(self, features: int, most: int = SAMPLES) -> None:
        self.top = {pole: TopExamples(features * OCTAVES, most) for pole in ("+", "-")}

    def add(
        self, firings: Firings, groups: Groups, block: WindowBlock, token_hash: np.ndarray
    ) -> None:
        """Draw from these firings; `token_hash` uint64 [n] is that of each firing's token."""
        octave = octave_of(np.abs(firings.value))
        slot = firings.feature * OCTAVES + octave
        draw = mix(token_hash ^ mix(firings.feature.astype(np.uint64)))
        # 24 bits of it, the lowest hash the highest score: exact in a float32.
        score = 1 - (draw >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)
        for pole, top in self.top.items():
            is_pole = firings.value > 0 if pole == "+" else firings.value < 0
            chosen = np.flatnonzero(is_pole & top.wants(slot, score))
            group = np.searchsorted(groups.start, chosen, side="right") - 1
            examples = Examples.at(
                firings,
                groups,
                block,
                group,
                firings.position[chosen],
                firings.value[chosen],
                score[chosen],
            )
            top.add(examples._replace(feature=slot[chosen].astype(np.int32)))

    def merge(self, other: "IntervalSamples") -> None:
        """Take in the samples of another shard of the corpus."""
        for pole, top in self.top.items():
            top.merge(other.top[pole])

    def flip(self, features: np.ndarray) -> None:
        """Swap the poles of these features (bool [features])."""
        swap_poles(self.top["+"], self.top["-"], features, OCTAVES)

    def result(self, pole: str, extremes: np.ndarray) -> IntervalExamples:
        """The samples to show; `extremes` float32 [2, features] are the feature's signed extremes."""
        found = self.top[pole].result()
        highest = octave_of(np.abs(extremes).max(0))
        feature, octave = found.feature // OCTAVES, found.feature % OCTAVES
        interval = highest[feature] - octave
        order = np.lexsort((interval, feature))  # stable: draws stay in order
        order = order[interval[order] < INTERVALS]
        examples = found._replace(feature=feature.astype(np.int32)).take(order)
        return IntervalExamples(examples, interval[order])


class Interval(NamedTuple):
    """One interval of a feature: low ≤ |z| < high, and how many firings of each pole it holds."""

    low: float
    high: float
    positive: int
    negative: int


def intervals_of(counts: np.ndarray) -> list[Interval]:
    """The intervals that are shown; `counts` int64 [2, OCTAVES] are a feature's firings by octave.

    Interval 0 comes first; empty ones at the small end are left out.
    """
    used = np.flatnonzero(counts.any(0))
    if len(used) == 0:
        return []
    octaves = range(int(used[-1]), max(int(used[0]), int(used[-1]) - INTERVALS + 1) - 1, -1)
    return [
        Interval(
            2.0 ** (LOWEST_OCTAVE + octave),
            2.0 ** (LOWEST_OCTAVE + octave + 1),
            int(counts[0, octave]),
            int(counts[1, octave]),
        )
        for octave in octaves
    ]
