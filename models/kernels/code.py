"""A k-sparse code: which latents of each row, and their signed values.

Knows nothing of how they were chosen, nor of the weights that they meet.
"""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor


class SparseCode(NamedTuple):
    """A k-sparse code: per row, which latents and their signed values.

    A value of exactly 0 marks an unused slot (TopK with fewer than k positive u); its index may
    repeat another of the row.
    """

    indices: Int[Tensor, "batch k"]
    values: Float[Tensor, "batch k"]

    def dense(self, d_sae: int) -> Float[Tensor, "batch d_sae"]:
        """The same code with its zeros written out."""
        zeros = self.values.new_zeros(len(self.values), d_sae)
        return zeros.scatter_add(-1, self.indices, self.values)
