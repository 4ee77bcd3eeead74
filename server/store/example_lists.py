"""The examples of one pole as one packed list: what a row of the table `example` holds.

Knows bytes, no session. A row per example would cost a key, a row header and an index entry each:
more than the example itself, and most of the time that loading a million features takes. A list is

    uint16        how many examples
    each of them  uint32 seq, uint16 position, float32 value, float32 mean, uint16 count of its
                  activations; in a list of interval samples uint16 rank besides
    each of them  its activations, as `encoding.encode_activations` writes them

little-endian, best first. Except among interval samples the rank is the place in the list.
"""

import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from server.store.encoding import finite
from server.store.index_rows import INTERVAL, POSITIVE, ExampleRow

HEAD = struct.Struct("<H")
PLAIN, RANKED = struct.Struct("<IHffH"), struct.Struct("<IHffHH")


class ExampleList(NamedTuple):
    """All examples of one kind and pole of one feature."""

    feature: int
    kind: int
    pole: int
    packed: bytes


class StoredExample(NamedTuple):
    """One example as it is read back; `activations` is what `encode_activations` wrote."""

    kind: int
    pole: int
    rank: int
    seq: int
    position: int
    value: float
    mean: float
    activations: bytes


def pack_lists(rows: Iterable[ExampleRow]) -> Iterator[ExampleList]:
    """The lists that these rows make; rows of one list may come in any order.

    Raises ValueError for a number that is not finite, a value on the wrong side of 0, and ranks
    that leave one out.
    """
    ordered = sorted(rows, key=itemgetter(0, 1, 2, 3))
    for key, group in groupby(ordered, key=itemgetter(0, 1, 2)):
        feature, kind, pole = map(int, key)
        heads, blobs = [], []
        for place, row in enumerate(group):
            fields = [int(row.seq), int(row.position), *_numbers(row), _count(row.activations)]
            if kind == INTERVAL:
                heads.append(RANKED.pack(*fields, int(row.rank)))
            elif row.rank == place:
                heads.append(PLAIN.pack(*fields))
            else:
                raise ValueError(f"feature {feature}: an example of rank {place} is missing")
            blobs.append(row.activations)
        yield ExampleList(feature, kind, pole, HEAD.pack(len(heads)) + b"".join(heads + blobs))


def unpack_list(
    kind: int, pole: int, packed: bytes, most: int | None = None
) -> list[StoredExample]:
    """The examples of a list, best first, at most `most`."""
    (count,) = HEAD.unpack_from(packed)
    head = RANKED if kind == INTERVAL else PLAIN
    at = HEAD.size + count * head.size
    found = []
    shown = count if most is None else min(count, most)
    for place, fields in enumerate(head.iter_unpack(packed[HEAD.size : at])):
        if place == shown:
            break
        seq, position, value, mean, pairs = fields[:5]
        end = at + (1 + pairs * (packed[at] + 3) if pairs else 0)
        rank = fields[5] if kind == INTERVAL else place
        found.append(StoredExample(kind, pole, rank, seq, position, value, mean, packed[at:end]))
        at = end
    return found


def _numbers(row: ExampleRow) -> tuple[float, float]:
    what = f"an example of feature {row.feature}"
    value, mean = finite(row.value, what), finite(row.mean, what)
    if (value < 0) if row.pole == POSITIVE else (value > 0):
        raise ValueError(f"{what} has the value {value} but stands on the other pole")
    return value, mean


def _count(activations: bytes) -> int:
    return (len(activations) - 1) // (activations[0] + 3) if activations else 0
