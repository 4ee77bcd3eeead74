"""What an SAE is, before it has weights. Impossible combinations are refused here.

Knows nothing of training: see `models.train` for the recipe.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from models.field_kinds import check_kinds

Sparsifier = Literal[
    "relu",
    "soft_threshold",
    "jumprelu",
    "hard_threshold",
    "topk",
    "abstopk",
    "batchtopk",
    "batchabstopk",
    "vsae",
    "dim",
]
SPARSIFIERS: tuple[str, ...] = get_args(Sparsifier)
WITH_K = ("topk", "abstopk", "batchtopk", "batchabstopk", "vsae")
BATCHED = ("batchtopk", "batchabstopk")
SHRINKING = ("relu", "soft_threshold")
LEARNT_THRESHOLD = ("jumprelu", "hard_threshold")
SIGNED = ("soft_threshold", "hard_threshold", "abstopk", "batchabstopk", "dim")
VSAE_ONLY = {"sigma": "learned", "sample": True, "rectify": False, "by_magnitude": False}


@dataclass(frozen=True)
class SAEConfig:
    """Shape and sparsifier of one SAE (docs/science.md §1 and §2).

    `input_scale` multiplies activations before encoding, so that E‖x‖² = d_in on the training
    text; codes and biases are in these scaled units, and `decode` divides by it again.
    `dim` is a set of Difference-in-Mean axes: a dense signed code, one latent per axis.
    """

    d_in: int
    d_sae: int
    sparsifier: Sparsifier = "abstopk"
    k: int | None = None
    """How many latents may be non-zero, per token or (batch*) on average; k-sparse ones only."""
    threshold: float = 0.0
    """λ of relu and soft_threshold (a shrinkage), or the initial θ of jumprelu and hard_threshold;
    in scaled units."""
    bandwidth: float = 1e-3
    """Width ε of the straight-through kernel of a learnt θ (AbsTopK, appendix B)."""
    input_scale: float = 1.0
    sigma: Literal["fixed", "learned"] = "learned"
    """vsae: σ = 1, or log σ² a second affine map of x; without `sample` there is no σ."""
    sample: bool = True
    """vsae: draw the code in training. False reproduces the evaluated checkpoints."""
    rectify: bool = False
    """vsae: μ = ReLU(...), as in the evaluated checkpoints."""
    by_magnitude: bool = False
    """vsae: choose the k largest |z| and keep their sign."""
    prefixes: tuple[int, ...] = ()
    """Matryoshka: widths of the nested SAEs, ascending, the last one d_sae (2503.17547, §3)."""
    token_bias: bool = False
    """Tokenized SAE: the mean activation of each token is looked up, the latents code the rest."""
    vocabulary: int | None = None
    """How many token ids there are; with token_bias only."""

    def __post_init__(self) -> None:
        if isinstance(self.prefixes, list):  # JSON has lists only
            object.__setattr__(self, "prefixes", tuple(self.prefixes))
        check_kinds(self)
        self._check_shape()
        self._check_k()
        self._check_threshold()
        self._check_variational()
        self._check_prefixes()
        self._check_token_bias()

    def _check_shape(self) -> None:
        if self.sparsifier not in SPARSIFIERS:
            raise ValueError(
                f"sparsifier {self.sparsifier!r} is unknown: choose one of {', '.join(SPARSIFIERS)}"
            )
        if self.d_in < 1 or self.d_sae < 1:
            raise ValueError(f"d_in ({self.d_in}) and d_sae ({self.d_sae}) must be at least 1")
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            raise ValueError(f"input_scale is {self.input_scale}, but must be a positive number")

    def _check_k(self) -> None:
        if self.sparsifier in WITH_K:
            if self.k is None or not 1 <= self.k <= self.d_sae:
                raise ValueError(
                    f"k is {self.k} but {self.sparsifier} needs 1 ≤ k ≤ d_sae = {self.d_sae}: "
                    "choose a smaller k or a larger width"
                )
        elif self.k is not None:
            raise ValueError(
                f"k = {self.k} has no meaning for sparsifier {self.sparsifier!r}: leave it out"
            )

    def _check_threshold(self) -> None:
        if not (math.isfinite(self.threshold) and self.threshold >= 0):
            raise ValueError(f"threshold is {self.threshold}, but a threshold is at least 0")
        if self.sparsifier in LEARNT_THRESHOLD and self.threshold == 0:
            raise ValueError(
                f"{self.sparsifier} needs an initial threshold above 0: its logarithm is what is learnt"
            )
        if self.threshold > 0 and self.sparsifier not in (*SHRINKING, *LEARNT_THRESHOLD):
            raise ValueError(
                f"threshold = {self.threshold} has no meaning for sparsifier {self.sparsifier!r}: "
                "leave it out"
            )
        if not (math.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise ValueError(f"bandwidth is {self.bandwidth}, but must be a positive number")

    def _check_variational(self) -> None:
        if self.sigma not in ("fixed", "learned"):
            raise ValueError(f"sigma is {self.sigma!r}: choose fixed or learned")
        for name, default in VSAE_ONLY.items():
            if self.sparsifier != "vsae" and getattr(self, name) != default:
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} has no meaning for sparsifier "
                    f"{self.sparsifier!r}: leave it out, or choose vsae"
                )
        if self.rectify and self.by_magnitude:
            raise ValueError(
                "rectify leaves no negative code, so by_magnitude has no meaning with it: choose one"
            )

    def _check_prefixes(self) -> None:
        if not self.prefixes:
            return
        if self.sparsifier == "dim":
            raise ValueError("prefixes have no meaning for sparsifier 'dim': its axes stand alone")
        rising = all(a < b for a, b in zip((0, *self.prefixes), self.prefixes, strict=False))
        if not rising or self.prefixes[-1] != self.d_sae:
            raise ValueError(
                f"prefixes {list(self.prefixes)} must rise from at least 1 to d_sae = {self.d_sae}, "
                "the last one being d_sae itself"
            )

    def _check_token_bias(self) -> None:
        if self.token_bias and self.sparsifier == "dim":
            raise ValueError(
                "token_bias has no meaning for sparsifier 'dim': its axes read x itself"
            )
        if self.token_bias and (self.vocabulary is None or self.vocabulary < 1):
            raise ValueError(
                f"token_bias needs vocabulary, the number of token ids, but it is {self.vocabulary}"
            )
        if self.vocabulary is not None and not self.token_bias:
            raise ValueError(
                f"vocabulary = {self.vocabulary} has no meaning without token_bias: leave it out"
            )

    @property
    def is_signed(self) -> bool:
        """Whether a code may be negative; then −u gives −z, and a latent may be turned round."""
        return self.sparsifier in SIGNED or self.by_magnitude

    @property
    def is_k_sparse(self) -> bool:
        """Whether the code is chosen by rank, at most k (or on average k) per token."""
        return self.sparsifier in WITH_K

    @property
    def is_batched(self) -> bool:
        """Whether training ranks over the batch and evaluation goes by a learnt threshold."""
        return self.sparsifier in BATCHED

    @property
    def learns_sigma(self) -> bool:
        """Whether a vsae has the second affine map, that of log σ²."""
        return self.sparsifier == "vsae" and self.sigma == "learned" and self.sample

    @property
    def needs_tokens(self) -> bool:
        """Whether encoding and decoding need the token ids of the positions."""
        return self.token_bias
