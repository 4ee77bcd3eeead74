"""Listening to torchrun: here a script that prints what `python -m models.train` would."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import IO, Any

import pytest

from models.sae import SAEConfig
from models.train import TrainConfig
from server.protocol import TrainRequest
from server.train_rules import variants
from server.worker.progress import RunInterrupted, TaskFailed
from server.worker.training import processes
from server.worker.training.folder import RunFolder
from server.worker.training.job import TrainingJob
from server.worker.training.processes import train_in_processes
from server.worker.training.recipes import Planned
from tests.models.tiny import tiny_lm

STEP = {"step": 1, "steps": 2, "nmse": 0.5, "l0": 3.0, "dead": 0, "sparsity_weight": 0.0}
STEP |= {"dead_positive": 0, "dead_negative": 0, "penalty": 0.0, "gradient_norm": 1.0}
PROGRESS = {"event": "progress", "tokens": 8, "saes": [STEP]}
WAIT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print('{"event": "stopped", "step": 1}'), sys.exit(0)))
print(sys.argv[1], flush=True)
signal.pause()
"""


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    request = TrainRequest(text="x.txt", width=16, k=2, tokens=16, batch=8, processes=2)
    (variant,) = variants(request)
    planned = Planned(variant, SAEConfig(32, 16, "abstopk", 2), TrainConfig(tokens=16, batch=8))
    folder = RunFolder(tmp_path / "runs" / "1", "1 of today", request)
    return TrainingJob(request, tiny_lm(), 1, [planned], folder)


@pytest.fixture
def printing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Instead of torchrun, a process that prints these lines (or the script given)."""

    def replace(
        *lines: object, script: str = "import sys; print(*sys.argv[1:], sep='\\n')"
    ) -> None:
        words = [line if isinstance(line, str) else json.dumps(line) for line in lines]

        def start(_processes: int, job_file: Path, _lock: IO[str]) -> subprocess.Popen[str]:
            assert json.loads(job_file.read_text())["saes"]
            command = [sys.executable, "-c", script, *words]
            pipe = subprocess.PIPE
            return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

        monkeypatch.setattr(processes, "_start", start)

    return replace


def run(job: TrainingJob, stopping: Event | None = None) -> list[str]:
    window = SimpleNamespace(tokens=[1, 2, 3], document=0, start=0)
    steps = train_in_processes(job, [window], None, stopping or Event())  # type: ignore[list-item]
    return [step.message for step in steps]


def test_what_the_processes_refuse_is_refused(job: TrainingJob, printing) -> None:
    printing({"event": "error", "kind": "ValueError", "message": "the text is empty"})
    with pytest.raises(ValueError, match=r"^the text is empty$"):
        run(job)


def test_what_goes_wrong_in_them_is_told(job: TrainingJob, printing) -> None:
    error = {"event": "error", "kind": "FloatingPointError", "message": "the loss is nan"}
    printing("a library's own line", PROGRESS, error)
    with pytest.raises(TaskFailed, match=r"^the loss is nan$"):
        run(job)


def test_processes_that_end_without_a_word_have_failed(job: TrainingJob, printing) -> None:
    printing(PROGRESS, script="import sys; print(sys.argv[1]); sys.exit(7)")
    with pytest.raises(TaskFailed, match="status 7"):
        run(job)


def test_told_to_end_they_are_stopped_and_the_run_goes_back(job: TrainingJob, printing) -> None:
    stopping = Event()
    stopping.set()
    printing(PROGRESS, script=WAIT)
    with pytest.raises(RunInterrupted):
        run(job, stopping)


def test_leaving_the_loop_stops_them(job: TrainingJob, printing) -> None:
    printing(PROGRESS, script=WAIT)
    window = SimpleNamespace(tokens=[1, 2, 3], document=0, start=0)
    steps = train_in_processes(job, [window], None, Event())  # type: ignore[list-item]
    assert "starting 2 processes" in next(steps).message
    assert "nMSE 0.500" in next(steps).message
    steps.close()  # type: ignore[attr-defined]
    with (job.folder.path / "processes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_job_file_says_all_that_the_processes_need(job: TrainingJob, printing) -> None:
    printing({"event": "error", "kind": "ValueError", "message": "enough"})
    with pytest.raises(ValueError, match="enough"):
        run(job)
    document = json.loads((job.folder.path / "job.json").read_text())
    assert document["device"] == "cpu"
    assert document["every"] == 100
    assert document["sinks"] == {"first": True, "outlier_norm": 10.0}
    assert document["saes"][0]["name"] == "sae-0"
    assert Path(document["windows"]).is_file()
    assert document["checkpoints"] == str(job.folder.path / "checkpoint")


def test_one_gpu_cannot_be_shared_by_name(job: TrainingJob) -> None:
    request = job.request.model_copy(update={"device": "cuda:1"})
    with pytest.raises(ValueError, match="is one GPU"):
        run(job._replace(request=request))
