"""One SAE in training: weights, optimiser, silences, and the step that joins them.

Knows nothing of where batches come from, of other SAEs, or of files.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from models.kernels import Workspace
from models.sae import SAEConfig, SAEOutput, SparseAutoencoder, SparseCode
from models.train.config import TrainConfig, check_pair
from models.train.decoder import (
    gradient_norm,
    normalise_decoder,
    remove_parallel_gradient,
    shrink_gradients,
)
from models.train.group import GradientSum, Group
from models.train.life import Life, Silence
from models.train.loss import TINY, auxiliary_loss, reconstruction_loss, spread
from models.train.schedule import rate_share, sparsity_share
from models.train.start import Start, start_sae

if TYPE_CHECKING:
    from models.activations import Batch


class TrainStep(NamedTuple):
    """One step of one SAE on its global batch, in scaled units (E‖x‖² = d_in)."""

    step: int
    """Steps taken so far, of `steps`."""
    steps: int
    nmse: float
    """Σ‖x − x̂‖² / Σ‖x − mean‖² of the batch (science §4)."""
    l0: float
    """Mean number of codes z ≠ 0 a token."""
    dead: int
    """Latents silent for dead_after tokens; a signed one only if both of its poles are."""
    sparsity_weight: float
    """λ or β of this step, warm-up included."""
    dead_positive: int
    """+ poles silent for dead_after tokens."""
    dead_negative: int
    """The same of − poles; 0 for a one-sided SAE, which has none."""
    penalty: float
    """Mean over tokens of the sparsifier's own term before its weight: L1, L0 or KL."""
    gradient_norm: float
    """Of the squared error summed over d_in, before clipping, without the decoder's parallel part."""


class Losses(NamedTuple):
    """This rank's part of the loss, its Σ‖x − x̂‖², and the rows of the global batch."""

    total: Tensor
    squared_error: Tensor
    rows: Tensor | float


