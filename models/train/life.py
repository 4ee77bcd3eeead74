"""How long each pole of each latent has been silent, and which latents are dead.

Firing means z ≠ 0; the poles are counted apart (science §1). Knows nothing of losses.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from models.kernels import SparseCode
from models.train.group import Group

POSITIVE, NEGATIVE = 0, 1


class Silence(NamedTuple):
    """After one batch: tokens of silence per pole, and how many codes of the batch were non-zero."""

    silent_for: Int64[Tensor, "pole d_sae"]
    fired: Tensor


class Life:
    """The silences of one SAE's poles, rows 0 (+) and 1 (−). A one-sided SAE has no − pole to miss."""

    def __init__(
        self, d_sae: int, is_signed: bool, dead_after: int, device: torch.device | str = "cpu"
    ) -> None:
        self.is_signed = is_signed
        self.dead_after = dead_after
        self.silent_for = torch.zeros(2, d_sae, dtype=torch.long, device=device)

    def is_dead(self) -> Bool[Tensor, "d_sae"]:
        """Which latents are dead: signed ones when both poles are, one-sided ones by their + pole."""
        poles = self.silent_for >= self.dead_after
        return poles.all(0) if self.is_signed else poles[POSITIVE]

    def after(
        self, code: SparseCode | Float[Tensor, "batch d_sae"], tokens: Tensor | float, group: Group
    ) -> Silence:
        """The silences once this rank's code and the others' are counted; nothing is changed yet.

        `tokens` is the size of the global batch; `fired` is this rank's own.
        """
        active, fired = fired_poles(code, self.silent_for.shape[1], self.is_signed)
        active = group.any(active)
        silent_for = (self.silent_for + int(tokens)).masked_fill_(active, 0)
        return Silence(silent_for, fired)

    def count(self, silent_for: Int64[Tensor, "pole d_sae"]) -> Tensor:
        """Dead latents, dead + poles, dead − poles (0 where there is no such pole): int64 [3]."""
        poles = silent_for >= self.dead_after
        positive = poles[POSITIVE].sum()
        if not self.is_signed:
            return torch.stack([positive, positive, torch.zeros_like(positive)])
        return torch.stack([poles.all(0).sum(), positive, poles[NEGATIVE].sum()])


def fired_poles(
    code: SparseCode | Float[Tensor, "batch d_sae"], d_sae: int, is_signed: bool
) -> tuple[Bool[Tensor, "pole d_sae"], Tensor]:
    """Which poles fired anywhere in the batch, and how many codes were non-zero.

    By each latent's largest and smallest code of the batch: one pass each, no comparison of it all.
    """
    if isinstance(code, SparseCode):
        indices, values = code.indices.flatten(), code.values.detach().flatten()
        extremes = values.new_zeros(2, d_sae)
        extremes[POSITIVE].scatter_reduce_(0, indices, values, "amax")
        if is_signed:
            extremes[NEGATIVE].scatter_reduce_(0, indices, values, "amin")
    else:
        values = code.detach()
        lowest = values.amin(0) if is_signed else values.new_zeros(d_sae)
        extremes = torch.stack([values.amax(0), lowest])
    active = torch.stack([extremes[POSITIVE] > 0, extremes[NEGATIVE] < 0])
    return active, torch.count_nonzero(values)
