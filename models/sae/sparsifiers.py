"""Proximal steps: from pre-activations u to sparse codes z, signs kept where they are signed.

Source: AbsTopK (arXiv 2510.00404) §3, and the table of science §1. Knows nothing of weights.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class SparseCode(NamedTuple):
    """A k-sparse code: per row, which latents and their signed values.

    A value of exactly 0 marks an unused slot (TopK with fewer than k positive u).
    """

    indices: Int[Tensor, "batch k"]
    values: Float[Tensor, "batch k"]

    def dense(self, d_sae: int) -> Float[Tensor, "batch d_sae"]:
        """The same code with its zeros written out."""
        return self.values.new_zeros(len(self.values), d_sae).scatter(-1, self.indices, self.values)


def relu(u: Float[Tensor, "batch d_sae"], threshold: float = 0.0) -> Float[Tensor, "batch d_sae"]:
    """max(u − λ, 0): the proximal step of λ‖z‖₁ with z ≥ 0."""
    return torch.relu(u - threshold)


def jumprelu(
    u: Float[Tensor, "batch d_sae"],
    threshold: Float[Tensor, "d_sae"] | float,
    bandwidth: float = 1e-3,
) -> Float[Tensor, "batch d_sae"]:
    """u where u ≥ θ, else 0: the proximal step of λ‖z‖₀ with z ≥ 0, θ = √(2λ).

    θ gets the straight-through gradient of a rectangular kernel of the given bandwidth
    (Rajamanoharan et al. 2024, §3).
    """
    theta = torch.as_tensor(threshold, dtype=u.dtype, device=u.device)
    return _JumpReLU.apply(u, theta, bandwidth)


def count_above(
    u: Float[Tensor, "batch d_sae"], threshold: Float[Tensor, "d_sae"], bandwidth: float = 1e-3
) -> Float[Tensor, "batch"]:
    """L0 of jumprelu's code, with the straight-through gradient to θ."""
    return _Step.apply(u, threshold, bandwidth).sum(-1)


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


class _JumpReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(u, theta)
        ctx.bandwidth = bandwidth
        return u * (u >= theta)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        u, theta = ctx.saved_tensors
        kernel = ((u - theta).abs() < ctx.bandwidth / 2).to(u.dtype) / ctx.bandwidth
        to_theta = -(theta * kernel * gradient)
        return gradient * (u >= theta), to_theta.sum_to_size(theta.shape), None


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(u, theta)
        ctx.bandwidth = bandwidth
        return (u >= theta).to(u.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        u, theta = ctx.saved_tensors
        kernel = ((u - theta).abs() < ctx.bandwidth / 2).to(u.dtype) / ctx.bandwidth
        return torch.zeros_like(u), -(kernel * gradient).sum_to_size(theta.shape), None
