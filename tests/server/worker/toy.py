"""A toy task for runs, and a process that works on one until it is killed."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

from server.protocol import MapRequest, Message
from server.store.runs import get_run
from server.store.session import Database
from server.worker import runs
from server.worker.progress import Progress
from server.worker.runs import Task, begin, execute

SLEEPER = """
import sys, time
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from server.protocol import MapRequest
from server.store.session import Database
from server.worker.runs import claim, execute

def task(context, request):
    yield SimpleNamespace(done=1.0, total=2.0, message="half way", result=None, figures=None)
    print("working", flush=True)
    time.sleep(600)

database = Database(sys.argv[1])
claimed = claim(database, Path(sys.argv[2]), int(sys.argv[3]))
context = SimpleNamespace(database=database, stopping=Event())
for _ in execute(context, claimed, {"toy": (MapRequest, task)}):
    pass
"""


class Toy:
    """A task of three steps that notes what it was given and how it ended."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.request: Message | None = None
        self.was_closed = False

    def __call__(self, context: Any, request: Message) -> Iterator[Progress]:
        self.request = request
        try:
            yield Progress(1, 3, "one")
            yield Progress(2, 3, "two")
            if self.error is not None:
                raise self.error
            yield Progress(3, 3, "three", {"answer": 42})
        except GeneratorExit:
            self.was_closed = True
            raise


def start(database: Database, data_dir: Path, toy: Task) -> tuple[int, Any]:
    claimed = begin(database, data_dir, "toy", MapRequest(sae="x"))
    context: Any = SimpleNamespace(database=database, stopping=Event())
    steps = execute(context, claimed, {"toy": (MapRequest, toy)})
    return claimed.run.id, steps


def row(database: Database, run_id: int) -> Any:
    with database.read() as session:
        return get_run(session, run_id)


@contextlib.contextmanager
def at_work(url: str, data_dir: Path, run_id: int) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of the run; killed at the end whatever happens."""
    command = [sys.executable, "-c", SLEEPER, url, str(data_dir), str(run_id)]
    root = str(Path(runs.__file__).resolve().parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "working\n"
            yield child
        finally:
            child.kill()
