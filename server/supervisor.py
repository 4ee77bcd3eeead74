"""Child processes that die with their parent, and one that is started again when it crashes.

Knows processes and pipes. Does not know what a worker or a job does, nor torch, nor the database.
"""

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event, Thread

logger = logging.getLogger(__name__)

STDERR = 2
"""Where children's stdout goes: ours may carry the one JSON object of --json."""

SHARING = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Worker and job share the cores: spinning threads of one would starve the other six-fold."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
JOB_SECONDS = 30.0
"""How long a job may take, after SIGTERM, to save what it has."""
WORKER_SECONDS = JOB_SECONDS + 15.0
"""How long a worker may take: it waits for its job, and meanwhile drains its streams."""
STEADY_SECONDS = 60.0
"""A child that lived this long is not crash-looping: the next pause is the first one again."""


def spawn(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `python -m server ARGUMENTS --follow-stdin`, its stdin a pipe that only we hold.

    The child finds this installation's packages first (`-P` and PYTHONPATH), whatever folder it
    is started in: a folder named `server` there must not win. It has a session of its own, so
    that Ctrl-C reaches the parent alone, which then stops its children in order.
    """
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "server", *arguments, "--follow-stdin"],
        stdin=subprocess.PIPE,
        stdout=STDERR,
        env={**SHARING, **os.environ, **environment, "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def follow_stdin() -> None:
    """End this process at once when its stdin does: whoever held the pipe is gone."""
    descriptor = sys.stdin.fileno()

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass
        os._exit(0)

    Thread(target=wait, name="follow-stdin", daemon=True).start()


def stop_child(child: subprocess.Popen[bytes], grace: float) -> int:
    """Ask a child to stop, kill it after `grace` seconds; returns its exit status."""
    child.terminate()
    try:
        return child.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
    finally:
        if child.stdin is not None:
            child.stdin.close()


def pauses() -> Iterator[float]:
    """Seconds to wait before each further start: doubling, up to the longest."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


class Supervisor:
    """Keeps one child alive from `start` to `stop`."""

    def __init__(self, start_child: Callable[[], subprocess.Popen[bytes]], name: str) -> None:
        self._start_child = start_child
        self._name = name
        self._stopping = Event()
        self._thread = Thread(target=self._keep_alive, name=f"supervise-{name}", daemon=True)

    def start(self) -> None:
        """Start the child, from a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the child and wait until it is gone."""
        self._stopping.set()
        self._thread.join()

    def _keep_alive(self) -> None:
        waits = pauses()
        while not self._stopping.is_set():
            started = time.monotonic()
            status = self._watch(self._start_child())
            if self._stopping.is_set():
                return
            if time.monotonic() - started > STEADY_SECONDS:
                waits = pauses()
            pause = next(waits)
            logger.warning("%s ended with status %s; next start in %g s", self._name, status, pause)
            self._stopping.wait(pause)

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        while child.poll() is None:
            if self._stopping.wait(0.1):
                return stop_child(child, WORKER_SECONDS)
        if child.stdin is not None:
            child.stdin.close()
        return child.returncode
