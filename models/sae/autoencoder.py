"""The sparse autoencoder: u = (s·x − b_dec) W_enc + b_enc, z = sparsify(u), x̂ = (z W_dec + b_dec) / s.

One class for every sparsifier, the variational one included, each with nested prefixes and a bias per
token where the config asks for them. Knows nothing of losses' weights, optimisers or files.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.kernels import (
    KernelOptions,
    SparseCode,
    Transpose,
    decode_sparse,
    encode_batch_topk,
    encode_topk,
)
from models.sae.config import LEARNT_THRESHOLD, SHRINKING
from models.sae.matryoshka import nested_reconstructions
from models.sae.sparsifiers import (
    above,
    abstopk,
    count_above,
    hard_threshold,
    jumprelu,
    pack,
    relu,
    soft_threshold,
    topk,
)
from models.sae.variational import divergence, draw, log_variance
from models.sae.weights import SAEWeights

CHUNK = 1 << 22  # pre-activations held at once where a code is told by a threshold: 16 MB


class SAEOutput(NamedTuple):
    """One forward pass, everything in scaled units (E‖x‖² = d_in).

    `target` is what the latents are to code: scaled x, less its token's mean where there is a token
    bias; `reconstruction` is of that. `penalty` [batch] is the sparsifier's own term before its weight:
    L1 for relu and soft_threshold, L0 for jumprelu and hard_threshold, KL to N(0, I) for vsae, zero for
    the others. `prefixes` are the nested reconstructions, the last one `reconstruction` itself; empty
    without Matryoshka.
    """

    target: Float[Tensor, "batch d_in"]
    reconstruction: Float[Tensor, "batch d_in"]
    code: SparseCode | Float[Tensor, "batch d_sae"]
    penalty: Float[Tensor, "batch"]
    prefixes: tuple[Float[Tensor, "batch d_in"], ...] = ()


class SparseAutoencoder(SAEWeights):
    """A sparse autoencoder of any sparsifier: codes of residual activations, and back.

    Shapes and buffers: see `SAEWeights`. Wherever `tokens` is taken, it is the int64 [batch] of the ids
    of the same positions; needed with a token bias (ValueError without), else ignored.
    """

    def encode(
        self, x: Float[Tensor, "batch d_in"], tokens: Int[Tensor, "batch"] | None = None
    ) -> Float[Tensor, "batch d_sae"]:
        """Dense signed codes of residual activations, as in evaluation: no sampling, no batch."""
        target = self.prepare(x, tokens)
        if self.config.is_k_sparse and not self.config.is_batched:
            return self._choose(target, None, None).dense(self.config.d_sae)
        return self._threshold(self.pre_activate(target))

    def encode_sparse(
        self, x: Float[Tensor, "batch d_in"], tokens: Int[Tensor, "batch"] | None = None
    ) -> SparseCode:
        """The same codes as (index, value) pairs; unused slots hold value 0.

        [batch, d_sae] never exists: rows are worked through in chunks.
        """
        return self._evaluate(self.prepare(x, tokens), None, None)

    def decode(
        self,
        code: SparseCode | Float[Tensor, "batch d_sae"],
        tokens: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch d_in"]:
        """Residual activations (not scaled) from codes: (z W_dec + b_dec [+ token mean]) / s."""
        rows = self._reconstruct(code, None, None)
        if self.config.token_bias:
            rows = rows + self.token_mean(tokens, len(rows))
        return rows / self.config.input_scale

    def forward(
        self,
        x: Float[Tensor, "batch d_in"],
        tokens: Int[Tensor, "batch"] | None = None,
        noise: torch.Generator | None = None,
        options: KernelOptions | None = None,
    ) -> SAEOutput:
        """Code and reconstruct.

        In training mode a vsae with `sample` draws its code by `noise`, and a batched sparsifier ranks
        this batch; in evaluation mode both do as `encode` does. `options` choose how the sparse maths is
        computed (None: exact, by the fastest path there is).
        """
        target = self.prepare(x, tokens)
        transpose = Transpose()
        code, penalty = self._code(target, noise, options, transpose)
        if not self.config.prefixes:
            rows = self._reconstruct(code, options, transpose)
            return SAEOutput(target, rows, code, penalty)
        prefixes = nested_reconstructions(
            code, self.W_dec, self.b_dec, self.config.prefixes, options, transpose
        )
        return SAEOutput(target, prefixes[-1], code, penalty, prefixes)

    def _code(
        self,
        target: Tensor,
        noise: torch.Generator | None,
        options: KernelOptions | None,
        transpose: Transpose,
    ) -> tuple[SparseCode | Tensor, Tensor]:
        """The code and its penalty, in the mode the module is in."""
        if self.config.sparsifier == "vsae":
            return self._draw(target, noise)
        if self.config.is_k_sparse:
            ranked = self.config.is_batched and self.training
            encode = self._rank_batch if ranked else self._evaluate
            return encode(target, options, transpose), target.new_zeros(len(target))
        u = self.pre_activate(target)
        code = self._threshold(u)
        return code, self._penalty(u, code)

    def _draw(self, target: Tensor, noise: torch.Generator | None) -> tuple[SparseCode, Tensor]:
        """k of z̃ = μ + εσ in training, of μ in evaluation, and KL(N(μ, σ²) ‖ N(0, I)) (vSAE §3)."""
        mean, log_var = self.pre_activate(target), None
        if self.config.learns_sigma:
            log_var = log_variance(target - self.b_dec, self.W_var, self.b_var)
        drawn = draw(mean, log_var, noise) if self.training and self.config.sample else mean
        choose = abstopk if self.config.is_signed else topk
        assert self.config.k is not None
        return choose(drawn, self.config.k), divergence(mean, log_var)

    def _rank_batch(
        self, target: Tensor, options: KernelOptions | None, transpose: Transpose | None
    ) -> SparseCode:
        """The B·k largest of the batch."""
        return encode_batch_topk(target, *self._encoder(), options, transpose)

    def _choose(
        self, target: Tensor, options: KernelOptions | None, transpose: Transpose | None
    ) -> SparseCode:
        """The k largest of each row; a rectified μ makes no difference to them."""
        return encode_topk(target, *self._encoder(), options, transpose)

    def _encoder(self) -> tuple[Tensor, Tensor, Tensor, int, bool]:
        assert self.config.k is not None
        return self.W_enc, self.b_enc, self.b_dec, self.config.k, self.config.is_signed

    def _evaluate(
        self, target: Tensor, options: KernelOptions | None, transpose: Transpose | None
    ) -> SparseCode:
        """The code in evaluation, by rank or, in chunks of rows, by threshold."""
        if self.config.is_k_sparse and not self.config.is_batched:
            return self._choose(target, options, transpose)
        rows, latents, values = [], [], []
        step = max(1, CHUNK // self.config.d_sae)
        for start in range(0, len(target), step):
            code = self._threshold(self.pre_activate(target[start : start + step]))
            row, latent = code.nonzero(as_tuple=True)
            rows.append(row + start)
            latents.append(latent)
            values.append(code[row, latent])
        if not rows:
            nothing = torch.zeros(0, 1, device=target.device)
            return SparseCode(nothing.long(), nothing.to(target.dtype))
        return pack(torch.cat(rows), torch.cat(latents), torch.cat(values), len(target))

    def _threshold(self, u: Tensor) -> Tensor:
        """The dense code of a sparsifier that looks at one u at a time."""
        config = self.config
        match config.sparsifier:
            case "relu":
                return relu(u, config.threshold)
            case "soft_threshold":
                return soft_threshold(u, config.threshold)
            case "jumprelu":
                return jumprelu(u, self.log_threshold.exp(), config.bandwidth)
            case "hard_threshold":
                return hard_threshold(u, self.log_threshold.exp(), config.bandwidth)
            case "dim":
                return u
        return above(u, self.threshold, config.is_signed)

    def _reconstruct(
        self,
        code: SparseCode | Tensor,
        options: KernelOptions | None,
        transpose: Transpose | None,
    ) -> Tensor:
        if isinstance(code, SparseCode):
            return decode_sparse(code, self.W_dec, options, transpose) + self.b_dec
        return code @ self.W_dec + self.b_dec

    def _penalty(self, u: Tensor, code: Tensor) -> Tensor:
        if self.config.sparsifier in SHRINKING:
            return code.abs().sum(-1)
        if self.config.sparsifier in LEARNT_THRESHOLD:
            theta = self.log_threshold.exp()
            return count_above(u, theta, self.config.bandwidth, self.config.is_signed)
        return u.new_zeros(len(u))
