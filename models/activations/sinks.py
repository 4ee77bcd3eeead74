"""Attention sinks: positions whose activations say little of the text and would dominate a fit.

Knows norms and positions, no language model.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class SinkPolicy:
    """Which positions are left out of training (science §3). Recorded with every SAE.

    `first`: position 0 of each window, BOS or its stand-in: what attention falls back on.
    `outlier_norm`: positions with ‖x‖ > outlier_norm × the median ‖x‖ of the first block; None
    keeps them. 10 is the factor that dictionary_learning recommends (`max_activation_norm_multiple`
    of its buffer), because Qwen and others have such positions at unforeseeable places.
    """

    first: bool = True
    outlier_norm: float | None = 10.0

    def __post_init__(self) -> None:
        # "not >" also refuses NaN.
        if self.outlier_norm is not None and not self.outlier_norm > 1:
            raise ValueError(
                f"outlier_norm is {self.outlier_norm}, but it multiplies the median norm: "
                "give a number above 1, or None to keep all positions"
            )

    def threshold(self, norms: Float[Tensor, "n"]) -> float:
        """The largest norm that is kept, from the norms of the first block; infinity if all are."""
        if self.outlier_norm is None or len(norms) == 0:
            return float("inf")
        return self.outlier_norm * float(norms.median())


def is_outlier(norms: Float[Tensor, "n"], threshold: float) -> Bool[Tensor, "n"]:
    """Which rows lie beyond the threshold. NaN never does: the trainer must see it and stop."""
    return torch.gt(norms, threshold)
