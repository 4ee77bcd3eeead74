"""A training of its own process, which a test kills: `python -m tests.models.interrupted FOLDER`."""

import sys
from dataclasses import replace
from pathlib import Path

from models.kernels import KernelOptions
from models.sae import SAEConfig
from models.train import Checkpoints, TrainConfig, train
from tests.models.training_data import ListStream, batched, planted

STEPS, EVERY = 40, 4
RECIPE = TrainConfig(
    tokens=STEPS * 64,
    batch=64,
    lr=1e-2,
    start_tokens=64 * 7,
    dead_after=500,
    kernels=KernelOptions(backend="torch"),  # ready at once: nothing to compile in each process
)
CONFIGS = [
    (SAEConfig(16, 24, "batchabstopk", 3), RECIPE),
    (SAEConfig(16, 24, "vsae", 3), replace(RECIPE, sparsity_weight=1e-3)),
]


def stream() -> ListStream:
    return ListStream(batched(planted(STEPS * 64)[0], 64))


def main(folder: Path) -> None:
    """Train, and say each step."""
    for update in train(CONFIGS, stream(), Checkpoints(folder, EVERY)):
        sys.stdout.write(f"{update.steps[0].step}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
