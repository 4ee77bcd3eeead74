"""`python -m models.train JOB.json`: train as the job says, alone or under torchrun.

    python -m torch.distributed.run --standalone --nproc-per-node 2 -m models.train JOB.json

Prints one JSON object per line: `started`, `progress`, then `done`, `stopped` or `error`; rank 0
speaks for all. SIGTERM and SIGINT: the step is finished, a checkpoint written, exit code 0; the same
command goes on from there. An error exits with 1. torchrun, when it is itself signalled, exits with 1
whatever its processes do: `stopped` is what tells.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from models.train.group import Group
from models.train.job import Job, read_job, run_job


def main(argv: list[str]) -> int:
    """Run the job of the one argument; the exit code."""
    if len(argv) != 1:
        print("usage: python -m models.train JOB.json", file=sys.stderr)
        return 2
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked.append(received))
    try:
        job = read_job(Path(argv[0]))
        device = choose_device(job)
        join_group(device)
        group = Group.current()
        for event in run_job(job, group, device, lambda: bool(asked)):
            if group.rank == 0:
                tell(event)
    except (ValueError, FloatingPointError, OSError) as error:
        tell({"event": "error", "kind": type(error).__name__, "message": str(error)})
        return 1
    except Exception as error:  # told like any other, and where it arose stands on stderr
        kind = type(error).__name__
        tell({"event": "error", "kind": kind, "message": f"unexpected {kind}: {error}"})
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    return 0


def choose_device(job: Job) -> str:
    """The job's device, else this process's own GPU, else the CPU."""
    if job.device is not None:
        return _check_device(job.device)
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"


def _check_device(device: str) -> str:
    """A device that torch can use here. Raises ValueError, saying what to do, otherwise."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter: built without CUDA
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"there is no device {device!r} here ({reason}): leave device out, or choose cpu"
        ) from error
    return device


def join_group(device: str) -> None:
    """Meet the other processes, where torchrun has started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        if device.startswith("cuda"):
            torch.cuda.set_device(device)
        # Counts and flags live on the CPU whatever the device is.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")


def tell(event: dict[str, Any]) -> None:
    """One line of JSON, at once."""
    print(json.dumps(event, allow_nan=False), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
