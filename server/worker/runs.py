"""One run from claim to end: its lock, its progress in the table, its final state.

Does not know what a task computes, nor torch: tasks are handed in. Whether a run is alive is
asked of its lock (see `run_lock`).
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy.orm import Session

from server.protocol import Message
from server.store.run_points import write_point
from server.store.runs import (
    ATTEMPTS,
    MOST_ACTIVE,
    RunRecord,
    claim_run,
    create_run,
    finish_run,
    get_run,
    list_runs,
    reopen_run,
    report_run,
    requeue_run,
)
from server.store.session import Database
from server.worker.progress import Progress, RunInterrupted, TaskContext, TaskFailed
from server.worker.run_lock import RunLock

REPORT_SECONDS = 0.5
"""Progress is written, and a cancel noticed, at most this often."""

FREED_SECONDS = 2.0
"""How long a lock may outlive the process that held it."""

Task = Callable[[TaskContext, Any], Iterator[Progress]]
Tasks = Mapping[str, tuple[type[Message], Task]]


class RunStopped(RuntimeError):
    """The run was cancelled, or another attempt has taken it over."""


class ClaimedRun(NamedTuple):
    """A run in state running, and the lock that its process holds."""

    run: RunRecord
    lock: RunLock


def begin(database: Database, data_dir: Path, kind: str, request: Message) -> ClaimedRun:
    """A new run that this process does itself: never seen queued, so no worker takes it."""
    with contextlib.ExitStack() as undo:
        with database.write() as session:
            run_id = create_run(session, kind, request.model_dump(mode="json"))
            lock = RunLock.acquire(database, data_dir, run_id)
            if lock is None:
                raise RuntimeError(
                    f"run {run_id} is locked although it is new: is {data_dir} shared?"
                )
            undo.enter_context(lock)
            run = claim_run(session, run_id)
            if run is None:
                raise RuntimeError(f"run {run_id} was taken before it was there")
        undo.pop_all()
        return ClaimedRun(run, lock)


def claim(database: Database, data_dir: Path, run_id: int) -> ClaimedRun | None:
    """Take a queued run; None if it is queued no longer, or its last process still lives."""
    lock = RunLock.acquire(database, data_dir, run_id)
    if lock is None:
        return None
    with contextlib.ExitStack() as undo:
        undo.enter_context(lock)
        # Lock first, row second: a running row with a free lock means a dead process.
        with database.write() as session:
            run = claim_run(session, run_id)
        if run is None:
            return None
        undo.pop_all()
        return ClaimedRun(run, lock)


def reopen(database: Database, data_dir: Path, kind: str, run_id: int) -> ClaimedRun:
    """Take up a run that was cancelled, has failed, or lost its process, in this process.

    Raises ValueError when there is no such run, or nothing left to do in it.
    """
    with contextlib.ExitStack() as undo:
        with database.read() as session:
            run = get_run(session, run_id)
        if run is None or run.kind != kind:
            raise ValueError(f"no {kind} run has the number {run_id}: the library lists the runs")
        lock = RunLock.acquire(database, data_dir, run_id)
        if lock is None:
            raise ValueError(f"run {run_id} is at work already: wait for it, or cancel it")
        undo.enter_context(lock)
        with database.write() as session:
            reopen_run(session, run_id)
            claimed = claim_run(session, run_id)
        if claimed is None:
            raise ValueError(f"run {run_id} is done: there is nothing left to resume")
        undo.pop_all()
        return ClaimedRun(claimed, lock)


def is_alone(database: Database, data_dir: Path, run_id: int | None) -> bool:
    """Whether no process but that of this run is at work on any: killed ones left their rows behind."""
    with database.read() as session:
        running = list_runs(session, states=["running"], limit=MOST_ACTIVE)
    return not any(run.id != run_id and _is_living(database, data_dir, run.id) for run in running)


def execute(
    context: TaskContext, claimed: ClaimedRun, tasks: Tasks
) -> Generator[Progress, None, None]:
    """Do a claimed run; yields every step, and leaves the row in its final state.

    Raises what the task raised, RunStopped when the run was cancelled or taken over, and
    RunInterrupted when it is queued again because `context.stopping` was set. Closing the iterator,
    or Ctrl-C, cancels the run.
    """
    run, lock = claimed
    result = None
    with lock:
        try:
            for step in _reported(context, claimed, tasks):
                result = step.result if step.result is not None else result
                yield step
        except RunStopped:
            _finish(context.database, run, "cancelled")
            raise
        except RunInterrupted:
            with context.database.write() as session:
                # Told to end, it has not died: this must not count against its attempts.
                requeue_run(session, run, attempts=run.attempt + 1)
            raise
        except (GeneratorExit, KeyboardInterrupt):
            _finish(context.database, run, "cancelled")
            raise
        except (ValueError, TaskFailed) as error:
            _finish(context.database, run, "failed", error=str(error))
            raise
        except Exception as error:
            _finish(context.database, run, "failed", error=f"{type(error).__name__}: {error}")
            raise
        if not _finish(context.database, run, "done", result=result):
            raise RunStopped(f"run {run.id} was taken over by another process")


def recover(
    database: Database, data_dir: Path, run_id: int | None = None, attempts: int = ATTEMPTS
) -> list[int]:
    """Give up on running rows (or this one) whose process is gone; returns their ids.

    Each is queued again, or has failed after so many attempts, or is cancelled if that was asked.
    """
    with database.read() as session:
        running = list_runs(session, states=["running"], limit=1000)
    gone = []
    for listed in running:
        if run_id is not None and listed.id != run_id:
            continue
        lock = RunLock.acquire(database, data_dir, listed.id)
        if lock is None:
            continue
        with lock, database.write() as session:
            # Read again under the lock: the run may have ended, or begun anew, in between.
            run = get_run(session, listed.id)
            if run is not None and requeue_run(session, run, attempts) is not None:
                gone.append(run.id)
    return gone


def recover_one(
    database: Database, data_dir: Path, run_id: int, attempts: int = ATTEMPTS
) -> list[int]:
    """`recover` for a run whose process has just ended: Postgres frees its lock a moment later."""
    end = time.monotonic() + FREED_SECONDS
    while not (gone := recover(database, data_dir, run_id, attempts)):
        with database.read() as session:
            run = get_run(session, run_id)
        if run is None or run.state != "running" or time.monotonic() > end:
            break
        time.sleep(0.02)
    return gone


def _reported(context: TaskContext, claimed: ClaimedRun, tasks: Tasks) -> Iterator[Progress]:
    """The task's steps, written to the table at most every REPORT_SECONDS, and the last one.

    The last step of a phase that measures figures is written, too.
    """
    run = claimed.run
    if run.kind not in tasks:
        raise ValueError(f"no task is called {run.kind} (known: {', '.join(tasks)})")
    payload_type, task = tasks[run.kind]
    reported, unreported = 0.0, None
    with contextlib.ExitStack() as stack:
        steps = task(context, payload_type.model_validate(run.payload))
        if isinstance(steps, Generator):
            stack.callback(steps.close)
        while True:
            # Asked before the step: a task that saw the sign itself has saved what it had.
            is_last = context.stopping.is_set()
            step = next(steps, None)
            if step is None:
                break
            if unreported is not None and unreported.figures and not step.figures:
                # The next phase measures nothing: this is the last point of the curves.
                _report(context.database, claimed, unreported)
            unreported = step
            if time.monotonic() - reported >= REPORT_SECONDS:
                _report(context.database, claimed, step)
                reported, unreported = time.monotonic(), None
            yield step
            if is_last and step.result is None:
                raise RunInterrupted(f"run {run.id} was interrupted and is queued again")
    if unreported is not None:
        # The work is done and stays: it is too late to cancel.
        with contextlib.suppress(RunStopped):
            _report(context.database, claimed, unreported)


def _report(database: Database, claimed: ClaimedRun, step: Progress) -> None:
    run = claimed.run

    def write(session: Session) -> None:
        if not report_run(session, run, step.done, step.total, step.message):
            raise RunStopped(f"run {run.id} was cancelled")
        if step.figures:
            write_point(session, run, step.done, step.total, step.figures)

    database.write_again(write)  # a database that restarts is no reason to lose the work
    if not claimed.lock.keep():
        raise RunStopped(f"run {run.id} was taken over by another process")


def _finish(
    database: Database,
    run: RunRecord,
    state: Literal["done", "failed", "cancelled"],
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """End the run; False if another process has taken it over."""

    def write(session: Session) -> bool:
        if finish_run(session, run, state, result=result, error=error):
            return True
        # It may have ended at the attempt before this one, if only the answer to it was lost.
        found = get_run(session, run.id)
        return found is not None and (found.attempt, found.state) == (run.attempt, state)

    return database.write_again(write)


def _is_living(database: Database, data_dir: Path, run_id: int) -> bool:
    lock = RunLock.acquire(database, data_dir, run_id)
    if lock is None:
        return True
    lock.release()
    return False
