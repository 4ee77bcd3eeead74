"""Executes queued runs, one after the other, each in a child process of its own.

Knows the table of runs and how to start a child; imports no torch and does no work itself, so a
run that crashes takes nothing with it.
"""

import logging
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread

from server.store.runs import ATTEMPTS, RunRecord, claim_run, finish_run, get_run, list_runs
from server.store.session import Database
from server.supervisor import JOB_SECONDS, spawn, stop_child
from server.worker.runs import recover, recover_one

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RECOVER_SECONDS = 30.0
"""How often rows left by dead processes elsewhere (a killed `dipole train`) are looked for."""
CANCEL_GRACE_SECONDS = 30.0
"""A cancelled run whose task reports no progress for so long is killed."""
RESTARTS = 20
"""Attempts a run may need because the server was stopped, which is no fault of the run's."""


class Executor:
    """A thread that takes queued runs from `start` to `stop`."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        environment: Mapping[str, str],
        start_child: Callable[[int], subprocess.Popen[bytes]] | None = None,
    ) -> None:
        self._database = database
        self._data_dir = data_dir
        self._start_child = start_child or partial(_start_job, environment)
        self._crashes: Counter[int] = Counter()
        self._recovered = -RECOVER_SECONDS
        self._stopping = Event()
        self._thread = Thread(target=self._work, name="executor", daemon=True)

    def start(self) -> None:
        """Begin with the runs that dead processes have left."""
        self._thread.start()

    def begin_stop(self) -> None:
        """Take no further run, and tell the child to save what it has; does not wait for it."""
        self._stopping.set()

    def stop(self) -> None:
        """Stop the child, if there is one, and put its run back into the queue."""
        self.begin_stop()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                run_id = self._next()
                if run_id is not None:
                    self._watch(run_id, self._start_child(run_id))
            except Exception:
                # The database may be away for a while; the runs in it will not go away.
                logger.exception("looking for runs failed; trying again")
                run_id = None
            if run_id is None:
                self._stopping.wait(POLL_SECONDS)

    def _next(self) -> int | None:
        if time.monotonic() - self._recovered >= RECOVER_SECONDS:
            for run_id in recover(self._database, self._data_dir, attempts=RESTARTS):
                logger.info("run %d was left by a process that is gone", run_id)
            self._recovered = time.monotonic()
        with self._database.read() as session:
            queued = list_runs(session, states=["queued"], limit=1000)
        return queued[-1].id if queued else None

    def _watch(self, run_id: int, child: subprocess.Popen[bytes]) -> None:
        logger.info("run %d started in process %d", run_id, child.pid)
        cancelled_at = None
        while child.poll() is None:
            if self._stopping.wait(POLL_SECONDS):
                stop_child(child, JOB_SECONDS)
                recover_one(self._database, self._data_dir, run_id, attempts=RESTARTS)
                return
            if cancelled_at is None and self._is_cancelled(run_id):
                cancelled_at = time.monotonic()
            if cancelled_at is not None and time.monotonic() - cancelled_at > CANCEL_GRACE_SECONDS:
                child.kill()
        if child.stdin is not None:
            child.stdin.close()
        self._settle(run_id, child.returncode)

    def _settle(self, run_id: int, status: int) -> None:
        """What becomes of a run whose process has ended without ending the run."""
        logger.info("run %d: its process ended with status %d", run_id, status)
        run = self._get(run_id)
        if run is None or not run.is_active:
            del self._crashes[run_id]
            return
        self._crashes[run_id] += 1
        is_last = self._crashes[run_id] >= ATTEMPTS
        if run.state == "running":
            attempts = 1 if is_last else RESTARTS
            recover_one(self._database, self._data_dir, run_id, attempts=attempts)
        elif is_last:
            # The process cannot even begin: without this it would be started for ever.
            with self._database.write() as session:
                claimed = claim_run(session, run_id)
                if claimed is not None:
                    error = f"its process ended with status {status} before it began: see the log"
                    finish_run(session, claimed, "failed", error=error)

    def _is_cancelled(self, run_id: int) -> bool:
        run = self._get(run_id)
        return run is not None and run.cancel_requested

    def _get(self, run_id: int) -> RunRecord | None:
        with self._database.read() as session:
            return get_run(session, run_id)


def _start_job(environment: Mapping[str, str], run_id: int) -> subprocess.Popen[bytes]:
    return spawn(["job", str(run_id)], environment)
