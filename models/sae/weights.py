"""What an SAE holds: its weights, its thresholds and its token means, and u = (target − b_dec) W_enc + b_enc.

Knows the SAE's units and how to turn a latent round; knows nothing of choosing latents, of decoding or
of training.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.kernels import SparseCode
from models.sae.config import LEARNT_THRESHOLD, SAEConfig
from models.sae.variational import LOG_VARIANCE_BIAS

THRESHOLD_BATCHES = 100  # that the running mean of the smallest active |u| goes back, about


class SAEWeights(nn.Module):
    """The tensors of an SAE; decoder rows are kept at unit norm by the trainer (science §3).

    W_enc [d_in, d_sae], b_enc [d_sae], W_dec [d_sae, d_in], b_dec [d_in]; log_threshold [d_sae] with a
    learnt θ; W_var and b_var like W_enc and b_enc with a learnt σ. Buffers: threshold [] of the batched
    sparsifiers (0 until learnt), token_means [vocabulary, d_in] in scaled units.
    """

    def __init__(self, config: SAEConfig) -> None:
        super().__init__()
        self.config = config
        # Columns lie together in memory: its gradient comes latent by latent.
        self.W_enc = nn.Parameter(torch.empty(config.d_sae, config.d_in).T)
        self.b_enc = nn.Parameter(torch.zeros(config.d_sae))
        self.W_dec = nn.Parameter(torch.empty(config.d_sae, config.d_in))
        self.b_dec = nn.Parameter(torch.zeros(config.d_in))
        if config.sparsifier in LEARNT_THRESHOLD:
            self.log_threshold = nn.Parameter(
                torch.full((config.d_sae,), math.log(config.threshold))
            )
        if config.learns_sigma:
            self.W_var = nn.Parameter(torch.zeros(config.d_in, config.d_sae))
            self.b_var = nn.Parameter(torch.full((config.d_sae,), LOG_VARIANCE_BIAS))
        if config.is_batched:
            self.threshold: Tensor
            self.register_buffer("threshold", torch.zeros(()))
        if config.vocabulary is not None:
            self.token_means: Tensor
            self.register_buffer("token_means", torch.zeros(config.vocabulary, config.d_in))

    def initialise(self, generator: torch.Generator) -> None:
        """Random unit decoder rows, W_enc = W_decᵀ (science §3)."""
        with torch.no_grad():
            self.W_dec.copy_(torch.randn(self.W_dec.shape, generator=generator))
            self.W_dec.div_(self.W_dec.norm(dim=-1, keepdim=True))
            self.W_enc.copy_(self.W_dec.T)

    @torch.no_grad()
    def set_token_means(self, means: Float[Tensor, "vocabulary d_in"]) -> None:
        """Set the bias of every token from means of residual activations (not scaled).

        Raises ValueError without a token bias, or when the shape is another.
        """
        if not self.config.token_bias or means.shape != self.token_means.shape:
            raise ValueError(
                f"token means of shape {list(means.shape)} do not fit token_bias = "
                f"{self.config.token_bias}, vocabulary = {self.config.vocabulary}"
            )
        self.token_means.copy_(means * self.config.input_scale)

    @torch.no_grad()
    def update_threshold(self, code: SparseCode, batches: int = THRESHOLD_BATCHES) -> None:
        """Move the evaluation threshold towards the smallest active |u| of a training batch.

        A running mean over about so many `batches` (decay 1 − 1/batches) that starts at its first value
        (BatchTopK, arXiv 2412.06410, §3; on |u| for the signed one). A batch in which nothing is active
        changes nothing. Raises ValueError for a sparsifier that ranks no batch.
        """
        if not self.config.is_batched:
            raise ValueError(f"sparsifier {self.config.sparsifier!r} learns no threshold this way")
        size = code.values.detach().abs()
        smallest = size.masked_fill(size == 0, torch.inf).amin()
        moved = torch.where(
            self.threshold == 0, smallest, torch.lerp(smallest, self.threshold, 1 - 1 / batches)
        )
        self.threshold.copy_(torch.where(torch.isfinite(smallest), moved, self.threshold))

    @torch.no_grad()
    def flip(self, features: Bool[Tensor, "d_sae"]) -> None:
        """Turn the chosen latents round: W_enc columns, b_enc and W_dec rows are negated, in place.

        prox(−u) = −prox(u) for every signed sparsifier, so their codes change sign and reconstructions
        stay. Raises ValueError for a one-sided SAE.
        """
        if not self.config.is_signed:
            raise ValueError(
                f"sparsifier {self.config.sparsifier!r} is one-sided: its latents have no − pole"
            )
        chosen = features.to(self.b_enc.device, torch.bool)
        sign = 1 - 2 * chosen.to(self.b_enc.dtype)
        self.W_enc.mul_(sign)
        self.b_enc.mul_(sign)
        self.W_dec.mul_(sign[:, None])

    def scale(self, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_in"]:
        """Residual activations in the SAE's own units."""
        return x.to(self.W_enc.dtype) * self.config.input_scale

    def prepare(
        self, x: Float[Tensor, "batch d_in"], tokens: Int[Tensor, "batch"] | None = None
    ) -> Float[Tensor, "batch d_in"]:
        """What the latents are to code: scaled x, less the mean of its token where there is a token bias.

        Raises ValueError when the token ids are needed and missing.
        """
        target = self.scale(x)
        return target - self.token_mean(tokens, len(x)) if self.config.token_bias else target

    def token_mean(
        self, tokens: Int[Tensor, "batch"] | None, rows: int
    ) -> Float[Tensor, "batch d_in"]:
        """The bias of each position in scaled units. Raises ValueError unless there is one id per row."""
        if tokens is None or tokens.shape != (rows,):
            given = "none" if tokens is None else list(tokens.shape)
            raise ValueError(
                f"token_bias needs the token id of each of the {rows} positions, but tokens is {given}: "
                "pass tokens with the activations"
            )
        return self.token_means[tokens.to(self.token_means.device).long()]

    def pre_activate(self, target: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch d_sae"]:
        """u (for vsae: μ) from prepared activations: (target − b_dec) W_enc + b_enc."""
        u = (target - self.b_dec) @ self.W_enc + self.b_enc
        return torch.relu(u) if self.config.rectify else u

    def pre_activate_some(
        self, target: Float[Tensor, "batch d_in"], features: Int[Tensor, "some"]
    ) -> Float[Tensor, "batch some"]:
        """u of the given latents only, for AuxK: from prepared activations, never rectified."""
        W_enc = self.W_enc.index_select(1, features)
        return (target - self.b_dec) @ W_enc + self.b_enc.index_select(0, features)
