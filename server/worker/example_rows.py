"""The examples of an index as lists of the store, a range of features at a time.

Knows how kinds and ranks are numbered; nothing of sessions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from models.index.indexer import KINDS, POLES, Indexer
from models.index.top import Examples, rank_of
from server.store.example_lists import HEAD, ExampleList
from server.store.index_rows import INTERVAL, TURN
from server.worker.packing import pack_activations

RANKS_PER_INTERVAL = 8
PLAIN = np.dtype(
    [("seq", "<u4"), ("position", "<u2"), ("value", "<f4"), ("mean", "<f4"), ("count", "<u2")]
)
RANKED = np.dtype([*PLAIN.descr, ("rank", "<u2")])


class _List(NamedTuple):
    """One list of examples by feature, with the kind and pole it is stored as."""

    kind: int
    pole: int
    examples: Examples
    rank: np.ndarray  # int64 [examples]
    ends: np.ndarray  # int64 [examples]: behind each one's firings


class ExampleRows:
    """All examples of one index, best first, every kind and pole."""

    def __init__(self, indexer: Indexer) -> None:
        self._lists: list[_List] = []
        for number, pole in enumerate(POLES):
            for kind, name in enumerate(KINDS):
                self._keep(kind, number, indexer.top[name, pole].result())
            drawn = indexer.intervals.result(pole, indexer.statistics.extremes)
            place = rank_of(drawn.examples.feature.astype(np.int64) << 8 | drawn.interval)
            rank = drawn.interval * RANKS_PER_INTERVAL + place
            self._keep(INTERVAL, number, drawn.examples, rank)
            self._keep(TURN, number, indexer.turns[pole].result())

    def lists(self, features: range) -> Iterator[ExampleList]:
        """The examples of these features."""
        for each in self._lists:
            bounds = np.searchsorted(each.examples.feature, (features.start, features.stop))
            yield from _packed(each, slice(int(bounds[0]), int(bounds[1])))

    def _keep(
        self, kind: int, pole: int, examples: Examples, rank: np.ndarray | None = None
    ) -> None:
        rank = rank_of(examples.feature) if rank is None else rank
        ends = np.cumsum(examples.length, dtype=np.int64)
        self._lists.append(_List(kind, pole, examples, rank, ends))


def _packed(each: _List, rows: slice) -> Iterator[ExampleList]:
    """What `pack_lists` makes of these rows, byte for byte, many lists at once."""
    examples = each.examples
    feature = examples.feature[rows]
    if len(feature) == 0:
        return
    first = int(each.ends[rows.start - 1]) if rows.start else 0
    pairs = slice(first, int(each.ends[rows.stop - 1]))
    length = examples.length[rows]
    blobs = pack_activations(length, examples.offsets[pairs], examples.values[pairs])
    layout = RANKED if each.kind == INTERVAL else PLAIN
    heads = np.empty(len(length), dtype=layout)
    columns = (examples.window, examples.position, examples.value, examples.mean, length, each.rank)
    for name, column in zip(layout.names or (), columns, strict=False):
        heads[name] = column if column is length else column[rows]
    begins = np.flatnonzero(np.append(True, feature[1:] != feature[:-1]))
    stops = np.append(begins[1:], len(feature))
    whole, size = heads.tobytes(), layout.itemsize
    starts = np.append(0, blobs.ends)
    for number, begin, stop, start, end in zip(
        feature[begins].tolist(),
        begins.tolist(),
        stops.tolist(),
        starts[begins].tolist(),
        starts[stops].tolist(),
        strict=True,
    ):
        head = HEAD.pack(stop - begin) + whole[size * begin : size * stop]
        yield ExampleList(number, each.kind, each.pole, head + blobs.whole[start:end])
