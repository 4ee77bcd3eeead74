"""The lock that says "the process working on this run is alive".

Asked of the operating system, and of Postgres where that is the database, which several machines may
share: both free their lock the moment the process is gone, however it died, so that there is no
time-out. Postgres also frees it when it restarts: `keep` takes it again.
"""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Self

from server.store.advisory import AdvisoryLock
from server.store.session import Database


class RunLock:
    """Held by the process that works on a run; free when it ends."""

    def __init__(self, held: contextlib.ExitStack, advisory: AdvisoryLock) -> None:
        self._held = held
        self._advisory = advisory

    @classmethod
    def acquire(cls, database: Database, data_dir: Path, run_id: int) -> Self | None:
        """The lock, or None if another process (or another holder in this one) has it."""
        with contextlib.ExitStack() as undo:
            descriptor = os.open(_file(data_dir, run_id), os.O_RDWR | os.O_CREAT, 0o600)
            undo.callback(os.close, descriptor)
            if not _is_locked(descriptor, is_shared=database.url.get_backend_name() != "sqlite"):
                return None
            advisory = AdvisoryLock.acquire(database, run_id)
            if advisory is None:
                return None
            undo.callback(advisory.release)
            return cls(undo.pop_all(), advisory)

    def keep(self) -> bool:
        """Whether it is still held, or could be taken again after Postgres had restarted."""
        return self._advisory.keep()

    def release(self) -> None:
        """Let others have it. The file stays: removing it could split two holders."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _file(data_dir: Path, run_id: int) -> Path:
    folder = data_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"run-{run_id}.lock"


def _is_locked(descriptor: int, is_shared: bool) -> bool:
    """Lock a file; on a share without locks, leave it to the database that is shared as well."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        if not is_shared:
            raise ValueError(
                "the data directory lies on a disk without file locks: put it on a local one,"
                " or use Postgres"
            ) from error
    return True
