"""`dipole demo --no-serve` says that the demo is made only when it is."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import server.worker
from server.cli import main
from server.protocol import DemoRequest
from server.store.runs import claim_run, create_run, get_run
from server.store.session import Database
from server.worker.progress import Progress
from server.worker.run_lock import RunLock

COMMAND = ["demo", "--no-serve", "--json"]


@pytest.fixture(autouse=True)
def demo_task(monkeypatch: pytest.MonkeyPatch, sqlite_url: str, tmp_path: Path) -> None:
    """A demo that is made at once; no torch."""

    def task(context: SimpleNamespace, request: DemoRequest) -> Iterator[Progress]:
        yield Progress(1, 1, "whole", {"saes": [1]})

    toys = ModuleType("server.worker.tasks")
    toys.TASKS = {"demo": (DemoRequest, task)}  # type: ignore[attr-defined]
    toys.TaskContext = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server.worker.tasks", toys)
    monkeypatch.setattr(server.worker, "tasks", toys, raising=False)
    monkeypatch.setenv("DIPOLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DIPOLE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DIPOLE_MIN_FREE_MIB", "0")


def enter(database: Database, state: str) -> int:
    """A demo run that is queued, or running in a process that may be gone."""
    with database.write() as session:
        run_id = create_run(session, "demo", {})
        if state == "running":
            claim_run(session, run_id)
    return run_id


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_nobody_works_on_is_taken_up(
    state: str, sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = enter(sqlite_database, state)

    assert main(COMMAND) == 0

    assert json.loads(capsys.readouterr().out)["run"] == run_id
    with sqlite_database.read() as session:
        run = get_run(session, run_id)
    assert run is not None
    assert (run.state, run.result) == ("done", {"saes": [1]})


def test_a_run_that_another_process_works_on_is_no_success(
    sqlite_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = enter(sqlite_database, "running")
    lock = RunLock.acquire(sqlite_database, tmp_path, run_id)
    assert lock is not None

    with lock:
        assert main(COMMAND) == 1

    assert f"run {run_id} is at work" in json.loads(capsys.readouterr().out)["error"]


def test_a_second_call_finds_the_demo_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    assert main(COMMAND) == 0

    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"state": "done", "run": None}
