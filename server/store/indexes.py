"""Writing an index: begin, fill, publish, delete.

Knows the tables `feature_index`, `feature` and `example` and how rows get into them. An index is
filled over many transactions and seen by nobody until `publish_index` makes it the SAE's own in
one statement; from then on its features and examples do not change.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from server.store.bulk import bulk_insert, changed_rows
from server.store.columns import NUMBERS, add_columns, change_column, delete_columns
from server.store.encoding import dump_json, finite_or_none, now
from server.store.example_lists import ExampleList
from server.store.index_rows import (
    FEATURE_COLUMNS,
    FeatureRow,
    column_numbers,
    feature_values,
    searched,
)
from server.store.search import Terms, add_terms, remove_terms
from server.store.tables import ConceptScore, Example, Feature, FeatureIndex, Sae

FEATURES_AT_ONCE = 1_024
"""Features whose columns are stored as one block, and whose rows are changed together."""


@dataclass(frozen=True)
class IndexRecord:
    """One index in any state: for the ones who write and clean up, not for pages."""

    id: int
    sae_id: int
    corpus_id: int
    tokens: int
    windows: int
    state: str
    live: int
    two_sided: int
    features: int
    revision: int
    created_at: str
    published_at: str | None


_COLUMNS = [FeatureIndex.__table__.c[name] for name in IndexRecord.__dataclass_fields__]
_TEXTS = ("feature", "label", "label_pos", "label_neg", "words")
_SEARCHED = [Feature.__table__.c[name] for name in _TEXTS]


def begin_index(session: Session, sae_id: int, corpus_id: int) -> int:
    """The id of a new, empty, invisible index."""
    values = {"state": "building", "tokens": 0, "windows": 0, "live": 0, "two_sided": 0}
    values |= {"features": 0, "revision": 0}
    statement = insert(FeatureIndex).values(
        sae_id=sae_id, corpus_id=corpus_id, created_at=now(), **values
    )
    return session.execute(statement.returning(FeatureIndex.id)).scalar_one()


def write_features(session: Session, index_id: int, rows: Iterable[FeatureRow]) -> None:
    """Add features, about a thousand per transaction; raises ValueError once published."""
    _require_state(session, index_id, "building")
    remaining = iter(rows)
    while part := list(islice(remaining, FEATURES_AT_ONCE)):
        values = [feature_values(index_id, row) for row in part]
        bulk_insert(session, Feature, FEATURE_COLUMNS, values)
        numbers = [column_numbers(row) for row in part]
        add_columns(
            session,
            index_id,
            [int(row.feature) for row in part],
            {name: [each[name] for each in numbers] for name in NUMBERS},
        )
        texts = [[each[FEATURE_COLUMNS.index(name)] for name in _TEXTS] for each in values]
        add_terms(session, index_id, (_terms(*each) for each in texts))


def write_example_lists(session: Session, index_id: int, lists: Iterable[ExampleList]) -> None:
    """Add examples, those of about a thousand features per transaction; as `write_features`.

    All lists of a feature, of every kind and pole, come once.
    """
    _require_state(session, index_id, "building")
    rows = ((index_id, *each) for each in lists)
    bulk_insert(session, Example, ("index_id", *ExampleList._fields), rows)


def update_opposition(
    session: Session,
    index_id: int,
    values: Sequence[tuple[int, float | None]],
    null_summary: dict[str, Any],
) -> None:
    """Set the opposition of these (feature, value) pairs, and the null it is shown beside.

    For a large index, hand over some thousand pairs per transaction.
    """
    _require_state(session, index_id, "building", "published")
    session.execute(
        update(FeatureIndex)
        .where(FeatureIndex.id == index_id)
        .values(null_summary=dump_json(null_summary), revision=FeatureIndex.revision + 1)
    )
    if not values:
        return
    numbers = {int(feature): finite_or_none(value) for feature, value in values}
    pairs = {feature: (value,) for feature, value in numbers.items()}
    _set_columns(session, index_id, ("opposition",), pairs)
    change_column(session, index_id, "opposition", numbers)


def is_opposed(session: Session, index_id: int) -> bool:
    """Whether opposition has been written to this index."""
    query = select(FeatureIndex.null_summary).where(FeatureIndex.id == index_id)
    return session.scalars(query).one_or_none() is not None


def publish_index(
    session: Session, index_id: int, tokens: int, windows: int, live: int, two_sided: int
) -> None:
    """Make this index the one its SAE shows; the one shown so far becomes `replaced`.

    `live` and `two_sided` are numbers of features. Readers in the middle of a transaction keep
    the old one until they end.
    """
    sae_id = _require_state(session, index_id, "building").sae_id
    # The SAE's row is locked first, so that two publications take turns.
    session.execute(update(Sae).where(Sae.id == sae_id).values(published_index_id=index_id))
    session.execute(
        update(FeatureIndex)
        .where(FeatureIndex.sae_id == sae_id, FeatureIndex.state == "published")
        .values(state="replaced")
    )
    session.execute(
        update(FeatureIndex)
        .where(FeatureIndex.id == index_id)
        .values(
            state="published",
            published_at=now(),
            tokens=tokens,
            windows=windows,
            live=live,
            two_sided=two_sided,
            features=select(func.count())
            .select_from(Feature)
            .where(Feature.index_id == index_id)
            .scalar_subquery(),
        )
    )


def delete_index(session: Session, index_id: int, features: int | None = None) -> bool:
    """Delete an unpublished index and say whether it is gone.

    With `features`, at most the rows of so many features go in one call, so that a large index
    can be deleted in short transactions: call until True. Raises ValueError if it is published.
    """
    _require_state(session, index_id, "building", "replaced")
    while rows := _delete_some(session, index_id, features or FEATURES_AT_ONCE):
        if features is not None and rows:
            return False
    delete_columns(session, index_id)
    session.execute(delete(ConceptScore).where(ConceptScore.index_id == index_id))
    session.execute(delete(FeatureIndex).where(FeatureIndex.id == index_id))
    return True


def list_indexes(session: Session, sae_id: int | None = None) -> list[IndexRecord]:
    """Indexes in every state, oldest first: of one SAE, or of all."""
    query = select(*_COLUMNS).order_by(FeatureIndex.id)
    if sae_id is not None:
        query = query.where(FeatureIndex.sae_id == sae_id)
    return [IndexRecord(**row._mapping) for row in session.execute(query)]


def _delete_some(session: Session, index_id: int, features: int) -> int:
    """Delete the examples, and when there are none the rows, of so many features; how many rows."""
    for table in (Example, Feature):
        condition = table.index_id == index_id
        some = select(table.feature).where(condition).distinct().order_by(table.feature)
        last = session.execute(some.limit(features)).scalars().all()
        if not last:
            continue
        condition &= table.feature <= last[-1]
        if table is Feature:
            gone = session.execute(select(*_SEARCHED).where(condition)).all()
            remove_terms(session, index_id, (_terms(*row) for row in gone))
        return changed_rows(session, delete(table).where(condition))
    return 0


def _set_columns(
    session: Session, index_id: int, names: Sequence[str], rows: Mapping[int, Sequence[Any]]
) -> None:
    """Set these columns of many features, each its own values."""
    if not rows:
        return
    table = cast(Table, Feature.__table__)
    statement = (
        update(table)
        .where(table.c.index_id == index_id, table.c.feature == bindparam("which"))
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    parameters: list[dict[str, Any]] = [
        {"which": feature, **{f"new_{n}": value for n, value in zip(names, values, strict=True)}}
        for feature, values in rows.items()
    ]
    session.connection().execute(statement, parameters)


def _terms(feature: int, label: str, label_pos: str, label_neg: str, words: str) -> Terms:
    """What a stored feature is found by; computed again, the same, when it is taken out."""
    found = searched(label, label_pos, label_neg, words)
    return Terms(feature, set().union(*found.values()))


def _require_state(session: Session, index_id: int, *states: str) -> IndexRecord:
    row = session.execute(select(*_COLUMNS).where(FeatureIndex.id == index_id)).one_or_none()
    if row is None:
        raise ValueError(f"no index has the id {index_id}")
    if row.state not in states:
        raise ValueError(f"index {index_id} is {row.state}, not {' or '.join(states)}")
    return IndexRecord(**row._mapping)
