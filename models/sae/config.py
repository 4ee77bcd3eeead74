"""What an SAE is, before it has weights. Impossible combinations are refused here.

Knows nothing of training: see `models.train` for the recipe.
"""

import math
from dataclasses import dataclass
from typing import Literal

Sparsifier = Literal["relu", "jumprelu", "topk", "abstopk", "vsae", "dim"]
WITH_K = ("topk", "abstopk", "vsae")
SPARSIFIERS = ("relu", "jumprelu", "topk", "abstopk", "vsae", "dim")


@dataclass(frozen=True)
class SAEConfig:
    """Shape and sparsifier of one SAE (spec: science §1 and §2).

    `input_scale` multiplies activations before encoding, so that E‖x‖² = d_in on the training
    text; codes and biases are in these scaled units, and `decode` divides by it again.
    `dim` is a set of Difference-in-Mean axes: a dense signed code, one latent per axis.
    """

    d_in: int
    d_sae: int
    sparsifier: Sparsifier = "abstopk"
    k: int | None = None
    """How many latents may be non-zero: topk, abstopk and vsae only."""
    threshold: float = 0.0
    """λ of relu (a shrinkage), or the initial θ of jumprelu; both in scaled units."""
    bandwidth: float = 1e-3
    """Width of the straight-through kernel of jumprelu's θ (AbsTopK, appendix B)."""
    input_scale: float = 1.0
    sigma: Literal["fixed", "learned"] = "learned"
    """vsae: σ = 1, or log σ² a second affine map of x."""
    sample: bool = True
    """vsae: draw the code in training. False reproduces the evaluated checkpoints."""
    rectify: bool = False
    """vsae: μ = ReLU(...), as in the evaluated checkpoints."""
    by_magnitude: bool = False
    """vsae: choose the k largest |z| and keep their sign."""

    def __post_init__(self) -> None:
        if self.sparsifier not in SPARSIFIERS:
            raise ValueError(
                f"sparsifier {self.sparsifier!r} is unknown: choose one of {', '.join(SPARSIFIERS)}"
            )
        if self.d_in < 1 or self.d_sae < 1:
            raise ValueError(f"d_in ({self.d_in}) and d_sae ({self.d_sae}) must be at least 1")
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
        if self.threshold < 0:
            raise ValueError(f"threshold is {self.threshold}, but a threshold is at least 0")
        if self.sparsifier == "jumprelu" and self.threshold == 0:
            raise ValueError(
                "jumprelu needs an initial threshold above 0: its logarithm is what is learnt"
            )
        if not (math.isfinite(self.input_scale) and self.input_scale > 0):
            raise ValueError(f"input_scale is {self.input_scale}, but must be a positive number")
        if self.sparsifier == "vsae" and self.rectify and self.by_magnitude:
            raise ValueError(
                "rectify leaves no negative code, so by_magnitude has no meaning with it: choose one"
            )

    @property
    def is_signed(self) -> bool:
        """Whether a code may be negative."""
        return self.sparsifier in ("abstopk", "dim") or (
            self.sparsifier == "vsae" and self.by_magnitude
        )
