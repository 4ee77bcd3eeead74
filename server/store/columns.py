"""The numbers a feature table is sorted and filtered by, each stored apart from the features.

Knows the table `feature_column`: per index and name, blocks of about a thousand numbers in the
order of the features written. Reading one column of a million features takes milliseconds, where
reading a million rows takes seconds; ten B-trees over them would take longer to fill than all
examples. An index is immutable but for opposition and labels, which raise its `revision`: so what
was read once can be kept.
"""

import math
import sys
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from server.store.bulk import bulk_insert, dialect_of, driver_cursor, named_errors
from server.store.tables import FeatureColumn

FEATURE = "feature"
NUMBERS = (
    "firings", "density_pos", "density_neg", "density", "max_pos", "max_neg", "max",
    "pole_balance", "opposition", "consistency",
)  # fmt: skip
"""`firings` is that of the pole that fired less, `max` the largest magnitude of either."""

MEMORY = 96 * 2**20
"""Bytes of columns a process keeps: all those of a million features."""

_LETTERS = {FEATURE: "i"}


class Columns:
    """Columns read last, so that a table's next page needs only its rows; safe between threads."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._kept: OrderedDict[tuple[int, int, str], array[Any]] = OrderedDict()
        self._lock = Lock()

    def of(self, session: Session, index_id: int, revision: int, name: str) -> "array[Any]":
        """The column of this name: float64, NaN where a feature has no value; int32 for FEATURE."""
        key = (index_id, revision, name)
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept
        column = read_column(session, index_id, name)
        with self._lock:
            self._kept[key] = column
            held = sum(len(each) * each.itemsize for each in self._kept.values())
            while held > self._memory and len(self._kept) > 1:
                _, dropped = self._kept.popitem(last=False)
                held -= len(dropped) * dropped.itemsize
        return column


def columns_of(session: Session) -> Columns:
    """What the session's database keeps between requests; a session made by hand keeps nothing."""
    return session.info.get("columns") or Columns()


def read_column(session: Session, index_id: int, name: str) -> "array[Any]":
    """One column of an index, whole, in the order of its FEATURE column."""
    mark = "?" if dialect_of(session) == "sqlite" else "%s"
    statement = (
        f"SELECT numbers FROM feature_column WHERE index_id = {mark} AND name = {mark}"
        " ORDER BY first"
    )
    with named_errors(session, f"reading the column {name}"):
        # Binary: as text, Postgres would send each byte as two letters.
        cursor = driver_cursor(session, binary=True)
        blocks = cursor.execute(statement, (index_id, name)).fetchall()
    return _unpacked(name, b"".join(block for (block,) in blocks))


def add_columns(
    session: Session, index_id: int, features: Sequence[int], numbers: Mapping[str, Sequence[Any]]
) -> None:
    """Store one block: these features, and for each name of NUMBERS a number or None for each."""
    blocks: dict[str, array[Any]] = {FEATURE: array("i", features)}
    for name in NUMBERS:
        blocks[name] = array("d", (math.nan if n is None else n for n in numbers[name]))
    rows = ((index_id, name, features[0], _packed(block)) for name, block in blocks.items())
    bulk_insert(session, FeatureColumn, ("index_id", "name", "first", "numbers"), rows)


def change_column(
    session: Session, index_id: int, name: str, values: Mapping[int, float | None]
) -> None:
    """Set the numbers of some features; features the index does not have are ignored."""
    starts = select(FeatureColumn.first, FeatureColumn.numbers).where(
        FeatureColumn.index_id == index_id, FeatureColumn.name == FEATURE
    )
    for first, packed in session.execute(starts).all():
        features = _unpacked(FEATURE, packed)
        changed = [place for place, feature in enumerate(features) if feature in values]
        if not changed:
            continue
        here = (
            FeatureColumn.index_id == index_id,
            FeatureColumn.name == name,
            FeatureColumn.first == first,
        )
        block = _unpacked(
            name, session.execute(select(FeatureColumn.numbers).where(*here)).scalar_one()
        )
        for place in changed:
            value = values[features[place]]
            block[place] = math.nan if value is None else value
        session.execute(update(FeatureColumn).where(*here).values(numbers=_packed(block)))


def delete_columns(session: Session, index_id: int) -> None:
    """Remove every column of an index."""
    session.execute(delete(FeatureColumn).where(FeatureColumn.index_id == index_id))


def _packed(numbers: "array[Any]") -> bytes:
    """Little-endian on every machine."""
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _unpacked(name: str, packed: bytes) -> "array[Any]":
    numbers = array(_LETTERS.get(name, "d"))
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
