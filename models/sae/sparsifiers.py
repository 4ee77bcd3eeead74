"""Proximal steps: from pre-activations u to sparse codes z, signs kept where they are signed.

Source: AbsTopK (arXiv 2510.00404) §3, and the table of science §1. These take u whole; the k-sparse
SAE reaches the same codes without it (`models.kernels`). Knows nothing of weights.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.kernels import SparseCode
from models.sae.straight_through import GatedIdentity, Step


def relu(u: Float[Tensor, "batch d_sae"], threshold: float = 0.0) -> Float[Tensor, "batch d_sae"]:
    """max(u − λ, 0): the proximal step of λ‖z‖₁ with z ≥ 0 (AbsTopK §3)."""
    return torch.relu(u - threshold)


def soft_threshold(
    u: Float[Tensor, "batch d_sae"], threshold: float = 0.0
) -> Float[Tensor, "batch d_sae"]:
    """sign(u)·max(|u| − λ, 0): the proximal step of λ‖z‖₁, ± (science §1).

    λ = 0 is the identity: what sparsity there is then comes from the L1 penalty alone.
    """
    return torch.nn.functional.softshrink(u, threshold)


def jumprelu(
    u: Float[Tensor, "batch d_sae"],
    threshold: Float[Tensor, "d_sae"] | float,
    bandwidth: float = 1e-3,
) -> Float[Tensor, "batch d_sae"]:
    """u where u ≥ θ, else 0: the proximal step of λ‖z‖₀ with z ≥ 0, θ = √(2λ).

    θ gets the straight-through gradient −(θ/ε)·[|u − θ| < ε/2], ε the bandwidth
    (Rajamanoharan et al. 2024, §3).
    """
    return _gate(u, threshold, bandwidth, by_magnitude=False)


def hard_threshold(
    u: Float[Tensor, "batch d_sae"],
    threshold: Float[Tensor, "d_sae"] | float,
    bandwidth: float = 1e-3,
) -> Float[Tensor, "batch d_sae"]:
    """u where |u| ≥ θ, else 0: the proximal step of λ‖z‖₀, θ = √(2λ), ±.

    AbsTopK §3 leaves it to future work. θ gets jumprelu's straight-through gradient on |u|:
    −sign(u)·(θ/ε)·[||u| − θ| < ε/2].
    """
    return _gate(u, threshold, bandwidth, by_magnitude=True)


def count_above(
    u: Float[Tensor, "batch d_sae"],
    threshold: Float[Tensor, "d_sae"] | float,
    bandwidth: float = 1e-3,
    by_magnitude: bool = False,
) -> Float[Tensor, "batch"]:
    """L0 of jumprelu's code, or of hard_threshold's (|u|), with the straight-through gradient to θ.

    ∂/∂θ := −(1/ε)·[|r − θ| < ε/2] with r = u or |u|; nothing flows to u.
    """
    theta = torch.as_tensor(threshold, dtype=u.dtype, device=u.device)
    return Step.apply(u, theta, bandwidth, by_magnitude).sum(-1)


def topk(u: Float[Tensor, "batch d_sae"], k: int) -> SparseCode:
    """max(u, 0) at the k largest u of each row: projection on ‖z‖₀ ≤ k, z ≥ 0."""
    values, indices = u.topk(k, dim=-1, sorted=False)
    return SparseCode(indices, torch.relu(values))


def abstopk(u: Float[Tensor, "batch d_sae"], k: int) -> SparseCode:
    """u, sign kept, at the k largest |u| of each row: projection on ‖z‖₀ ≤ k.

    Equals `topk` on (W, −W), (b, −b), (D, −D): AbsTopK §3.
    """
    indices = u.abs().topk(k, dim=-1, sorted=False).indices
    return SparseCode(indices, u.gather(-1, indices))


def batchtopk(u: Float[Tensor, "batch d_sae"], k: int) -> SparseCode:
    """max(u, 0) at the B·k largest u of a batch of B rows (BatchTopK, arXiv 2412.06410, §3).

    The code is as wide as the row with the most.
    """
    return _of_the_batch(torch.relu(u), u.detach(), k)


def batchabstopk(u: Float[Tensor, "batch d_sae"], k: int) -> SparseCode:
    """u, sign kept, at the B·k largest |u| of a batch of B rows: ‖Z‖₀ ≤ B·k (science §1)."""
    return _of_the_batch(u, u.detach().abs(), k)


def above(
    u: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, ""] | float, by_magnitude: bool
) -> Float[Tensor, "batch d_sae"]:
    """u where u ≥ θ (or |u| ≥ θ) and where u > 0 (or u ≠ 0), else 0.

    What a batched sparsifier does in evaluation, when there is no batch to rank: θ is the mean of
    the smallest active value of its training batches (BatchTopK §3, here also on |u|).
    """
    kept = u.abs() >= threshold if by_magnitude else (u >= threshold) & (u > 0)
    return torch.where(kept, u, torch.zeros_like(u))


def pack(
    rows: Int[Tensor, "n"], latents: Int[Tensor, "n"], values: Float[Tensor, "n"], batch: int
) -> SparseCode:
    """Entries in order of their rows as a code, as wide as the row with the most (at least 1).

    Unused slots hold latent 0 and value 0.
    """
    counts = rows.bincount(minlength=batch)
    width = max(1, int(counts.max())) if batch else 1
    slots = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    indices = latents.new_zeros(batch, width)
    indices[rows, slots] = latents
    return SparseCode(indices, values.new_zeros(batch, width).index_put((rows, slots), values))


def _gate(
    u: Tensor, threshold: Tensor | float, bandwidth: float, *, by_magnitude: bool
) -> Float[Tensor, "batch d_sae"]:
    theta = torch.as_tensor(threshold, dtype=u.dtype, device=u.device)
    return GatedIdentity.apply(u, theta, bandwidth, by_magnitude)


def _of_the_batch(values: Tensor, rank: Tensor, k: int) -> SparseCode:
    places = rank.flatten().topk(k * len(rank), sorted=False).indices.sort().values
    width = rank.shape[-1]
    rows, latents = places // width, places % width
    return pack(rows, latents, values[rows, latents], len(rank))
