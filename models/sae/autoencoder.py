"""The sparse autoencoder: u = (s·x − b_dec) W_enc + b_enc, z = sparsify(u), x̂ = (z W_dec + b_dec) / s.

One class for every sparsifier, the variational one included. Knows nothing of losses' weights,
optimisers or files.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.sae.config import SAEConfig
from models.sae.sparsifiers import SparseCode, abstopk, count_above, jumprelu, relu, topk

LOG_VARIANCE_BIAS = -2.0  # vSAE, as coded by its authors
LOG_VARIANCE_RANGE = (-6.0, 2.0)


class SAEOutput(NamedTuple):
    """One forward pass, everything in scaled units (E‖x‖² = d_in).

    `penalty` [batch] is the sparsifier's own term before its weight: L1 for relu, L0 for
    jumprelu, KL to N(0, I) for vsae, zero for topk and abstopk.
    """

    target: Float[Tensor, "batch d_in"]
    reconstruction: Float[Tensor, "batch d_in"]
    pre_activation: Float[Tensor, "batch d_sae"]
    code: SparseCode | Float[Tensor, "batch d_sae"]
    penalty: Float[Tensor, "batch"]


class SparseAutoencoder(nn.Module):
    """A sparse autoencoder. Decoder rows are kept at unit norm by the trainer (science §3)."""

    def __init__(self, config: SAEConfig) -> None:
        super().__init__()
        self.config = config
        self.W_enc = nn.Parameter(torch.empty(config.d_in, config.d_sae))
        self.b_enc = nn.Parameter(torch.zeros(config.d_sae))
        self.W_dec = nn.Parameter(torch.empty(config.d_sae, config.d_in))
        self.b_dec = nn.Parameter(torch.zeros(config.d_in))
        if config.sparsifier == "jumprelu":
            self.log_threshold = nn.Parameter(
                torch.full((config.d_sae,), math.log(config.threshold))
            )
        if config.sparsifier == "vsae" and config.sigma == "learned":
            self.W_var = nn.Parameter(torch.zeros(config.d_in, config.d_sae))
            self.b_var = nn.Parameter(torch.full((config.d_sae,), LOG_VARIANCE_BIAS))

    def initialise(self, generator: torch.Generator) -> None:
        """Random unit decoder rows, W_enc = W_decᵀ (science §3)."""
        with torch.no_grad():
            self.W_dec.copy_(torch.randn(self.W_dec.shape, generator=generator))
            self.W_dec.div_(self.W_dec.norm(dim=-1, keepdim=True))
            self.W_enc.copy_(self.W_dec.T)

    def scale(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        """Residual activations in the SAE's own units."""
        return x.to(self.W_enc.dtype) * self.config.input_scale

    def pre_activate(self, target: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_sae"]:
        """u (for vsae: μ) from scaled activations."""
        u = (target - self.b_dec) @ self.W_enc + self.b_enc
        return torch.relu(u) if self.config.rectify else u

    def sparsify(
        self, u: Float[Tensor, "batch d_sae"]
    ) -> SparseCode | Float[Tensor, "batch d_sae"]:
        """The sparsifier's proximal step on u."""
        match self.config.sparsifier:
            case "relu":
                return relu(u, self.config.threshold)
            case "jumprelu":
                return jumprelu(u, self.log_threshold.exp(), self.config.bandwidth)
            case "dim":
                return u
        assert self.config.k is not None
        chooser = abstopk if self.config.is_signed else topk
        return chooser(u, self.config.k)

    def encode(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_sae"]:
        """Dense signed codes of residual activations, as in evaluation (no sampling)."""
        code = self.sparsify(self.pre_activate(self.scale(x)))
        return code.dense(self.config.d_sae) if isinstance(code, SparseCode) else code

    def encode_sparse(self, x: Float[Tensor, "batch d_in"]) -> SparseCode:
        """The same codes as (index, value) pairs; unused slots hold value 0."""
        code = self.sparsify(self.pre_activate(self.scale(x)))
        if isinstance(code, SparseCode):
            return code
        width = max(1, int((code != 0).sum(-1).max())) if len(code) else 1
        indices = code.abs().topk(width, dim=-1, sorted=False).indices
        return SparseCode(indices, code.gather(-1, indices))

    def decode(
        self, code: SparseCode | Float[Tensor, "batch d_sae"]
    ) -> Float[Tensor, "batch d_in"]:
        """Residual activations (not scaled) from codes."""
        return self._reconstruct(code) / self.config.input_scale

    def forward(
        self, x: Float[Tensor, "batch d_in"], noise: torch.Generator | None = None
    ) -> SAEOutput:
        """Code and reconstruct; in training mode a vsae with `sample` draws its code by `noise`."""
        target = self.scale(x)
        u = self.pre_activate(target)
        if self.config.sparsifier == "vsae":
            drawn, penalty = self._draw(target, u, noise)
            code = self.sparsify(drawn)
        else:
            code = self.sparsify(u)
            penalty = self._penalty(u, code)
        return SAEOutput(target, self._reconstruct(code), u, code, penalty)

    def _reconstruct(self, code: SparseCode | Tensor) -> Tensor:
        if not isinstance(code, SparseCode):
            return code @ self.W_dec + self.b_dec
        rows = nn.functional.embedding_bag(
            code.indices, self.W_dec, per_sample_weights=code.values, mode="sum"
        )
        return rows + self.b_dec

    def _draw(
        self, target: Tensor, mean: Tensor, noise: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """z̃ = μ + εσ in training, μ in evaluation, and KL(N(μ, σ²) ‖ N(0, I)) per row (vSAE §3)."""
        if self.config.sigma == "fixed" or not self.config.sample:
            penalty = 0.5 * mean.square().sum(-1)
            deviation: Tensor | float = 1.0
        else:
            log_variance = ((target - self.b_dec) @ self.W_var + self.b_var).clamp(
                *LOG_VARIANCE_RANGE
            )
            penalty = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            deviation = (0.5 * log_variance).exp()
        if not (self.training and self.config.sample):
            return mean, penalty
        epsilon = torch.randn(mean.shape, generator=noise, device=mean.device, dtype=mean.dtype)
        return mean + epsilon * deviation, penalty

    def _penalty(self, u: Tensor, code: SparseCode | Tensor) -> Tensor:
        if self.config.sparsifier == "relu":
            assert not isinstance(code, SparseCode)
            return code.abs().sum(-1)
        if self.config.sparsifier == "jumprelu":
            return count_above(u, self.log_threshold.exp(), self.config.bandwidth)
        return u.new_zeros(len(u))
