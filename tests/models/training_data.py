"""Planted activations as batches, and a resumable stream of them: what tests of training read."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from models.sae import SAEConfig
from models.train import Start, TrainConfig, Training, TrainStep

WIDTH, ATOMS, ACTIVE = 16, 24, 3


class Batch(NamedTuple):
    """As `models.activations.Batch`, which would make processes of tests wait for transformers."""

    activations: Tensor
    tokens: Tensor


def planted(tokens: int, signed: bool = True, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Activations of a known dictionary: 24 atoms in 16 dimensions, 3 active, signed or not."""
    random = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(ATOMS, WIDTH, generator=random), dim=-1)
    size = 1 + torch.rand(tokens, ATOMS, generator=random)
    sign = torch.randint(0, 2, (tokens, ATOMS), generator=random) * 2 - 1 if signed else 1
    active = torch.rand(tokens, ATOMS, generator=random).argsort(-1) < ACTIVE
    return (size * sign * active) @ atoms, atoms


def batched(x: Tensor, size: int, tokens: Tensor | None = None) -> list[Batch]:
    tokens = torch.arange(len(x)) % 7 if tokens is None else tokens
    return [Batch(*pair) for pair in zip(x.split(size), tokens.split(size), strict=True)]


class ListStream:
    """Batches from memory that know where they stand."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.position = 0

    def __iter__(self) -> Iterator[Batch]:
        while self.position < len(self.batches):
            self.position += 1
            yield self.batches[self.position - 1]

    def state(self) -> dict[str, Tensor]:
        return {"position": torch.tensor(self.position)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.position = int(state["position"])


def begin(config: SAEConfig, recipe: TrainConfig, x: Tensor, size: int = 256) -> Training:
    """A training that starts from the first batch of x."""
    return Training.begin(config, recipe, Start.of(batched(x[:size], size)))


def fit(
    config: SAEConfig, x: Tensor, steps: int = 300, **options: object
) -> tuple[Training, list[TrainStep]]:
    """Train on x over and over, in batches of 256."""
    recipe = TrainConfig(
        **{"tokens": steps * 256, "batch": 256, "lr": 1e-2, "dead_after": 5_000, **options}  # type: ignore[arg-type]
    )
    training = begin(config, recipe, x)
    batches = batched(x, 256)
    return training, [training.take_step(batches[step % len(batches)]) for step in range(steps)]
