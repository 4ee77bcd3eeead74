"""One database: where sessions for writing and for reading come from.

Knows how SQLite and Postgres must be opened so that writers queue up instead of failing and a
reader sees one moment of the database from its first query to its last. Knows no table.
"""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session

from server.settings import Settings
from server.store.columns import Columns

T = TypeVar("T")
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts to write to a Postgres that is restarting."""
BUSY_SECONDS = 30
"""How long a writer waits for another one on SQLite before it gives up."""


class StorageFull(RuntimeError):
    """There is no room left to write to; nothing of the transaction was kept."""


class DatabaseBusy(RuntimeError):
    """Somebody else has been writing for longer than anybody should."""


@dataclass(frozen=True)
class Room:
    """The folders whose disks must have so many MiB free before new work begins."""

    folders: tuple[Path, ...]
    least: int

    def require(self) -> None:
        """Raise ValueError, one sentence, if less is free."""
        for folder in self.folders:
            there = next(each for each in (folder, *folder.parents) if each.exists())
            free = shutil.disk_usage(there).free // 2**20
            if free < self.least:
                raise ValueError(
                    f"only {free:,} MiB are free on the disk of {folder}, less than the"
                    f" {self.least:,} that new work requires: free some, or lower"
                    " DIPOLE_MIN_FREE_MIB"
                )


class Database:
    """Sessions on one database; make one per process and `dispose` of it at the end.

    `room`: what `runs.create_run` requires before it takes in new work.
    """

    def __init__(self, url: str, room: Room | None = None) -> None:
        self.url = parse_url(url)
        self._info = {"columns": Columns(), "room": room}
        if self.url.get_backend_name() == "sqlite":
            self._writer = sqlite_engine(self.url)
            self._reader = sqlite_engine(self.url, read_only=True)
        else:
            self._writer = create_engine(self.url, pool_pre_ping=True)
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The database that these settings name, with the room that they require."""
        file = sqlite_file(parse_url(settings.database_url))
        folders = {settings.data_dir} if file is None else {settings.data_dir, file.parent}
        room = Room(tuple(sorted(folders)), settings.min_free_mib)
        return cls(settings.database_url, room if room.least else None)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session in one write transaction: committed at the end, rolled back by an exception.

        On SQLite only one exists at a time, so keep it short (below 0.3 s). Raises StorageFull
        and DatabaseBusy for what a person must see to.
        """
        try:
            with (
                Session(self._writer, expire_on_commit=False, info=self._info) as session,
                session.begin(),
            ):
                yield session
        except DBAPIError as error:
            raise _explained(error) or error from error

    def write_again(self, work: Callable[[Session], T], pauses: Sequence[float] = PAUSES) -> T:
        """What `work` returns, done in a write transaction, anew if the connection breaks.

        A database that restarts is waited for, `pauses` seconds in turn. Only for work that may be
        done twice: whether a transaction took place whose connection broke while it was committed,
        nobody knows.
        """
        for pause in (*pauses, None):
            try:
                with self.write() as session:
                    return work(session)
            except DBAPIError as error:
                if pause is None or not _is_broken(error):
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one moment of the database and cannot change it."""
        with (
            Session(self._reader, expire_on_commit=False, info=self._info) as session,
            session.begin(),
        ):
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
        if not read_only:
            _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            # A transaction of a thousand features dirties 5 MB: it should neither spill out of the
            # cache half-way nor be copied to the database file, with two syncs, at every commit.
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("PRAGMA wal_autocheckpoint = 8192")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A plain BEGIN that later turns into a write fails with "database is locked".
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: Any) -> None:
    """Switch a file to WAL: SQLite's own timeout does not cover others that are doing the same."""
    until = time.monotonic() + BUSY_SECONDS
    while _mode(connection) != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database, None for Postgres."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _is_broken(error: DBAPIError) -> bool:
    """Whether the connection is gone, or, while Postgres restarts, cannot be made."""
    state = getattr(error.orig, "sqlstate", None)
    is_unreachable = (
        isinstance(error, OperationalError)
        and state is None
        and not isinstance(error.orig, sqlite3.Error)
    )
    return error.connection_invalidated or is_unreachable or state in ("57P01", "57P02", "57P03")


def _explained(error: DBAPIError) -> RuntimeError | None:
    """The same in a sentence that says what to do, if there is something to do."""
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    state = getattr(error.orig, "sqlstate", None)
    if code == sqlite3.SQLITE_FULL or state == "53100":
        return StorageFull("the disk of the database is full: free some space, then start again")
    if code == sqlite3.SQLITE_BUSY:
        return DatabaseBusy(
            f"another process has been writing to the database for {BUSY_SECONDS} seconds:"
            " see what it does, then start again"
        )
    return None


def _mode(connection: Any) -> str:
    return connection.execute("PRAGMA journal_mode").fetchone()[0]
