"""Writing an index: begin, fill, publish, delete.

Knows the tables `feature_index`, `feature` and `example` and how rows get into them. An index is
filled over many transactions and seen by nobody until `publish_index` makes it the SAE's own in
one statement; from then on its features and examples do not change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from server.store.bulk import bulk_insert, changed_rows
from server.store.encoding import dump_json, finite_or_none, now
from server.store.index_rows import (
    EXAMPLE_COLUMNS,
    FEATURE_COLUMNS,
    ExampleRow,
    FeatureRow,
    example_values,
    feature_values,
)
from server.store.tables import ConceptScore, Example, Feature, FeatureIndex, Sae


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
    created_at: str
    published_at: str | None


_COLUMNS = [FeatureIndex.__table__.c[name] for name in IndexRecord.__dataclass_fields__]


def begin_index(session: Session, sae_id: int, corpus_id: int) -> int:
    """The id of a new, empty, invisible index."""
    values = {"state": "building", "tokens": 0, "windows": 0, "live": 0, "two_sided": 0}
    statement = insert(FeatureIndex).values(
        sae_id=sae_id, corpus_id=corpus_id, created_at=now(), **values
    )
    return session.execute(statement.returning(FeatureIndex.id)).scalar_one()


def write_features(session: Session, index_id: int, rows: Iterable[FeatureRow]) -> None:
    """Add features, about a thousand per transaction; raises ValueError once published."""
    _require_state(session, index_id, "building")
    tuples = (feature_values(index_id, row) for row in rows)
    bulk_insert(session, Feature, FEATURE_COLUMNS, tuples)


def write_examples(session: Session, index_id: int, rows: Iterable[ExampleRow]) -> None:
    """Add examples, those of about a thousand features per transaction; as `write_features`."""
    _require_state(session, index_id, "building")
    tuples = (example_values(index_id, row) for row in rows)
    bulk_insert(session, Example, EXAMPLE_COLUMNS, tuples)


def update_opposition(
    session: Session,
    index_id: int,
    values: Sequence[tuple[int, float | None]],
    null_summary: dict[str, Any],
) -> None:
    """Set the opposition of these (feature, value) pairs, and the null it is shown beside."""
    _require_state(session, index_id, "building", "published")
    session.execute(
        update(FeatureIndex)
        .where(FeatureIndex.id == index_id)
        .values(null_summary=dump_json(null_summary))
    )
    if values:
        table = cast(Table, Feature.__table__)
        session.connection().execute(
            update(table)
            .where(table.c.index_id == index_id, table.c.feature == bindparam("which"))
            .values(opposition=bindparam("value")),
            [{"which": int(which), "value": finite_or_none(value)} for which, value in values],
        )


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
        )
    )


def delete_index(session: Session, index_id: int, features: int | None = None) -> bool:
    """Delete an unpublished index and say whether it is gone.

    With `features`, at most the rows of so many features go in one call, so that a large index
    can be deleted in short transactions: call until True. Raises ValueError if it is published.
    """
    _require_state(session, index_id, "building", "replaced")
    for table in (Example, Feature):
        condition = table.index_id == index_id
        if features is not None:
            some = select(table.feature).where(condition).distinct().order_by(table.feature)
            last = session.execute(some.limit(features)).scalars().all()
            condition &= table.feature <= (last[-1] if last else -1)
        deleted = changed_rows(session, delete(table).where(condition))
        if features is not None and deleted:
            return False
    session.execute(delete(ConceptScore).where(ConceptScore.index_id == index_id))
    session.execute(delete(FeatureIndex).where(FeatureIndex.id == index_id))
    return True


def list_indexes(session: Session, sae_id: int | None = None) -> list[IndexRecord]:
    """Indexes in every state, oldest first: of one SAE, or of all."""
    query = select(*_COLUMNS).order_by(FeatureIndex.id)
    if sae_id is not None:
        query = query.where(FeatureIndex.sae_id == sae_id)
    return [IndexRecord(**row._mapping) for row in session.execute(query)]


def _require_state(session: Session, index_id: int, *states: str) -> IndexRecord:
    row = session.execute(select(*_COLUMNS).where(FeatureIndex.id == index_id)).one_or_none()
    if row is None:
        raise ValueError(f"no index has the id {index_id}")
    if row.state not in states:
        raise ValueError(f"index {index_id} is {row.state}, not {' or '.join(states)}")
    return IndexRecord(**row._mapping)
