"""The fast way into the big tables: each database's own bulk path.

Knows how SQLite and Postgres load many rows; the rows' meaning is the caller's. Measured against
SQLAlchemy's insert: four times faster on SQLite, seven times on Postgres.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Column, CursorResult, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from server.store.base import Base

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_POSTGRES_NAMES = {
    "INTEGER": "int4",
    "SMALLINT": "int2",
    "BIGINT": "int8",
    "REAL": "float4",
    "DOUBLE PRECISION": "float8",
    "TEXT": "text",
    "BYTEA": "bytea",
}


def dialect_of(session: Session) -> str:
    """The session's database: sqlite or postgresql."""
    return session.get_bind().dialect.name


def insert_for(session: Session, table: Any) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that can say ON CONFLICT."""
    # Loaded when it is used: each dialect holds megabytes, and a process needs only one of them.
    if dialect_of(session) == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return postgres_insert(table)


def changed_rows(session: Session, statement: Any) -> int:
    """Run an UPDATE or DELETE and say how many rows it touched."""
    return cast(CursorResult[Any], session.execute(statement)).rowcount


def driver_cursor(session: Session, *, binary: bool = False) -> Any:
    """A cursor of the driver itself, in the session's transaction; SQLite's is always binary."""
    connection: Any = session.connection().connection
    if binary and dialect_of(session) != "sqlite":
        return connection.cursor(binary=True)
    return connection.cursor()


def copy_rows(
    session: Session, target: str, types: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Load rows into a table of Postgres, named with its columns, by COPY."""
    with named_errors(session, f"copy into {target}"), driver_cursor(session) as cursor:
        _copy(cursor, target, list(types), rows)


def bulk_insert(
    session: Session,
    table: type[Base],
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore_present: bool = False,
) -> None:
    """Add rows to a table (plain ints, floats, strings and bytes, in the order of `columns`).

    `ignore_present` leaves rows alone whose key is already there; otherwise that is an error.
    """
    target: Table = cast(Table, table.__table__)
    with named_errors(session, f"bulk insert into {target.name}"):
        if dialect_of(session) == "sqlite":
            _insert_sqlite(session, target, columns, rows, ignore_present)
        else:
            _insert_postgres(session, target, columns, rows, ignore_present)


def _insert_sqlite(
    session: Session,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    ignore_present: bool,
) -> None:
    verb = "INSERT OR IGNORE" if ignore_present else "INSERT"
    marks = ", ".join("?" * len(columns))
    cursor = driver_cursor(session)
    cursor.executemany(f"{verb} INTO {table.name} ({', '.join(columns)}) VALUES ({marks})", rows)


def _insert_postgres(
    session: Session,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    ignore_present: bool,
) -> None:
    names = ", ".join(columns)
    types = [_postgres_type(table.c[column]) for column in columns]
    with driver_cursor(session) as cursor:
        if not ignore_present:
            _copy(cursor, f"{table.name} ({names})", types, rows)
            return
        # COPY knows no ON CONFLICT, so the rows go through a table of this transaction's own.
        cursor.execute(f"CREATE TEMP TABLE incoming AS SELECT {names} FROM {table.name} LIMIT 0")
        _copy(cursor, f"incoming ({names})", types, rows)
        cursor.execute(
            f"INSERT INTO {table.name} ({names}) SELECT {names} FROM incoming"
            " ON CONFLICT DO NOTHING"
        )
        cursor.execute("DROP TABLE incoming")


def _copy(cursor: Any, target: str, types: list[str], rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _postgres_type(column: Column[Any]) -> str:
    from sqlalchemy.dialects import postgresql

    return _POSTGRES_NAMES[column.type.compile(dialect=postgresql.dialect())]


@contextmanager
def named_errors(session: Session, doing: str) -> Iterator[None]:
    """Raise what the driver raises as SQLAlchemy's exceptions, as every other query does."""
    dialect = session.get_bind().dialect
    base: type[Exception] = cast(Any, dialect).dbapi.Error
    try:
        yield
    except base as error:
        raise DBAPIError.instance(doing, None, error, base, dialect=dialect) from error
