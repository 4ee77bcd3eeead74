"""The variational part of a vSAE: a Gaussian code around μ, and its divergence from N(0, I).

Source: vSAE (arXiv 2509.22994) §3 and science §2. Knows nothing of weights or of which latents are kept.
"""

import torch
from jaxtyping import Float
from torch import Tensor

LOG_VARIANCE_BIAS = -2.0  # as coded by the vSAE's authors, and the range too
LOG_VARIANCE_RANGE = (-6.0, 2.0)


def log_variance(
    centred: Float[Tensor, "batch d_in"],
    W_var: Float[Tensor, "d_in d_sae"],
    b_var: Float[Tensor, "d_sae"],
) -> Float[Tensor, "batch d_sae"]:
    """log σ² = (x − b_dec) W_var + b_var, clamped to [−6, 2] (science §2)."""
    return (centred @ W_var + b_var).clamp(*LOG_VARIANCE_RANGE)


def divergence(
    mean: Float[Tensor, "batch d_sae"], log_var: Float[Tensor, "batch d_sae"] | None
) -> Float[Tensor, "batch"]:
    """KL(N(μ, σ²) ‖ N(0, I)) = ½Σ(μ² + σ² − 1 − log σ²) per row, in nats.

    `log_var` None is σ = 1, where only ½Σμ² is left.
    """
    if log_var is None:
        return 0.5 * mean.square().sum(-1)
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)


def draw(
    mean: Float[Tensor, "batch d_sae"],
    log_var: Float[Tensor, "batch d_sae"] | None,
    noise: torch.Generator | None,
) -> Float[Tensor, "batch d_sae"]:
    """z̃ = μ + εσ with ε ~ N(0, I) from `noise` (None: torch's own stream); `log_var` None is σ = 1."""
    epsilon = torch.randn(mean.shape, generator=noise, device=mean.device, dtype=mean.dtype)
    return mean + (epsilon if log_var is None else epsilon * (0.5 * log_var).exp())
