"""The m strongest examples per feature of one pole, by one score: streaming, mergeable, exact.

At most one example per (feature, document). Ties go to the earlier document, window and position,
so the result does not depend on how the corpus was split. Knows nothing of models.
"""

from typing import NamedTuple, Self

import numpy as np

from models.index.blocks import WindowBlock
from models.index.firings import Firings, Groups

WAITING = 65_536  # candidates that are worth a sort


class Examples(NamedTuple):
    """Candidate or kept examples as parallel arrays, with their windows' firings packed behind."""

    feature: np.ndarray  # int32: a feature, or another list that examples are kept for
    score: np.ndarray  # float32 > 0: |value|, |mean|, |Δ| or a draw
    document: np.ndarray  # int32
    window: np.ndarray  # int32
    position: np.ndarray  # int32: the token it is about
    value: np.ndarray  # float32, signed, at that position
    mean: np.ndarray  # float32, signed, over the window
    token: np.ndarray  # int32: the token id at that position
    length: np.ndarray  # int32: how many firings of the feature the window holds
    offsets: np.ndarray  # uint16 [sum(length)]: their positions
    values: np.ndarray  # float32 [sum(length)]: their signed values

    @classmethod
    def at(
        cls,
        firings: Firings,
        groups: Groups,
        block: WindowBlock,
        group: np.ndarray,
        position: np.ndarray,
        value: np.ndarray,
        score: np.ndarray,
    ) -> Self:
        """The examples at these positions of the windows of these groups."""
        length = groups.stop[group] - groups.start[group]
        slices = gather_slices(groups.start[group], length)
        row = groups.row[group]
        return cls(
            groups.feature[group].astype(np.int32),
            score.astype(np.float32, copy=False),
            block.document[row].astype(np.int32),
            groups.window[group].astype(np.int32),
            position.astype(np.int32),
            value.astype(np.float32, copy=False),
            groups.mean[group],
            block.tokens[row, position],
            length.astype(np.int32),
            firings.position[slices].astype(np.uint16),
            firings.value[slices],
        )

    @classmethod
    def none(cls) -> Self:
        """No examples, of the right types."""
        return cls(*(np.zeros(0, dtype=dtype) for dtype in DTYPES))

    def take(self, order: np.ndarray) -> Self:
        """These rows with their firings."""
        ends = np.cumsum(self.length, dtype=np.int64)
        length = self.length[order]
        slices = gather_slices(ends[order] - length, length)
        rows = [array[order] for array in self[:ROWS]]
        return self._make([*rows, self.offsets[slices], self.values[slices]])


DTYPES = (
    np.int32, np.float32, np.int32, np.int32, np.int32, np.float32, np.float32, np.int32,
    np.int32, np.uint16, np.float32,
)  # fmt: skip
ROWS = 9  # the arrays with one entry per example


class TopExamples:
    """Keeps, per feature, the `most` examples of highest score over any number of `add` calls."""

    def __init__(self, features: int, most: int) -> None:
        self.features = features
        self.most = most
        self.threshold = np.zeros(features, dtype=np.float32)
        self._kept = Examples.none()
        self._waiting: list[Examples] = []
        self._count = 0

    def wants(self, feature: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Which candidates could still enter: ties may, the documents' order decides them."""
        return (score > 0) & (score >= self.threshold[feature])

    def add(self, examples: Examples) -> None:
        """Take candidates in; they are sorted out once enough have gathered."""
        if len(examples.feature) == 0:
            return
        self._waiting.append(examples)
        self._count += len(examples.feature)
        if self._count > max(WAITING, len(self._kept.feature) // 2):
            self._settle()

    def merge(self, other: "TopExamples") -> None:
        """Take in the examples of another shard of the corpus."""
        self.add(other.result())

    def result(self) -> Examples:
        """The kept examples, by feature, best first."""
        self._settle()
        return self._kept

    def replace(self, examples: Examples) -> None:
        """Keep these examples, at most `most` per feature, instead of what is kept."""
        self.threshold[:] = 0
        self._kept, self._waiting, self._count = Examples.none(), [], 0
        self.add(examples)

    def _settle(self) -> None:
        if not self._waiting:
            return
        joined = concatenate([self._kept, *self._waiting])
        order = _best_first(joined)
        order = order[_is_first_of_document(joined.feature[order], joined.document[order])]
        order = order[rank_of(joined.feature[order]) < self.most]
        self._kept = joined.take(order)
        self._waiting, self._count = [], 0
        last = np.flatnonzero(rank_of(self._kept.feature) == self.most - 1)
        self.threshold[self._kept.feature[last]] = self._kept.score[last]


def swap_poles(plus: TopExamples, minus: TopExamples, features: np.ndarray, lists: int = 1) -> None:
    """Exchange what two poles keep of these features (bool [features]), every sign turned.

    `lists` is how many lists there are per feature: list i belongs to feature i // lists.
    """
    found = [top.result() for top in (plus, minus)]
    moves = [features[examples.feature // lists] for examples in found]
    for top, own, other in ((plus, 0, 1), (minus, 1, 0)):
        stays = found[own].take(np.flatnonzero(~moves[own]))
        comes = found[other].take(np.flatnonzero(moves[other]))
        top.replace(concatenate([stays, _negated(comes)]))


def concatenate(parts: list[Examples]) -> Examples:
    """All rows of all parts."""
    return Examples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def gather_slices(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The indices start[0] … start[0] + length[0] − 1, start[1] …, in one array."""
    total = int(length.sum())
    before = np.cumsum(length) - length
    return np.arange(total) - np.repeat(before - start, length)


def _negated(examples: Examples) -> Examples:
    return examples._replace(value=-examples.value, mean=-examples.mean, values=-examples.values)


def _best_first(examples: Examples) -> np.ndarray:
    """Rows by feature, the highest score first; ties by document, window and position."""
    # A positive float32 sorts as its bits do: one sort of one number stands for two.
    key = examples.feature.astype(np.uint64) << np.uint64(32)
    key |= np.uint64(0xFFFFFFFF) - examples.score.view(np.uint32)
    order = np.argsort(key)
    ranked = key[order]
    is_tie = ranked[1:] == ranked[:-1]
    if is_tie.any():
        places = np.flatnonzero(np.append(is_tie, False) | np.append(False, is_tie))
        rows = order[places]
        columns = (examples.position, examples.window, examples.document, key)
        order[places] = rows[np.lexsort([column[rows] for column in columns])]
    return order


def _is_first_of_document(feature: np.ndarray, document: np.ndarray) -> np.ndarray:
    """Which rows are the first (best) of their (feature, document)."""
    key = (feature.astype(np.uint64) << np.uint64(32)) | document.astype(np.uint64)
    order = np.argsort(key)
    is_new = np.append(True, key[order][1:] != key[order][:-1])
    if is_new.all():
        return is_new
    first = np.zeros(len(key), dtype=bool)
    first[np.minimum.reduceat(order, np.flatnonzero(is_new))] = True
    return first


def rank_of(feature: np.ndarray) -> np.ndarray:
    """How many rows of the same feature (or other sorted key) stand before each row."""
    if len(feature) == 0:
        return np.zeros(0, dtype=np.int64)
    start = np.flatnonzero(np.append(True, feature[1:] != feature[:-1]))
    return np.arange(len(feature)) - np.repeat(start, np.diff(np.append(start, len(feature))))
