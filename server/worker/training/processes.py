"""Training in several processes, by torchrun: started, listened to, stopped.

Knows the job file and the events of `python -m models.train`. The processes hold a lock that
outlives this one: an attempt that follows a killed one waits until they have ended.
"""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import IO, Any

import torch

from models.activations import ActivationCache
from models.artifact import save_json
from models.corpus import Window
from models.sae.checkpoint import load_sae, read_about
from models.train import TrainStep
from models.train.windows import save_windows
from server.worker.progress import Progress, RunInterrupted, TaskFailed
from server.worker.training.job import TrainingJob
from server.worker.training.recipes import sink_policy, stream_seed

ROOT = Path(__file__).resolve().parents[3]
AGENT = "server.worker.training.torchrun"


def train_in_processes(
    job: TrainingJob, windows: Sequence[Window], cache: ActivationCache | None, stopping: Event
) -> Iterator[Progress]:
    """Train all SAEs of the job in `request.processes` processes; the trained ones are kept."""
    _check_devices(job)
    path = job.folder.path
    with (path / "processes.lock").open("w") as lock:
        yield Progress(0, job.request.tokens, f"starting {job.request.processes} processes")
        fcntl.flock(lock, fcntl.LOCK_EX)
        save_json(path / "job.json", _document(job, windows, cache))
        child = _start(job.request.processes, path / "job.json", lock)
        try:
            yield from _listen(job, child, stopping)
        finally:
            _end(child)
    trained = []
    for place in range(len(job.planned)):
        folder = job.folder.trained(place)
        told = read_about(folder)
        threshold = told["sinks"].get("threshold")
        trained.append((load_sae(folder), job.about(place, told["dead_at_end"], threshold)))
    job.folder.keep_trained(trained)


def _document(
    job: TrainingJob, windows: Sequence[Window], cache: ActivationCache | None
) -> dict[str, Any]:
    """The job file of `models.train.job`."""
    path, request = job.folder.path, job.request
    checkpoints = job.folder.checkpoints(job.every)
    document = {
        "saes": [
            {
                "name": job.folder.trained(place).name,
                "sae": asdict(item.sae),
                "train": asdict(item.recipe),
            }
            for place, item in enumerate(job.planned)
        ],
        "out": str(path),
        "seed": stream_seed(request),
        "sinks": asdict(sink_policy(request)),
        "checkpoints": None if checkpoints is None else str(checkpoints.folder),
        "every": job.every,
        # None: each process its own GPU.
        "device": "cpu" if job.lm.device.type == "cpu" else None,
    }
    if cache is not None:
        return document | {"cache": str(cache.folder)}
    save_windows(path / "windows.safetensors", windows)
    source = {"model": job.lm.model.name_or_path, "layer": job.layer}
    return document | source | {"windows": str(path / "windows.safetensors")}


def _check_devices(job: TrainingJob) -> None:
    processes, device = job.request.processes, job.request.device
    if ":" in device:
        raise ValueError(
            f"--device {device} is one GPU, but --processes is {processes}: choose one"
        )
    if job.lm.device.type == "cuda" and processes > torch.cuda.device_count():
        raise ValueError(
            f"--processes {processes} need a GPU each, but there are {torch.cuda.device_count()}: "
            "ask for fewer, or use --device cpu"
        )


def _start(processes: int, job_file: Path, lock: IO[str]) -> subprocess.Popen[str]:
    """Torchrun, which ends when this process does, and holds the lock until its own have ended."""
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # They meet on this machine, also where it does not find itself by its own name.
    options = ["--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, "-m", AGENT, *options, "-m", "models.train", str(job_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Our own packages first, whatever folder this was started in.
        cwd=ROOT,
        env={
            "OMP_NUM_THREADS": threads,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONSAFEPATH": "1",
        },
        pass_fds=[lock.fileno()],
    )


def _listen(job: TrainingJob, child: subprocess.Popen[str], stopping: Event) -> Iterator[Progress]:
    """Progress from the first process's events, until it says how it ended."""
    assert child.stdout is not None
    asked = is_done = False
    for line in child.stdout:
        if stopping.is_set() and not asked:
            asked = True
            child.terminate()
        event = _read_event(line)
        if event.get("event") == "progress":
            yield job.progress([TrainStep(**step) for step in event["saes"]])
        elif event.get("event") == "error":
            kind = ValueError if event["kind"] == "ValueError" else TaskFailed
            raise kind(event["message"])
        elif event.get("event") == "stopped":
            raise RunInterrupted("the training was interrupted; its checkpoint is kept")
        is_done = is_done or event.get("event") == "done"
    if not is_done:
        raise TaskFailed(f"the training processes ended with status {child.wait()}: see the log")


def _read_event(line: str) -> dict[str, Any]:
    """One line as an event; libraries print, too."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _end(child: subprocess.Popen[str]) -> None:
    """Ask the processes to end, where they have not, and wait: they may be writing a checkpoint."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.terminate()
    child.stdin.close()
    with child.stdout:
        for _ in child.stdout:  # a full pipe would keep them from ending
            pass
    child.wait()
