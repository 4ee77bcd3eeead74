"""What training reads: activations with the tokens they belong to.

Knows nothing of where they come from.
"""

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor


class Batch(NamedTuple):
    """Residual activations in float32 and the token id at each of the same positions."""

    activations: Float[Tensor, "batch d_in"]
    tokens: Int64[Tensor, "batch"]
