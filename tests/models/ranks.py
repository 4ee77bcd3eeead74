"""What each process of the data-parallel test does: `torchrun -m tests.models.ranks FOLDER`.

Trains on its rows of the batches that one process would take whole, and rank 0 writes what came out.
"""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from models.artifact import save_json, save_tensors
from models.kernels import KernelOptions
from models.sae import SAEConfig
from models.train import Checkpoints, TrainConfig, train
from tests.models.training_data import Batch, ListStream, batched, planted

STEPS, BATCH, STOPPED = 30, 128, 12
RECIPE = TrainConfig(
    tokens=STEPS * BATCH,
    batch=BATCH,
    lr=1e-2,
    clip=1.6,
    start_tokens=3 * BATCH,
    dead_after=300,
    kernels=KernelOptions(backend="torch"),  # ready at once: nothing to compile in each process
)
CONFIGS = [
    (SAEConfig(16, 64, "abstopk", 3), RECIPE),
    (SAEConfig(16, 24, "topk", 3, prefixes=(8, 24)), RECIPE),
    (SAEConfig(16, 24, "abstopk", 3, token_bias=True, vocabulary=7), RECIPE),
    (SAEConfig(16, 24, "batchabstopk", 3), RECIPE),
]


def stream(rank: int, world: int) -> ListStream:
    """This rank's rows of every global batch; the last one is smaller and not shared evenly."""
    whole = batched(planted(STEPS * BATCH - 53)[0], BATCH)
    return ListStream([Batch(*(part[rank::world] for part in batch)) for batch in whole])


def main(folder: Path) -> None:
    """Train, be stopped once on the way, go on; write steps and weights."""
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    checkpoints = Checkpoints(folder / "checkpoints", 100)
    asked = iter(range(1, STEPS + 1))
    # Only rank 1 is asked to stop: all must hear of it.
    early = train(
        CONFIGS, stream(rank, world), checkpoints, lambda: next(asked) == STOPPED and rank == 1
    )
    steps = [update.steps for update in early]
    late = list(train(CONFIGS, stream(rank, world), checkpoints))
    steps += [update.steps for update in late[1:]]
    digest = [
        sum(float(p.detach().double().sum()) for p in sae.parameters()) for sae in late[-1].saes
    ]
    digests: list[list[float] | None] = [None] * world
    dist.all_gather_object(digests, digest)
    if rank == 0:
        save_json(folder / "steps.json", json.loads(json.dumps(steps)))
        save_json(folder / "digests.json", digests)
        save_tensors(
            folder / "weights.safetensors",
            {
                f"{number}.{name}": tensor
                for number, sae in enumerate(late[-1].saes)
                for name, tensor in sae.state_dict().items()
            },
        )
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
