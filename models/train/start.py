"""What is set before the first step: input scale, token means, b_dec and the random weights.

Estimated on the batches that were read ahead, over all processes. Knows nothing of optimisers.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.sae import SAEConfig, SparseAutoencoder
from models.train.config import TrainConfig
from models.train.group import Group

if TYPE_CHECKING:  # the batches are made by whoever calls, language model and all
    from models.activations import Batch

PRIOR_TOKENS = 8
"""A token's mean leans on the overall mean as if that had been seen so often with it."""
MEDIAN_STEPS = 20


class Start:
    """Statistics of the first batches of a stream, each computed once for all SAEs of a sweep."""

    def __init__(
        self,
        activations: Float[Tensor, "n d_in"],
        tokens: Int64[Tensor, "n"],
        group: Group | None = None,
    ) -> None:
        """Raises FloatingPointError on activations that are not finite, ValueError when all are zero."""
        self.group = group or Group()
        self.activations = activations.float()
        self.tokens = tokens
        self.count = int(self.group.sum(torch.tensor(len(activations), device=activations.device)))
        """Over all processes."""
        self.mean_square = float(self.group.sum(self.activations.square().sum())) / self.count
        """E‖x‖²."""
        if not math.isfinite(self.mean_square):
            raise FloatingPointError(
                "the first activations are not all finite: check the language model and its dtype"
            )
        if self.mean_square == 0:
            raise ValueError("the first activations are all zero: choose another layer")

    @classmethod
    def of(cls, batches: "Sequence[Batch]", group: Group | None = None) -> "Start":
        """The statistics of whole batches. Raises ValueError when there is none."""
        if not batches:
            raise ValueError("the stream serves no batch: give a longer text")
        activations = torch.cat([batch.activations for batch in batches])
        return cls(activations, torch.cat([batch.tokens for batch in batches]), group)

    @property
    def device(self) -> torch.device:
        """Where the activations are, and the SAE is to be."""
        return self.activations.device

    @cached_property
    def mean(self) -> Float[Tensor, "d_in"]:
        """The mean activation."""
        return self.group.sum(self.activations.sum(0)) / self.count

    @cached_property
    def median(self) -> Float[Tensor, "d_in"]:
        """The geometric median of the activations."""
        return geometric_median(self.activations, self.group)

    @property
    def scale(self) -> float:
        """What brings E‖x‖² to d_in (science §3)."""
        return (self.activations.shape[-1] / self.mean_square) ** 0.5

    def without_token_means(
        self, vocabulary: int
    ) -> tuple["Start", Float[Tensor, "vocabulary d_in"]]:
        """The statistics of what is left behind each token's mean, and those means.

        m_t = (Σ x + a·m) / (n_t + a) over the n_t activations of token t, with a = PRIOR_TOKENS and m
        the overall mean: a token that was not seen gets m. Raises ValueError for foreign token ids.
        """
        if int(self.tokens.max()) >= vocabulary:
            raise ValueError(
                f"vocabulary = {vocabulary}, but the text holds token id {int(self.tokens.max())}: "
                "set vocabulary to the language model's"
            )
        sums = self.activations.new_zeros(vocabulary, self.activations.shape[-1])
        sums.index_add_(0, self.tokens, self.activations)
        counts = torch.bincount(self.tokens, minlength=vocabulary).to(sums)[:, None]
        sums, counts = self.group.sum(sums), self.group.sum(counts)
        means = (sums + PRIOR_TOKENS * self.mean) / (counts + PRIOR_TOKENS)
        rest = self.activations - means[self.tokens]
        return Start(rest, self.tokens, self.group), means


def start_sae(sae: SAEConfig, config: TrainConfig, start: Start) -> SparseAutoencoder:
    """The SAE before its first step, on the activations' device; the same on every rank."""
    means = None
    if sae.token_bias:
        assert sae.vocabulary is not None
        start, means = start.without_token_means(sae.vocabulary)
    scale = start.scale if config.scale_inputs else sae.input_scale
    started = SparseAutoencoder(replace(sae, input_scale=scale))
    random = torch.Generator().manual_seed(config.seed)
    started.initialise(random)
    with torch.no_grad():
        if not config.tied_start:
            columns = torch.randn(sae.d_sae, sae.d_in, generator=random)
            started.W_enc.copy_((columns / columns.norm(dim=-1, keepdim=True)).T)
        started.to(start.device)
        if config.bias_start != "zero":
            centre = start.median if config.bias_start == "median" else start.mean
            started.b_dec.copy_(centre * scale)
        if means is not None:
            started.set_token_means(means)
    start.group.broadcast([*started.parameters(), *started.buffers()])
    return started


@torch.no_grad()
def geometric_median(
    points: Float[Tensor, "n d"], group: Group | None = None, iterations: int = MEDIAN_STEPS
) -> Float[Tensor, "d"]:
    """Weiszfeld's iteration from the mean: the point with the least summed distance to all ranks' points."""
    group = group or Group()
    count = group.sum(torch.tensor(float(len(points))))
    median = group.sum(points.sum(0)) / float(count)
    for _ in range(iterations):
        weights = 1 / (points - median).norm(dim=-1).clamp(min=1e-6)
        total = group.sum(weights.sum())
        median = group.sum(weights @ points) / total
    return median
