from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from server.store.runs import (
    claim_run,
    create_run,
    finish_run,
    get_run,
    list_runs,
    report_run,
    request_cancel,
    requeue_run,
)


def queue(database, kind: str = "index", **payload) -> int:
    with database.write() as session:
        return create_run(session, kind, payload)


def claim(database, run: int | None = None):
    with database.write() as session:
        return claim_run(session, run)


def call(database, function, *arguments, **options):
    with database.write() as session:
        return function(session, *arguments, **options)


def test_a_new_run_waits_with_its_payload(database):
    run = call(database, get_run, queue(database, "train", text="\x00", k=4))
    assert (run.state, run.attempt, run.payload) == ("queued", 0, {"text": "\x00", "k": 4})
    assert run.is_active
    assert run.share is None


def test_the_oldest_run_is_claimed_first(database):
    runs = [queue(database), queue(database)]
    assert [claim(database).id, claim(database).id, claim(database)] == [*runs, None]


def test_a_run_can_be_claimed_by_its_id(database):
    _, second = queue(database), queue(database)
    claimed = claim(database, second)
    assert (claimed.id, claimed.state, claimed.attempt) == (second, "running", 1)
    assert claimed.started_at == claimed.heartbeat_at
    assert claim(database, second) is None


def test_one_of_several_threads_gets_a_run(database):
    run = queue(database)
    start = Barrier(8)

    def try_to_claim(_: int):
        start.wait()
        return claim(database, run)

    with ThreadPoolExecutor(8) as pool:
        claimed = [record for record in pool.map(try_to_claim, range(8)) if record]
    assert [record.attempt for record in claimed] == [1]


def test_several_threads_share_several_runs_without_overlap(database):
    runs = {queue(database) for _ in range(12)}
    start = Barrier(4)

    def claim_all(_: int) -> list[int]:
        start.wait()
        return [record.id for record in iter(lambda: claim(database), None)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [run for part in pool.map(claim_all, range(4)) for run in part]
    assert len(claimed) == len(runs)
    assert set(claimed) == runs


def test_progress_is_written_with_a_heartbeat(database):
    queue(database)
    run = claim(database)
    assert call(database, report_run, run, 30, 120, "half way \ud800")
    seen = call(database, get_run, run.id)
    assert (seen.done, seen.total, seen.message, seen.share) == (30, 120, "half way \ufffd", 0.25)
    assert seen.heartbeat_at >= run.heartbeat_at


def test_a_run_ends_with_its_result(database):
    queue(database)
    run = claim(database)
    assert call(database, finish_run, run, "done", result={"sae": 3})
    seen = call(database, get_run, run.id)
    assert (seen.state, seen.result, seen.error, seen.is_active) == (
        "done",
        {"sae": 3},
        None,
        False,
    )
    assert seen.finished_at


def test_a_failed_run_says_why(database):
    queue(database)
    run = claim(database)
    call(database, finish_run, run, "failed", error="no text in x.txt")
    assert call(database, get_run, run.id).error == "no text in x.txt"


WRITES = {
    "report": lambda session, run: report_run(session, run, 1, 2, "stale"),
    "finish": lambda session, run: finish_run(session, run, "done", {"stale": True}),
    "requeue": lambda session, run: requeue_run(session, run),
}


@pytest.mark.parametrize("write", WRITES)
def test_a_stale_attempt_cannot_write(database, write):
    queue(database)
    stale = claim(database)
    call(database, requeue_run, stale)
    current = claim(database)
    assert not call(database, WRITES[write], stale)
    assert call(database, get_run, current.id) == current


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_run_that_has_ended_cannot_be_written(database, write, state):
    queue(database)
    run = claim(database)
    call(database, finish_run, run, state)
    ended = call(database, get_run, run.id)
    assert not call(database, WRITES[write], run)
    assert call(database, get_run, run.id) == ended


def test_a_waiting_run_is_cancelled_at_once(database):
    run = queue(database)
    assert call(database, request_cancel, run)
    assert call(database, get_run, run).state == "cancelled"
    assert claim(database) is None


def test_a_working_run_is_told_to_stop_when_it_reports(database):
    queue(database)
    run = claim(database)
    assert call(database, request_cancel, run.id)
    assert not call(database, report_run, run, 1, 2)
    assert call(database, finish_run, run, "cancelled")


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_a_run_that_has_ended_cannot_be_cancelled(database, state):
    queue(database)
    run = claim(database)
    call(database, finish_run, run, state)
    assert not call(database, request_cancel, run.id)


def test_a_run_without_a_process_is_tried_again(database):
    queue(database)
    run = claim(database)
    call(database, report_run, run, 5, 10, "reading")
    assert call(database, requeue_run, run) == "queued"
    again = claim(database)
    assert (again.attempt, again.done, again.message) == (2, 0, "")


def test_a_run_that_keeps_losing_its_process_fails(database):
    queue(database)
    states = [call(database, requeue_run, claim(database)) for _ in range(3)]
    assert states == ["queued", "queued", "failed"]
    assert "3 times" in call(database, list_runs)[0].error


def test_a_run_asked_to_stop_is_not_tried_again(database):
    queue(database)
    run = claim(database)
    call(database, request_cancel, run.id)
    assert call(database, requeue_run, run) == "cancelled"


def test_runs_are_listed_newest_first_and_by_state(database):
    runs = [queue(database) for _ in range(3)]
    claim(database)
    assert [run.id for run in call(database, list_runs)] == runs[::-1]
    assert [run.id for run in call(database, list_runs, states=["running"])] == runs[:1]
    assert [run.id for run in call(database, list_runs, limit=1)] == runs[2:]


@pytest.mark.parametrize("run", [0, -1, 5, 2**31, 2**70])
def test_a_run_that_is_not_there_is_none(database, run):
    assert call(database, get_run, run) is None


def test_progress_that_is_no_number_is_refused(database):
    queue(database)
    run = claim(database)
    with pytest.raises(ValueError, match="progress"):
        call(database, report_run, run, float("nan"), 1)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(
    steps=st.lists(st.sampled_from(["claim", "report", "cancel", "requeue", "finish"]), max_size=12)
)
def test_attempts_only_grow_and_an_end_is_an_end(sqlite_database, steps):
    run = queue(sqlite_database)
    held, last = None, call(sqlite_database, get_run, run)
    for step in steps:
        if step == "claim":
            held = claim(sqlite_database, run) or held
        elif step == "cancel":
            call(sqlite_database, request_cancel, run)
        elif held is not None:
            call(sqlite_database, {**WRITES}[step], held)
        seen = call(sqlite_database, get_run, run)
        assert seen.attempt - last.attempt == (
            1 if step == "claim" and last.state == "queued" else 0
        )
        assert last.is_active or replace(seen, heartbeat_at=None) == replace(
            last, heartbeat_at=None
        )
        last = seen


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgres"], indirect=True)
def test_a_claim_in_progress_does_not_hold_up_the_next_one(database):
    runs = [queue(database), queue(database)]
    with database.write() as first, database.write() as second:
        second.execute(text("SET LOCAL lock_timeout = '5s'"))
        assert [claim_run(first).id, claim_run(second).id] == runs
