"""The executor with toy children: shell commands that end, crash or never end."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server.store.runs import RunRecord, claim_run, create_run, get_run, request_cancel
from server.store.session import Database
from server.worker import executor as executor_module
from server.worker.executor import Executor

FINISH = """
import sys
from server.store.runs import claim_run, finish_run
from server.store.session import Database
with Database(sys.argv[1]).write() as session:
    finish_run(session, claim_run(session, int(sys.argv[2])), "done", result={})
"""
CRASH = """
import os, sys
from server.store.runs import claim_run
from server.store.session import Database
with Database(sys.argv[1]).write() as session:
    claim_run(session, int(sys.argv[2]))
os.kill(os.getpid(), 9)
"""
CRASH_AT_ONCE = "raise SystemExit(1)"
HANG = """
import sys, time
from pathlib import Path
from server.store.session import Database
from server.worker.runs import claim
claimed = claim(Database(sys.argv[1]), Path(sys.argv[3]), int(sys.argv[2]))
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(executor_module, "CANCEL_GRACE_SECONDS", 0.1)


@contextmanager
def executing(database: Database, url: str, data_dir: Path, script: str) -> Iterator[Executor]:
    root = str(Path(executor_module.__file__).resolve().parents[2])

    def start_child(run_id: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", script, url, str(run_id), str(data_dir)]
        return subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)

    executor = Executor(database, data_dir, {}, start_child)
    executor.start()
    try:
        yield executor
    finally:
        executor.stop()


def queue(database: Database) -> int:
    with database.write() as session:
        return create_run(session, "toy", {})


def wait_for(
    database: Database, run_id: int, is_there: Callable[[RunRecord], bool], seconds: float = 200
) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with database.read() as session:
            run = get_run(session, run_id)
        assert run is not None
        if is_there(run):
            return run
        time.sleep(0.02)
    raise AssertionError(f"run is still {run}")


def test_queued_runs_are_done_oldest_first(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    first, second = queue(sqlite_database), queue(sqlite_database)

    with executing(sqlite_database, sqlite_url, tmp_path, FINISH):
        after = wait_for(sqlite_database, second, lambda run: run.state == "done")
        before = wait_for(sqlite_database, first, lambda run: run.state == "done")

    assert before.finished_at <= after.started_at


def test_a_run_left_by_a_dead_process_is_taken_up_at_the_start(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    run_id = queue(sqlite_database)
    with sqlite_database.write() as session:
        claim_run(session, run_id)

    with executing(sqlite_database, sqlite_url, tmp_path, FINISH):
        done = wait_for(sqlite_database, run_id, lambda run: run.state == "done")

    assert done.attempt == 2


def test_a_run_that_keeps_killing_its_process_fails_after_three_attempts(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    run_id = queue(sqlite_database)

    with executing(sqlite_database, sqlite_url, tmp_path, CRASH):
        failed = wait_for(sqlite_database, run_id, lambda run: not run.is_active)

    assert (failed.state, failed.attempt) == ("failed", 3)


def test_a_run_whose_process_cannot_even_begin_fails(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    run_id = queue(sqlite_database)

    with executing(sqlite_database, sqlite_url, tmp_path, CRASH_AT_ONCE):
        failed = wait_for(sqlite_database, run_id, lambda run: not run.is_active)

    assert failed.state == "failed"
    assert "status 1" in failed.error


def test_stopping_puts_the_run_back_into_the_queue(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    run_id = queue(sqlite_database)

    with executing(sqlite_database, sqlite_url, tmp_path, HANG):
        wait_for(sqlite_database, run_id, lambda run: run.state == "running")

    assert wait_for(sqlite_database, run_id, lambda run: run.state == "queued")


def test_a_cancelled_run_that_does_not_listen_is_killed(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    run_id = queue(sqlite_database)

    with executing(sqlite_database, sqlite_url, tmp_path, HANG):
        wait_for(sqlite_database, run_id, lambda run: run.state == "running")
        with sqlite_database.write() as session:
            request_cancel(session, run_id)

        assert wait_for(sqlite_database, run_id, lambda run: run.state == "cancelled")
