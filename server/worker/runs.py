"""One run from claim to end: its lock, its progress in the table, its final state.

Does not know what a task computes, nor torch: tasks are handed in. Whether a run is alive is
asked of the operating system: the process that works on it holds a file lock, which is free the
moment that process is gone, however it died.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from server.protocol import Message
from server.store.runs import (
    ATTEMPTS,
    RunRecord,
    claim_run,
    create_run,
    finish_run,
    get_run,
    list_runs,
    report_run,
    requeue_run,
)
from server.store.session import Database
from server.worker.progress import Progress, TaskContext

REPORT_SECONDS = 0.5
"""Progress is written, and a cancel noticed, at most this often."""

Task = Callable[[TaskContext, Any], Iterator[Progress]]
Tasks = Mapping[str, tuple[type[Message], Task]]


class RunStopped(RuntimeError):
    """The run was cancelled, or another attempt has taken it over."""


class RunLock:
    """The lock that says "the process working on this run is alive"; free when it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, data_dir: Path, run_id: int) -> Self | None:
        """The lock, or None if another process (or another holder in this one) has it."""
        folder = data_dir / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"run-{run_id}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        """Let others have it. The file stays: removing it could split two holders."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class ClaimedRun(NamedTuple):
    """A run in state running, and the lock that its process holds."""

    run: RunRecord
    lock: RunLock


def begin(database: Database, data_dir: Path, kind: str, request: Message) -> ClaimedRun:
    """A new run that this process does itself: never seen queued, so no worker takes it."""
    with contextlib.ExitStack() as undo, database.write() as session:
        run_id = create_run(session, kind, request.model_dump(mode="json"))
        lock = RunLock.acquire(data_dir, run_id)
        if lock is None:
            raise RuntimeError(f"run {run_id} is locked although it is new: is {data_dir} shared?")
        undo.enter_context(lock)
        run = claim_run(session, run_id)
        if run is None:
            raise RuntimeError(f"run {run_id} was taken before it was there")
        undo.pop_all()
        return ClaimedRun(run, lock)


def claim(database: Database, data_dir: Path, run_id: int) -> ClaimedRun | None:
    """Take a queued run; None if it is queued no longer, or its last process still lives."""
    lock = RunLock.acquire(data_dir, run_id)
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


def execute(
    context: TaskContext, claimed: ClaimedRun, tasks: Tasks
) -> Generator[Progress, None, None]:
    """Do a claimed run; yields every step, and leaves the row in its final state.

    Raises what the task raised, and RunStopped when the run was cancelled or taken over.
    Closing the iterator, or Ctrl-C, cancels the run.
    """
    run, lock = claimed
    result = None
    with lock:
        try:
            for step in _reported(context, run, tasks):
                result = step.result if step.result is not None else result
                yield step
        except RunStopped:
            _finish(context.database, run, "cancelled")
            raise
        except (GeneratorExit, KeyboardInterrupt):
            _finish(context.database, run, "cancelled")
            raise
        except ValueError as error:
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
        lock = RunLock.acquire(data_dir, listed.id)
        if lock is None:
            continue
        with lock, database.write() as session:
            # Read again under the lock: the run may have ended, or begun anew, in between.
            run = get_run(session, listed.id)
            if run is not None and requeue_run(session, run, attempts) is not None:
                gone.append(run.id)
    return gone


def _reported(context: TaskContext, run: RunRecord, tasks: Tasks) -> Iterator[Progress]:
    """The task's steps, written to the table at most every REPORT_SECONDS, and the last one."""
    if run.kind not in tasks:
        raise ValueError(f"no task is called {run.kind} (known: {', '.join(tasks)})")
    payload_type, task = tasks[run.kind]
    reported, unreported = 0.0, None
    with contextlib.ExitStack() as stack:
        steps = task(context, payload_type.model_validate(run.payload))
        if isinstance(steps, Generator):
            stack.callback(steps.close)
        for step in steps:
            unreported = step
            if time.monotonic() - reported >= REPORT_SECONDS:
                _report(context.database, run, step)
                reported, unreported = time.monotonic(), None
            yield step
    if unreported is not None:
        # The work is done and stays: it is too late to cancel.
        with contextlib.suppress(RunStopped):
            _report(context.database, run, unreported)


def _report(database: Database, run: RunRecord, step: Progress) -> None:
    with database.write() as session:
        if not report_run(session, run, step.done, step.total, step.message):
            raise RunStopped(f"run {run.id} was cancelled")


def _finish(
    database: Database,
    run: RunRecord,
    state: Literal["done", "failed", "cancelled"],
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    with database.write() as session:
        return finish_run(session, run, state, result=result, error=error)