class Training:
    """One SAE in training. Every rank holds all of it and takes its share of each batch."""

    def __init__(
        self, sae: SparseAutoencoder, config: TrainConfig, group: Group | None = None
    ) -> None:
        """Train this SAE from its present weights, where they are."""
        self.sae = sae
        self.config = config
        self.group = group or Group()
        self.parameters = list(sae.parameters())
        device = sae.b_dec.device
        # Ranks draw apart, or their rows would share one noise.
        self.noise = torch.Generator(device)
        self.noise.manual_seed(config.seed + 1 + 1_000_003 * self.group.rank)
        self.optimiser = torch.optim.Adam(
            self.parameters, lr=config.lr, betas=config.betas, eps=config.epsilon, fused=True
        )
        self.gradients = GradientSum(self.group, self.parameters)
        self.workspace = Workspace()
        self.options = replace(config.kernels, workspace=self.workspace)
        self.life = Life(sae.config.d_sae, sae.config.is_signed, config.dead_after, device)
        self.step = 0
        self._mean_of_tokens: Tensor | None = None

    @classmethod
    def begin(cls, sae: SAEConfig, config: TrainConfig, start: Start) -> "Training":
        """A new SAE with the scale, b_dec and token means of `start`.

        Raises ValueError when SAE and recipe do not fit.
        """
        check_pair(sae, config)
        return cls(start_sae(sae, config, start), config, start.group)

    def take_step(self, batch: "Batch") -> TrainStep:
        """Fit one batch (this rank's rows of it).

        Raises FloatingPointError when loss or gradient is not finite, before any weight is touched.
        """
        self.sae.train()
        weight = self.config.sparsity_weight * sparsity_share(self.config, self.step)
        self.optimiser.zero_grad()  # the last step's gradients lie in the workspace
        self.workspace.begin()
        with self._autocast():
            output = self.sae(batch.activations, batch.tokens, self.noise, self.options)
            losses = self._losses(output, weight)
        losses.total.backward()
        self.gradients.wait()
        if self.config.remove_parallel:
            remove_parallel_gradient(self.sae)
        with torch.no_grad():
            silence = self.life.after(output.code, losses.rows, self.group)
            step = self._measure(batch, output, losses, silence, weight)
        self._update_weights(step.gradient_norm)
        self.life.silent_for = silence.silent_for
        if self.sae.config.is_batched:
            self._update_threshold(output)
        self.step += 1
        return step

    def state(self) -> dict[str, Tensor]:
        """All that later steps depend on and every rank has alike."""
        named = {f"sae.{name}": tensor for name, tensor in self.sae.state_dict().items()}
        named["silent_for"] = self.life.silent_for
        for name, parameter in self.sae.named_parameters():
            for key, tensor in self.optimiser.state[parameter].items():
                named[f"optimiser.{name}.{key}"] = tensor
        return named

    def restore(self, state: dict[str, Tensor], step: int) -> None:
        """Go on from a `state` taken after `step` steps. Raises ValueError when it does not fit."""
        weights = {k.removeprefix("sae."): t for k, t in state.items() if k.startswith("sae.")}
        own = self.sae.state_dict()
        if {k: t.shape for k, t in weights.items()} != {k: t.shape for k, t in own.items()}:
            raise ValueError("the checkpoint holds other weights than this SAE has: start anew")
        self.sae.load_state_dict(weights)
        self.life.silent_for.copy_(state["silent_for"])
        for name, parameter in self.sae.named_parameters():
            prefix = f"optimiser.{name}."
            moments = {k.removeprefix(prefix): t for k, t in state.items() if k.startswith(prefix)}
            self.optimiser.state[parameter] = {
                # Moments lie in memory as their weights do: the fused step pairs them by address.
                key: torch.empty_like(parameter).copy_(moment)
                if moment.shape == parameter.shape and key != "step"
                else moment.to(parameter.device)
                for key, moment in moments.items()
            }
        self.step = step

    def _losses(self, output: SAEOutput, weight: float) -> Losses:
        rows: Tensor | float = float(len(output.target))
        if self.group.world > 1:
            rows = self.group.sum(output.target.new_tensor(rows))
        total, squared_error = reconstruction_loss(output, rows)
        if weight:
            total = total + weight * output.penalty.sum() / (rows * output.target.shape[-1])
        if self.config.auxk_weight:
            dead = self.life.is_dead()
            extra = auxiliary_loss(self.sae, output, dead, self.config, self.group, self.options)
            total = total + self.config.auxk_weight * extra
        return Losses(total, squared_error, rows)

    def _measure(
        self, batch: "Batch", output: SAEOutput, losses: Losses, silence: Silence, weight: float
    ) -> TrainStep:
        """Everything that the host has to know of this step, in one transfer.

        Raises FloatingPointError when loss or gradient is not finite.
        """
        # With a token bias, the target is a remainder: the error is told as a share of x itself.
        whole = self.sae.scale(batch.activations) if self.sae.config.token_bias else output.target
        own = [losses.total, losses.squared_error, output.penalty.sum(), silence.fired]
        sums = torch.stack([value.detach().to(whole) for value in own])
        sums = self.group.sum(torch.cat([sums, spread(whole, self._centre())]))
        variance = sums[-1] - sums[4:-1].square().sum() / losses.rows
        norm = gradient_norm(self.parameters) * self.sae.config.d_in  # the loss is a mean over d_in
        dead = self.life.count(silence.silent_for)
        values = torch.cat([sums[:4], torch.stack([variance, norm]), dead.to(sums)]).tolist()
        loss, error, penalty, fired = values[:4]
        self._check_finite(loss, values[5])
        rows = float(losses.rows)
        return TrainStep(
            step=self.step + 1,
            steps=self.config.steps,
            nmse=error / max(values[4], TINY),
            l0=fired / rows,
            dead=int(values[6]),
            sparsity_weight=weight,
            dead_positive=int(values[7]),
            dead_negative=int(values[8]),
            penalty=penalty / rows,
            gradient_norm=values[5],
        )

    def _centre(self) -> Tensor:
        """A point near the mean of what is measured: variances about a far one lose their digits."""
        if not self.sae.config.token_bias:
            return self.sae.b_dec
        if self._mean_of_tokens is None:
            self._mean_of_tokens = self.sae.token_means.mean(0)
        return self.sae.b_dec + self._mean_of_tokens

    def _check_finite(self, loss: float, norm: float) -> None:
        for name, value in (("loss", loss), ("norm of the gradient", norm)):
            if not abs(value) < float("inf"):
                raise FloatingPointError(
                    f"the {name} is {value} in step {self.step + 1}; the weights are those of step "
                    f"{self.step}: lower lr ({self.config.lr}), or check the activations"
                )

    def _update_weights(self, norm: float) -> None:
        if self.config.clip is not None and norm > self.config.clip:
            shrink_gradients(self.parameters, self.config.clip / norm)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * rate_share(self.config, self.step)
        self.optimiser.step()
        if self.config.unit_norm:
            normalise_decoder(self.sae)

    @torch.no_grad()
    def _update_threshold(self, output: SAEOutput) -> None:
        """BatchTopK's threshold, the mean of what the ranks found in their own share of the batch."""
        assert isinstance(output.code, SparseCode)
        self.sae.update_threshold(output.code, self.config.threshold_batches)
        if self.group.world > 1:
            threshold = self.sae.threshold
            threshold.copy_(self.group.sum(threshold.clone()) / self.group.world)

    def _autocast(self) -> AbstractContextManager:
        kind = self.sae.b_dec.device.type
        return torch.autocast(kind, torch.bfloat16, enabled=self.config.autocast)
