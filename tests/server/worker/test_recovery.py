"""Runs whose process is gone: found by their free lock, and queued again or given up."""

import signal
from pathlib import Path

from server.store.runs import claim_run, create_run, request_cancel
from server.store.session import Database
from server.worker.runs import claim, recover
from tests.server.worker.toy import Toy, at_work, row, start


def test_a_run_at_work_is_left_alone_by_recovery(sqlite_database: Database, tmp_path: Path) -> None:
    run_id, steps = start(sqlite_database, tmp_path, Toy())
    next(steps)

    assert recover(sqlite_database, tmp_path) == []

    assert row(sqlite_database, run_id).state == "running"
    steps.close()


def test_a_killed_process_leaves_its_lock_free_and_its_run_is_queued_again(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path
) -> None:
    with sqlite_database.write() as session:
        run_id = create_run(session, "toy", {"sae": "x"})
    with at_work(sqlite_url, tmp_path, run_id) as child:
        assert row(sqlite_database, run_id).message == "half way"
        assert recover(sqlite_database, tmp_path) == []
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=30)

    assert recover(sqlite_database, tmp_path) == [run_id]

    assert row(sqlite_database, run_id).state == "queued"
    again = claim(sqlite_database, tmp_path, run_id)
    assert again is not None
    assert again.run.attempt == 2
    again.lock.release()


def test_a_run_whose_process_dies_too_often_has_failed(
    sqlite_database: Database, tmp_path: Path
) -> None:
    with sqlite_database.write() as session:
        run_id = create_run(session, "toy", {"sae": "x"})
        claim_run(session, run_id)

    recover(sqlite_database, tmp_path, run_id, attempts=1)

    assert row(sqlite_database, run_id).state == "failed"


def test_a_dead_run_that_was_cancelled_is_not_tried_again(
    sqlite_database: Database, tmp_path: Path
) -> None:
    with sqlite_database.write() as session:
        run_id = create_run(session, "toy", {"sae": "x"})
        claim_run(session, run_id)
        request_cancel(session, run_id)

    recover(sqlite_database, tmp_path)

    assert row(sqlite_database, run_id).state == "cancelled"
