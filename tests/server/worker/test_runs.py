"""Runs with a toy task: what stands in the table while one works, ends or is cancelled."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from server.protocol import MapRequest
from server.store.run_points import list_points
from server.store.runs import create_run, finish_run, report_run, request_cancel
from server.store.session import Database
from server.store.tables import Run
from server.worker import runs
from server.worker.progress import Progress
from server.worker.run_lock import RunLock
from server.worker.runs import RunStopped, claim, execute
from tests.server.worker.toy import Toy, row, start


@pytest.fixture
def report_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0.0)


def test_a_finished_run_holds_its_result_and_its_last_progress(
    database: Database, tmp_path: Path
) -> None:
    toy = Toy()
    run_id, steps = start(database, tmp_path, toy)

    assert [step.message for step in steps] == ["one", "two", "three"]

    done = row(database, run_id)
    assert toy.request == MapRequest(sae="x")
    assert (done.state, done.result, done.attempt) == ("done", {"answer": 42}, 1)
    assert (done.done, done.total, done.message) == (3, 3, "three")


@pytest.mark.usefixtures("report_every_step")
def test_progress_stands_in_the_table_while_the_run_works(
    database: Database, tmp_path: Path
) -> None:
    run_id, steps = start(database, tmp_path, Toy())

    next(steps)

    at_work = row(database, run_id)
    assert (at_work.state, at_work.done, at_work.total) == ("running", 1, 3)
    assert (at_work.message, at_work.heartbeat_at is not None) == ("one", True)
    steps.close()


def test_progress_is_not_written_more_often_than_allowed(
    sqlite_database: Database, tmp_path: Path
) -> None:
    run_id, steps = start(sqlite_database, tmp_path, Toy())

    next(steps)
    next(steps)

    assert row(sqlite_database, run_id).message == "one"
    steps.close()


def test_the_last_figures_before_a_phase_without_any_are_a_point_of_the_curve(
    sqlite_database: Database, tmp_path: Path
) -> None:
    def measured(*_: Any) -> Iterator[Progress]:
        for done in (1.0, 2.0, 3.0):
            yield Progress(done, 3, f"trained {done}", figures={"nmse": 1 / done})
        yield Progress(3, 3, "indexing")
        yield Progress(3, 3, "mapping")

    run_id, steps = start(sqlite_database, tmp_path, measured)

    list(steps)

    with sqlite_database.read() as session:
        assert [point.done for point in list_points(session, run_id)] == [1, 3]
    assert row(sqlite_database, run_id).message == "mapping"


@pytest.mark.usefixtures("report_every_step")
def test_a_cancelled_run_stops_at_its_next_step(database: Database, tmp_path: Path) -> None:
    toy = Toy()
    run_id, steps = start(database, tmp_path, toy)
    next(steps)
    with database.write() as session:
        request_cancel(session, run_id)

    with pytest.raises(RunStopped, match="cancelled"):
        next(steps)

    assert row(database, run_id).state == "cancelled"
    assert toy.was_closed


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no text in story.txt: give another file"), "no text in story.txt: give"),
        (RuntimeError("out of memory"), "RuntimeError: out of memory"),
    ],
)
def test_a_run_that_raises_has_failed_with_the_sentence(
    database: Database, tmp_path: Path, error: Exception, sentence: str
) -> None:
    run_id, steps = start(database, tmp_path, Toy(error))

    with pytest.raises(type(error)):
        list(steps)

    failed = row(database, run_id)
    assert failed.state == "failed"
    assert failed.error.startswith(sentence)


def test_a_payload_that_does_not_fit_fails_the_run(
    sqlite_database: Database, tmp_path: Path
) -> None:
    with sqlite_database.write() as session:
        run_id = create_run(session, "toy", {"sae": "x", "nonsense": 1})
    claimed = claim(sqlite_database, tmp_path, run_id)
    assert claimed is not None

    context: Any = SimpleNamespace(database=sqlite_database, stopping=Event())
    with pytest.raises(ValueError, match="nonsense"):
        list(execute(context, claimed, {"toy": (MapRequest, Toy())}))  # type: ignore[dict-item]

    assert row(sqlite_database, run_id).state == "failed"


def test_closing_the_iterator_cancels_the_run_and_closes_the_task(
    sqlite_database: Database, tmp_path: Path
) -> None:
    toy = Toy()
    run_id, steps = start(sqlite_database, tmp_path, toy)
    next(steps)

    steps.close()

    assert row(sqlite_database, run_id).state == "cancelled"
    assert toy.was_closed


def test_a_run_is_locked_while_it_works_and_free_afterwards(
    database: Database, tmp_path: Path
) -> None:
    run_id, steps = start(database, tmp_path, Toy())

    next(steps)
    assert RunLock.acquire(database, tmp_path, run_id) is None

    list(steps)
    lock = RunLock.acquire(database, tmp_path, run_id)
    assert lock is not None
    lock.release()


@pytest.mark.parametrize("ended", ["done", "cancelled"])
def test_a_run_whose_end_is_written_while_the_connection_breaks_was_not_taken_over(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    run_id, steps = start(database, tmp_path, Toy())
    next(steps)
    write, broken = database.write, []

    @contextlib.contextmanager
    def breaking() -> Iterator[Session]:
        with write() as session:
            yield session
        if not broken and row(database, run_id).state != "running":
            broken.append(1)
            if ended == "cancelled":  # by somebody else, who found this process dead
                with write() as session:
                    session.execute(update(Run).values(state="cancelled"))
            raise OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)

    monkeypatch.setattr(database, "write", breaking)
    if ended == "done":
        assert list(steps)[-1].result == {"answer": 42}
    else:
        with pytest.raises(RunStopped, match="taken over"):
            list(steps)

    assert broken
    assert row(database, run_id).state == ended


def test_a_queued_run_is_claimed_once(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        run_id = create_run(session, "toy", {"sae": "x"})

    claimed = claim(database, tmp_path, run_id)
    assert claimed is not None
    assert claim(database, tmp_path, run_id) is None

    claimed.lock.release()
    assert claim(database, tmp_path, run_id) is None


@pytest.mark.usefixtures("report_every_step")
def test_a_stale_attempt_can_write_nothing(database: Database, tmp_path: Path) -> None:
    run_id, stale = start(database, tmp_path, Toy())
    first = row(database, run_id)
    # As if this process had been given up for dead: another one takes the run and ends it.
    with database.write() as session:
        finish_run(session, first, "failed", error="given up")
    with pytest.raises(RunStopped):
        list(stale)

    assert row(database, run_id).error == "given up"
    with database.write() as session:
        assert report_run(session, first, 9, 9, "late") is False
    assert row(database, run_id).message != "late"
