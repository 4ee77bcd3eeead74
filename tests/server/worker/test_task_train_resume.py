"""Training that is killed or stopped: it goes on from its checkpoint to the very same weights."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.cli import main
from server.store.runs import request_cancel
from server.store.saes import list_saes
from server.store.session import Database
from server.worker import runs
from server.worker.run_lock import RunLock
from server.worker.runs import ClaimedRun, recover
from tests.server.worker.training_text import Ground, assert_equal, run_of

ROOT = Path(runs.__file__).resolve().parents[2]
AT_STEP = """
import os, sys
from models.train.training import Training
take_step = Training.take_step
def take_or_die(self, batch):
    if self.step == 13:
        os.kill(os.getpid(), {signal})
    return take_step(self, batch)
Training.take_step = take_or_die
from server.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Killed(BaseException):
    """Ends this process's work as kill -9 would: nothing is written any more."""


@pytest.fixture
def database(ground: Ground, request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database of the data directory that is named like the test."""
    with ground.database(request.node.name) as database:
        yield database


def disturbed(script: str, words: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_killed_training_goes_on_from_its_checkpoint(
    ground: Ground, whole: dict, database: Database, request: pytest.FixtureRequest
) -> None:
    data = request.node.name
    ended = disturbed(AT_STEP.format(signal=9), ground.words(data))
    folder = ground.folder / data

    assert ended.returncode == -signal.SIGKILL
    assert [path.name for path in (folder / "runs/1/checkpoint").glob("step*")] == [
        "step-000000010"
    ]
    assert recover(database, folder) == [1]
    assert run_of(database).state == "queued"

    assert main(["job", "1", "--data-dir", str(folder)]) == 0

    assert (run_of(database).state, run_of(database).attempt) == ("done", 2)
    assert_equal(ground.weights(data), whole)
    assert not (folder / "runs/1").exists()


def test_sigterm_writes_a_checkpoint_and_queues_the_run(
    ground: Ground,
    whole: dict,
    database: Database,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = request.node.name
    ended = disturbed(AT_STEP.format(signal=15), ground.words(data))
    folder = ground.folder / data

    assert ended.returncode == 1
    assert "`dipole train --resume 1`" in json.loads(ended.stdout)["error"]
    assert [path.name for path in (folder / "runs/1/checkpoint").glob("step*")] == [
        "step-000000014"
    ]
    assert run_of(database).state == "queued"

    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0

    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["run"], outcome["state"], outcome["name"]) == (1, "done", "tiny")
    assert_equal(ground.weights(data), whole)


def assert_resumed(ground: Ground, data: str, database: Database, whole: dict) -> None:
    folder = ground.folder / data
    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0
    with database.read() as session:
        (summary,) = list_saes(session)
    assert (summary.name, summary.state, summary.has_map) == ("tiny", "ready", True)
    assert [path.name for path in (folder / "saes").iterdir()] == ["tiny"]
    assert_equal(ground.weights(data), whole)
    assert not (folder / "runs/1").exists()


@pytest.mark.parametrize(
    "place",
    [
        "server.worker.training.entering.measure_fidelity",
        "server.worker.training.entering.save_sae",
        "server.worker.training.entering.enter_sae",
        "server.worker.indexing.Indexing.advance",
        "server.worker.indexing.Indexing.publish",
        "server.worker.task_train.map_steps",
        "server.worker.task_train._result",
    ],
)
def test_wherever_a_run_is_killed_it_ends_with_one_sae(
    ground: Ground,
    whole: dict,
    database: Database,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(place, die)
        with pytest.raises(Killed):
            main(ground.words(request.node.name))
    assert run_of(database).state == "running"
    assert not (ground.folder / request.node.name / "runs/1/checkpoint").exists()

    assert_resumed(ground, request.node.name, database, whole)


def test_a_cancelled_run_keeps_its_checkpoint_and_can_be_resumed(
    ground: Ground, whole: dict, database: Database, request: pytest.FixtureRequest, monkeypatch
) -> None:
    data = request.node.name
    folder = ground.folder / data
    monkeypatch.setattr(runs, "REPORT_SECONDS", 0.0)
    report = runs._report

    def cancel_later(database: Database, claimed: ClaimedRun, step) -> None:
        if step.done == 12 * 64:
            with database.write() as session:
                request_cancel(session, claimed.run.id)
        report(database, claimed, step)

    with monkeypatch.context() as patched:
        patched.setattr(runs, "_report", cancel_later)
        assert main(ground.words(data)) == 1
    assert run_of(database).state == "cancelled"
    assert (folder / "runs/1/checkpoint/step-000000010").is_dir()

    assert main(["train", "--resume", "1", "--json", "--data-dir", str(folder)]) == 0

    assert_equal(ground.weights(data), whole)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--resume", "77"], "no train run has the number 77"),
        (["--resume", "1"], "run 1 is done"),
        (["--resume", "1", "--k", "3"], "leave out --k"),
        (["--resume", "1", "--no-sample"], "leave out --no-sample"),
        ([], "--text"),
    ],
)
def test_what_cannot_be_resumed_is_one_sentence(
    ground: Ground, whole: dict, capsys: pytest.CaptureFixture[str], words: list[str], part: str
) -> None:
    assert main(["train", *words, "--data-dir", str(ground.folder / "whole")]) == 2
    assert part in capsys.readouterr().err


def test_a_run_at_work_cannot_be_resumed(ground: Ground, whole: dict, capsys) -> None:
    with ground.database("whole") as database:
        lock = RunLock.acquire(database, ground.folder / "whole", 1)
    assert lock is not None
    with lock:
        assert main(["train", "--resume", "1", "--data-dir", str(ground.folder / "whole")]) == 2
    assert "at work already" in capsys.readouterr().err
