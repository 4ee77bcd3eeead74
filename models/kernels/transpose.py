"""The active latents of a batch sorted by latent: the CSR [d_sae, batch] of its indices.

Built once for a code and shared by the gradients of both weights. Knows nothing of values.
"""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Int
from torch import Tensor


class ByLatent(NamedTuple):
    """Slots of a [batch, k] code in order of their latent, within a latent in order of their row.

    The slots of latent i are `order[offsets[i]:offsets[i + 1]]`, counted row by row, and `rows`
    says for each of them which row of the batch it is of.
    """

    offsets: Int[Tensor, "d_sae_and_1"]
    order: Int[Tensor, "slots"]
    rows: Int[Tensor, "slots"]


class Transpose:
    """The CSR of one code, built when a gradient first asks for it, then kept.

    Hand the same object to the encoding and the decoding of one forward pass. Asked about the
    indices of another code, it answers about that one: sharing it is never wrong, only useless.
    """

    def __init__(self) -> None:
        self._indices: Tensor | None = None
        self._by_latent: ByLatent | None = None

    def of(
        self, indices: Int[Tensor, "batch k"], d_sae: int, sort: Callable[[Tensor, int], ByLatent]
    ) -> ByLatent:
        """The slots of these indices by latent, sorted by `sort` unless it was asked before."""
        kept = self._by_latent
        if kept is None or len(kept.offsets) != d_sae + 1 or not _is_same(indices, self._indices):
            kept = sort(indices, d_sae)
            self._indices, self._by_latent = indices, kept
        return kept


def _is_same(one: Tensor, other: Tensor | None) -> bool:
    """Whether both are one memory; autograd hands saved tensors back as new objects."""
    return (
        other is not None
        and one.data_ptr() == other.data_ptr()
        and one.shape == other.shape
        and one.stride() == other.stride()
    )
