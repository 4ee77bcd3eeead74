"""The full-text index over the labels and tokens of features: FTS5 on SQLite, tsvector on Postgres.

Knows how terms are written to each engine, asked for and taken out again; what a term is, is
decided in `search_terms`. Each term carries the id of its feature index in front, so that a search
in one never reads the postings of another. Neither engine keeps the text: it stands in `feature`.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from server.store.bulk import copy_rows, dialect_of, driver_cursor, named_errors

MOST_MATCHES = 20_000
"""A search for something more common is not read to its end."""


class Found(NamedTuple):
    """Features in which every word occurs; not `is_all` of them if there are more than asked for."""

    features: Sequence[int]
    is_all: bool


class Terms(NamedTuple):
    """The terms of one feature."""

    feature: int
    terms: Collection[str]


def search(
    session: Session, index_id: int, words: Sequence[str], limit: int = MOST_MATCHES
) -> Found:
    """The features of an index in which each of these words begins a term, at most `limit`.

    `words` are what `search_terms.words_of` makes of what was typed; raises ValueError for none.
    """
    if not words:
        raise ValueError("there is nothing to search for")
    if dialect_of(session) == "sqlite":
        statement = "SELECT rowid FROM feature_search WHERE feature_search MATCH ? LIMIT ?"
        query = " AND ".join(_quoted_sqlite(_key_sqlite(index_id) + word) for word in words)
    else:
        statement = (
            "SELECT feature FROM feature_search"
            " WHERE array_to_tsvector(string_to_array(terms, ' ')) @@ CAST(%s AS tsquery) LIMIT %s"
        )
        query = " & ".join(_quoted_postgres(_key_postgres(index_id) + word) for word in words)
    # The driver's own rows: there may be tens of thousands, each of one number.
    with named_errors(session, "searching"):
        found = driver_cursor(session).execute(statement, (query, limit + 1)).fetchall()
    features = [number & 0xFFFFFFFF for (number,) in found]
    return Found(features[:limit], len(features) <= limit)


def add_terms(session: Session, index_id: int, rows: Iterable[Terms]) -> None:
    """Make features findable; those without any term are left out."""
    present = (row for row in rows if row.terms)
    if dialect_of(session) == "sqlite":
        statement = "INSERT INTO feature_search (rowid, terms) VALUES (?, ?)"
        _execute_many(session, statement, _documents(index_id, present))
        return
    key = _key_postgres(index_id)
    documents = ((index_id, row.feature, _document(key, row.terms)) for row in present)
    copy_rows(
        session, "feature_search (index_id, feature, terms)", ("int4", "int4", "text"), documents
    )


def remove_terms(session: Session, index_id: int, rows: Iterable[Terms]) -> None:
    """Make features unfindable; `rows` must hold the terms they were added with."""
    present = [row for row in rows if row.terms]
    if dialect_of(session) == "sqlite":
        # FTS5 keeps no text here, so what is to be taken out must be said again.
        statement = (
            "INSERT INTO feature_search (feature_search, rowid, terms) VALUES ('delete', ?, ?)"
        )
        _execute_many(session, statement, _documents(index_id, present))
        return
    session.execute(
        text("DELETE FROM feature_search WHERE index_id = :index AND feature = ANY(:features)"),
        {"index": index_id, "features": [row.feature for row in present]},
    )


def _execute_many(session: Session, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with named_errors(session, "writing what a search finds"):
        driver_cursor(session).executemany(statement, rows)


def _documents(index_id: int, rows: Iterable[Terms]) -> Iterable[tuple[Any, ...]]:
    key = _key_sqlite(index_id)
    return ((index_id << 32 | row.feature, _document(key, row.terms)) for row in rows)


def _document(key: str, terms: Collection[str]) -> str:
    return " ".join(key + term for term in sorted(terms))


def _key_sqlite(index_id: int) -> str:
    """Always eight characters: FTS5 keeps its own index of the first nine to eleven."""
    return f"{index_id:08x}"


def _key_postgres(index_id: int) -> str:
    return f"{index_id:x}:"


def _quoted_sqlite(term: str) -> str:
    return '"' + term.replace('"', '""') + '" *'


def _quoted_postgres(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "':*"
