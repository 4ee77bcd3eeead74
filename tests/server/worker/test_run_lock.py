"""The lock of a run: one holder on a machine, one on all machines that share a Postgres database."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from server.store.session import Database
from server.worker.run_lock import RunLock
from tests.postgres import url_of

HOLD = """
import sys, time
from pathlib import Path
from server.store.session import Database
from server.worker.run_lock import RunLock
lock = RunLock.acquire(Database(sys.argv[1]), Path(sys.argv[2]), 7)
print("held" if lock else "refused", flush=True)
time.sleep(600)
"""
SECONDS = 120


def test_one_holder_at_a_time_and_each_run_has_a_lock_of_its_own(
    database: Database, tmp_path: Path
) -> None:
    first = RunLock.acquire(database, tmp_path, 7)
    assert first is not None
    with first:
        assert RunLock.acquire(database, tmp_path, 7) is None
        other = RunLock.acquire(database, tmp_path, 8)
        assert other is not None
        other.release()
    again = RunLock.acquire(database, tmp_path, 7)
    assert again is not None
    again.release()


def test_machines_that_share_postgres_but_no_folder_share_the_lock(
    backend: str, database: Database, tmp_path: Path
) -> None:
    here = RunLock.acquire(database, tmp_path / "here", 7)
    assert here is not None
    with here:
        there = RunLock.acquire(database, tmp_path / "there", 7)
        if backend == "postgres":
            assert there is None
        else:  # a SQLite file is one machine's, and its data directory one folder
            assert there is not None
            there.release()


def test_the_lock_of_a_killed_process_is_free(
    backend: str, database: Database, database_url: str, tmp_path: Path
) -> None:
    folders = [tmp_path, tmp_path / "elsewhere"] if backend == "postgres" else [tmp_path]
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, database_url, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            assert all(RunLock.acquire(database, folder, 7) is None for folder in folders)
        finally:
            holder.kill()
    end = time.monotonic() + SECONDS
    for folder in folders:
        while (lock := RunLock.acquire(database, folder, 7)) is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        lock.release()


@pytest.mark.postgres
def test_a_lock_that_a_restart_freed_is_taken_again_or_known_to_be_lost(
    restarting, open_database, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    database = open_database(url_of(str(restarting.folder), "postgres"))
    lock = RunLock.acquire(database, here, 7)
    assert lock is not None
    assert lock.keep()

    restarting.stop(signal.SIGQUIT)
    restarting.start()
    assert lock.keep()
    assert RunLock.acquire(database, there, 7) is None

    restarting.stop(signal.SIGQUIT)
    restarting.start()
    taken = RunLock.acquire(database, there, 7)
    assert taken is not None
    assert not lock.keep()
    lock.release()
    taken.release()


def test_a_released_lock_is_free_at_once(backend: str, database: Database, tmp_path: Path) -> None:
    lock = RunLock.acquire(database, tmp_path, 7)
    assert lock is not None
    lock.release()
    if backend == "postgres":
        with database.read() as session:
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7")
            assert session.execute(held).scalar_one() == 0
