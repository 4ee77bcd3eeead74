"""One database: where sessions for writing and for reading come from.

Knows how SQLite and Postgres must be opened so that writers queue up instead of failing and a
reader sees one moment of the database from its first query to its last. Knows no table.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

BUSY_SECONDS = 30
"""How long a writer waits for another one on SQLite before it gives up."""


class Database:
    """Sessions on one database; make one per process and `dispose` of it at the end."""

    def __init__(self, url: str) -> None:
        self.url = parse_url(url)
        if self.url.get_backend_name() == "sqlite":
            self._writer = sqlite_engine(self.url)
            self._reader = sqlite_engine(self.url, read_only=True)
        else:
            self._writer = create_engine(self.url, pool_pre_ping=True)
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one write transaction: committed at the end, rolled back by an exception.

        On SQLite only one exists at a time, so keep it short (below 0.3 s).
        """
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the database and cannot change it."""
        with Session(self._reader, expire_on_commit=False) as session, session.begin():
            yield session

    def dispose(self) -> None:
        """Close every pooled connection."""
        self._writer.dispose()
        self._reader.dispose()


def parse_url(url: str) -> URL:
    """The URL with its driver named; raises ValueError, one sentence, for one we cannot open."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError(
            "the database URL cannot be read: it looks like sqlite:///dipole.db"
            " or postgresql://user:password@host/name"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or "mode=memory" in url:
            raise ValueError("SQLite in memory cannot be shared: name a file, sqlite:///dipole.db")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError(f"{backend} is not supported: use sqlite:/// or postgresql://")


def sqlite_engine(url: URL, *, read_only: bool = False, foreign_keys: bool = True) -> Engine:
    """An engine on a SQLite file whose transactions begin when we say so, as we say so."""
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        # The driver would begin on its own, too late and without IMMEDIATE.
        connection.isolation_level = None
        if not read_only and _mode(connection) != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A plain BEGIN that later turns into a write fails with "database is locked".
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database, None for Postgres."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _mode(connection: Any) -> str:
    return connection.execute("PRAGMA journal_mode").fetchone()[0]
