"""The m strongest examples per feature of one pole, by one score: streaming, mergeable, exact.

At most one example per (feature, document). Ties go to the earlier document and window, so the
result does not depend on how the corpus was split. Knows nothing of models.
"""

from typing import NamedTuple

import numpy as np


class Examples(NamedTuple):
    """Candidate or kept examples as parallel arrays, with their windows' firings packed behind."""

    feature: np.ndarray  # int64
    score: np.ndarray  # float32 > 0: |value| or |mean|
    document: np.ndarray  # int64
    window: np.ndarray  # int64
    position: np.ndarray  # int64: the extreme token
    value: np.ndarray  # float32, signed, at that position
    mean: np.ndarray  # float32, signed, over the window
    length: np.ndarray  # int64: how many firings of the feature the window holds
    offsets: np.ndarray  # int64 [sum(length)]: their positions
    values: np.ndarray  # float32 [sum(length)]: their signed values


class TopExamples:
    """Keeps, per feature, the `most` examples of highest score over any number of `add` calls."""

    def __init__(self, features: int, most: int) -> None:
        self.features = features
        self.most = most
        self.threshold = np.zeros(features, dtype=np.float32)
        self._kept: Examples | None = None
        self._waiting: list[Examples] = []
        self._count = 0

    def wants(self, feature: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Which candidates could still enter: ties may, the documents' order decides them."""
        return (score > 0) & (score >= self.threshold[feature])

    def add(self, examples: Examples) -> None:
        """Take candidates in; they are sorted out once enough have gathered."""
        self._waiting.append(examples)
        self._count += len(examples.feature)
        if self._count > max(4 * self.features, 65_536):
            self._settle()

    def merge(self, other: "TopExamples") -> None:
        """Take in the examples of another shard of the corpus."""
        self.add(other.result())

    def result(self) -> Examples:
        """The kept examples, by feature, best first."""
        self._settle()
        return self._kept if self._kept is not None else _empty()

    def _settle(self) -> None:
        parts = ([] if self._kept is None else [self._kept]) + self._waiting
        if not self._waiting:
            return
        joined = _concatenate(parts)
        order = np.lexsort((joined.window, joined.document, -joined.score, joined.feature))
        order = order[_first_of_document(joined.feature[order], joined.document[order])]
        rank = _rank(joined.feature[order])
        order = order[rank < self.most]
        self._kept = _take(joined, order)
        self._waiting, self._count = [], 0
        full = np.flatnonzero(_rank(self._kept.feature) == self.most - 1)
        self.threshold[self._kept.feature[full]] = self._kept.score[full]


def _empty() -> Examples:
    whole, real = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return Examples(whole, real, whole, whole, whole, real, real, whole, whole, real)


def _concatenate(parts: list[Examples]) -> Examples:
    return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _first_of_document(feature: np.ndarray, document: np.ndarray) -> np.ndarray:
    """Positions of the first (best) row of each (feature, document), in their order."""
    if len(feature) == 0:
        return np.zeros(0, dtype=np.int64)
    keys = np.stack([feature, document], axis=1)
    return np.sort(np.unique(keys, axis=0, return_index=True)[1])


def _rank(feature: np.ndarray) -> np.ndarray:
    """How many rows of the same feature stand before each row; `feature` is sorted."""
    starts = np.searchsorted(feature, feature, side="left")
    return np.arange(len(feature)) - starts


def _take(examples: Examples, order: np.ndarray) -> Examples:
    ends = np.cumsum(examples.length)
    length = examples.length[order]
    slices = gather_slices(ends[order] - length, length)
    rows = [array[order] for array in examples[:8]]
    return Examples(*rows, examples.offsets[slices], examples.values[slices])


def gather_slices(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices start[0] … start[0] + length[0] − 1, start[1] …, in one array."""
    total = int(length.sum())
    before = np.cumsum(length) - length
    return np.arange(total) - np.repeat(before - start, length)
