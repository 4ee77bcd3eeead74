"""Straight-through gradients of a hard threshold θ, one-sided or on |u|.

The forward pass is a step; its derivative by θ is a Dirac pulse, replaced by a rectangle of width
ε (Rajamanoharan et al. 2024, §3). Knows nothing of sparsifiers' names or weights.
"""

import torch
from torch import Tensor


class GatedIdentity(torch.autograd.Function):
    """z = u·[r ≥ θ], where r is u, or |u| when `by_magnitude`.

    ∂z/∂u = [r ≥ θ]; ∂z/∂θ := −(u/r)·(θ/ε)·[|r − θ| < ε/2], whose sign is that of u.
    """

    @staticmethod
    def forward(ctx, u: Tensor, theta: Tensor, bandwidth: float, by_magnitude: bool) -> Tensor:
        ctx.save_for_backward(u, theta)
        ctx.bandwidth, ctx.by_magnitude = bandwidth, by_magnitude
        return u * (_ranked(u, by_magnitude) >= theta)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        u, theta = ctx.saved_tensors
        ranked = _ranked(u, ctx.by_magnitude)
        to_u = gradient * (ranked >= theta) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return to_u, None, None, None
        height = theta * u.sign() if ctx.by_magnitude else theta
        to_theta = -(height * _rectangle(ranked, theta, ctx.bandwidth) * gradient)
        return to_u, to_theta.sum_to_size(theta.shape), None, None


class Step(torch.autograd.Function):
    """[r ≥ θ], where r is u, or |u| when `by_magnitude`.

    ∂/∂u := 0; ∂/∂θ := −(1/ε)·[|r − θ| < ε/2].
    """

    @staticmethod
    def forward(ctx, u: Tensor, theta: Tensor, bandwidth: float, by_magnitude: bool) -> Tensor:
        ctx.save_for_backward(u, theta)
        ctx.bandwidth, ctx.by_magnitude = bandwidth, by_magnitude
        return (_ranked(u, by_magnitude) >= theta).to(u.dtype)

    @staticmethod
    def backward(ctx, *gradients: Tensor) -> tuple[None, Tensor, None, None]:
        (gradient,) = gradients
        u, theta = ctx.saved_tensors
        kernel = _rectangle(_ranked(u, ctx.by_magnitude), theta, ctx.bandwidth)
        return None, -(kernel * gradient).sum_to_size(theta.shape), None, None


def _ranked(u: Tensor, by_magnitude: bool) -> Tensor:
    return u.abs() if by_magnitude else u


def _rectangle(ranked: Tensor, theta: Tensor, bandwidth: float) -> Tensor:
    """The kernel K((r − θ)/ε)/ε with K the unit rectangle."""
    return ((ranked - theta).abs() < bandwidth / 2).to(ranked.dtype) / bandwidth
