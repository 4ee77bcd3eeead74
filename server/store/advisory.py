"""A lock that Postgres keeps for one connection: free as soon as that connection is gone.

Knows Postgres' session advisory locks. A SQLite file is used by one machine alone, on which a file
lock says the same, so there is nothing to take. Needs a connection of its own: a pooler that shares
connections between transactions would share the lock, too.
"""

import contextlib
from typing import Self

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from server.store.session import Database

SPACE = 0x44_69_70_6F
"""The first half of every key ("Dipo"): other programs may lock in the same database."""
KEEPALIVE = {
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
}
"""Seconds, seconds, times: a machine that lost its power is noticed within a minute, not in hours."""
_TAKE = text("SELECT pg_try_advisory_lock(:space, :number)")
_FREE = text("SELECT pg_advisory_unlock(:space, :number)")


class AdvisoryLock:
    """Held until it is released, or the process or its connection ends."""

    def __init__(self, database: Database, number: int, connection: Connection | None) -> None:
        self._database = database
        self._key = {"space": SPACE, "number": number}
        self._connection = connection

    @classmethod
    def acquire(cls, database: Database, number: int) -> Self | None:
        """The lock of this number, or None while somebody else has it."""
        lock = cls(database, number, None)
        return lock if lock._take() else None

    def keep(self) -> bool:
        """Whether it is held; taken again if its connection broke and nobody else has it."""
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT 1"))
                return True
            self.release()
        return self._take()

    def release(self) -> None:
        """Let others have it, at once: a closed connection frees it some milliseconds later."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.execute(_FREE, self._key)
            connection.close()

    def _take(self) -> bool:
        if self._database.url.get_backend_name() == "sqlite":
            return True
        engine = create_engine(self._database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with contextlib.ExitStack() as undo:
            connection = undo.enter_context(engine.connect())
            for name, value in KEEPALIVE.items():
                connection.execute(text(f"SET {name} = {value}"))
            if not connection.execute(_TAKE, self._key).scalar_one():
                return False
            undo.pop_all()
            self._connection = connection
            return True
