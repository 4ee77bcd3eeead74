"""One contender of the training benchmark in a process of its own: it takes a step when told to.

    python benchmarks/training_worker.py ours_exact

Reads one JSON command a line, answers with one JSON line: `prepare` a case, `step` (seconds),
`peak` (MB), `train` on many batches, `evaluate` on held-out rows. Runs in this project's environment
for ours and for the floor, in the peers' environment for theirs.
"""

import ctypes
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


def load(path: str) -> Tensor:
    """A matrix that the benchmark wrote."""
    return torch.from_numpy(np.load(path))


def memory_mb(field: str) -> float:
    """A figure of this process's memory: VmRSS now, VmHWM at its height since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"the system does not tell {field}: run this benchmark on Linux")


def forget_peak() -> None:
    """Start to measure the height of memory anew, with what was freed given back."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


class Worker:
    """Holds the contender of the present case and does what it is told."""

    def __init__(self, name: str) -> None:
        if name.startswith("ours") or name == "floor":
            from training_ours import make_contender
        else:
            from training_peers import make_contender
        self.name = name
        self.make = make_contender
        self.contender: Any = None

    def prepare(self, case: dict[str, Any]) -> dict[str, float]:
        """Make the contender of a case: the same weights, the same batch for all."""
        self.contender = None
        self.device = case["device"]
        forget_peak()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.before = memory_mb("VmRSS")
        self.batch = load(case["batch"]).to(self.device) if case["batch"] else None
        weights = [load(case[name]).to(self.device) for name in ("dictionary", "b_dec")]
        self.contender = self.make(self.name, case, *weights)
        return {}

    def step(self) -> dict[str, float]:
        """One full step on the case's batch: CPU seconds, or on a GPU seconds until it is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()
            start = time.perf_counter()
            self.contender.step(self.batch)
            torch.cuda.synchronize()
            return {"seconds": time.perf_counter() - start}
        start = time.process_time()
        self.contender.step(self.batch)
        return {"seconds": time.process_time() - start}

    def peak(self) -> dict[str, float]:
        """Memory at its height since `prepare`, above what the process held before; on a GPU, all of it."""
        if self.device == "cuda":
            return {"mb": torch.cuda.max_memory_allocated() / 2**20}
        return {"mb": memory_mb("VmHWM") - self.before}

    def train(self, data: str, batch: int, steps: int) -> dict[str, float]:
        """So many steps over the rows of a file, in order, again from the start when they end."""
        rows = load(data)
        whole = len(rows) // batch
        for step in range(steps):
            at = step % whole * batch
            self.contender.step(rows[at : at + batch])
        return {}

    def evaluate(self, data: str) -> dict[str, float]:
        """Normalised MSE on the rows of a file."""
        rows = load(data)
        with torch.no_grad():
            error = sum(
                float((part - self.contender.reconstruct(part)).square().sum())
                for part in rows.split(1_024)
            )
        return {"nmse": error / float((rows - rows.mean(0)).square().sum())}


def main() -> None:
    """Answer commands until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(worker, command.pop("do"))(**command)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
