"""Training of SAEs: one recipe for every sparsifier, as a generator of steps.

Several SAEs may be trained on one pass of the activations. Knows nothing of language models,
files or printing. Source of each default: science §3.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.sae import SAEConfig, SAEOutput, SparseAutoencoder, SparseCode


@dataclass(frozen=True)
class TrainConfig:
    """The recipe. Weights of penalties are per unit of mean squared error per input dimension."""

    tokens: int = 1_000_000
    batch: int = 4_096
    lr: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: float = 0.05  # share of the steps
    decay: float = 0.2  # last share of the steps, linear to 0
    clip: float = 1.0
    sparsity_weight: float = 0.0
    """λ of L1 (relu) or of L0 (jumprelu), or β of the KL (vsae)."""
    sparsity_warmup: float = 0.1
    """Share of the steps over which sparsity_weight grows from 0 (vSAE §3)."""
    auxk_weight: float = 1 / 32
    dead_after: int = 250_000
    """Tokens of silence after which a latent counts as dead, both signs alike."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.batch < 1:
            raise ValueError(f"tokens ({self.tokens}) and batch ({self.batch}) must be at least 1")
        if not 0 <= self.warmup + self.decay <= 1:
            raise ValueError(
                f"warmup ({self.warmup}) and decay ({self.decay}) are shares: together at most 1"
            )

    @property
    def steps(self) -> int:
        """How many optimiser steps the tokens make."""
        return -(-self.tokens // self.batch)


class TrainStep(NamedTuple):
    """One step of one SAE: normalised MSE on its batch, mean L0, dead latents, the penalty's weight."""

    step: int
    steps: int
    nmse: float
    l0: float
    dead: int
    sparsity_weight: float


class Training:
    """One SAE in training: weights, optimiser, and how long each latent has been silent."""

    def __init__(
        self, sae: SAEConfig, config: TrainConfig, first: Float[Tensor, "batch d_in"]
    ) -> None:
        """Start from `first`, a batch that sets the input scale and b_dec (its geometric median)."""
        self.config = config
        scale = float((sae.d_in / first.square().sum(-1).mean()).sqrt())
        self.sae = SparseAutoencoder(replace(sae, input_scale=scale))
        self.sae.initialise(torch.Generator().manual_seed(config.seed))
        self.sae.to(first.device)
        with torch.no_grad():
            self.sae.b_dec.copy_(geometric_median(self.sae.scale(first)))
        self.noise = torch.Generator(first.device).manual_seed(config.seed + 1)
        self.optimiser = torch.optim.Adam(
            self.sae.parameters(), lr=config.lr, betas=config.betas, fused=True
        )
        self.silent_for = torch.zeros(sae.d_sae, dtype=torch.long, device=first.device)
        self.step = 0

    def take_step(self, batch: Float[Tensor, "batch d_in"]) -> TrainStep:
        """Fit one batch of residual activations. Raises FloatingPointError when the loss is not finite."""
        self.sae.train()
        output = self.sae(batch, self.noise)
        weight = self.config.sparsity_weight * self._sparsity_share()
        residual = output.target - output.reconstruction
        loss = residual.square().mean() + weight * output.penalty.mean() / self.sae.config.d_in
        dead = self.silent_for >= self.config.dead_after
        loss = loss + self.config.auxk_weight * self._auxiliary(output, residual, dead)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}: lower lr or check the input"
            )
        self.optimiser.zero_grad()
        loss.backward()
        remove_parallel_gradient(self.sae)
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), self.config.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * self._rate_share()
        self.optimiser.step()
        normalise_decoder(self.sae)
        fired = self._count_silence(output)
        self.step += 1
        variance = (output.target - output.target.mean(0)).square().sum()
        nmse = float(residual.detach().square().sum() / variance.clamp(min=1e-12))
        return TrainStep(
            self.step, self.config.steps, nmse, fired / len(batch), int(dead.sum()), weight
        )

    def _auxiliary(self, output: SAEOutput, residual: Tensor, dead: Tensor) -> Tensor:
        """AuxK: the residual rebuilt by up to d_in/2 dead latents, chosen by |u| where codes are signed.

        Relative to the residual's own size; without dead latents it is 0.
        """
        count = int(dead.sum())
        if count == 0 or self.config.auxk_weight == 0:
            return residual.new_zeros(())
        k = min(count, max(1, self.sae.config.d_in // 2))
        u = output.pre_activation
        rank = u.abs() if self.sae.config.is_signed else u
        indices = rank.masked_fill(~dead, -torch.inf).topk(k, dim=-1).indices
        values = u.gather(-1, indices)
        values = values if self.sae.config.is_signed else torch.relu(values)
        rebuilt = torch.nn.functional.embedding_bag(
            indices, self.sae.W_dec, per_sample_weights=values, mode="sum"
        )
        wanted = residual.detach()
        return (wanted - rebuilt).square().sum() / wanted.square().sum().clamp(min=1e-12)

    @torch.no_grad()
    def _count_silence(self, output: SAEOutput) -> int:
        """Reset the silence of latents that fired (z ≠ 0); returns how many codes were non-zero."""
        code = output.code
        if isinstance(code, SparseCode):
            fired = code.indices[code.values != 0]
            total = len(fired)
            active = torch.zeros_like(self.silent_for, dtype=torch.bool)
            active[fired] = True
        else:
            total = int((code != 0).sum())
            active = (code != 0).any(0)
        self.silent_for += len(output.target)
        self.silent_for[active] = 0
        return total

    def _rate_share(self) -> float:
        position = (self.step + 1) / self.config.steps
        rising = position / self.config.warmup if self.config.warmup else 1.0
        falling = (1 - position) / self.config.decay if self.config.decay else 1.0
        return max(0.0, min(1.0, rising, falling))

    def _sparsity_share(self) -> float:
        if not self.config.sparsity_warmup:
            return 1.0
        return min(1.0, (self.step + 1) / (self.config.sparsity_warmup * self.config.steps))


class TrainUpdate(NamedTuple):
    """After one batch: the step of each SAE, and the SAEs themselves so far."""

    steps: list[TrainStep]
    saes: list[SparseAutoencoder]


def train(
    configs: Sequence[tuple[SAEConfig, TrainConfig]], batches: Iterable[Float[Tensor, "batch d_in"]]
) -> Iterator[TrainUpdate]:
    """Train several SAEs on the same batches, in step."""
    trainings: list[Training] = []
    for batch in batches:
        if not trainings:
            trainings = [Training(sae, config, batch) for sae, config in configs]
        steps = [training.take_step(batch) for training in trainings]
        yield TrainUpdate(steps, [training.sae for training in trainings])


@torch.no_grad()
def remove_parallel_gradient(sae: SparseAutoencoder) -> None:
    """Drop the part of the decoder's gradient along each row: unit norm allows no step there."""
    gradient = sae.W_dec.grad
    assert gradient is not None
    gradient.sub_((gradient * sae.W_dec).sum(-1, keepdim=True) * sae.W_dec)


@torch.no_grad()
def normalise_decoder(sae: SparseAutoencoder) -> None:
    """Bring every decoder row back to unit norm."""
    sae.W_dec.div_(sae.W_dec.norm(dim=-1, keepdim=True).clamp(min=1e-8))


@torch.no_grad()
def geometric_median(points: Float[Tensor, "n d"], iterations: int = 20) -> Float[Tensor, "d"]:
    """Weiszfeld's iteration from the mean: the point with the least summed distance."""
    median = points.mean(0)
    for _ in range(iterations):
        weights = 1 / (points - median).norm(dim=-1).clamp(min=1e-6)
        median = (weights[:, None] * points).sum(0) / weights.sum()
    return median
