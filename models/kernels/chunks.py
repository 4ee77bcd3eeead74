"""Pre-activations a few rows at a time, so that [batch, d_sae] never exists.

Knows nothing of which of them are kept.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.kernels.options import KernelOptions

MOST_ROWS = 512
LEAST_ROWS = 64
ELEMENTS = 1 << 23  # of one chunk on the CPU: at 16k latents it stays in a server's cache
ELEMENTS_ON_GPU = 1 << 26


class Chunk(NamedTuple):
    """Some rows of the batch: the first one's number, the rows, and rows @ W_enc without the bias."""

    first: int
    rows: Float[Tensor, "rows d_in"]
    u: Float[Tensor, "rows d_sae"]


def pre_activate_in_chunks(
    centred: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    options: KernelOptions,
    dtype: torch.dtype | None = None,
) -> Iterator[Chunk]:
    """(target − b_dec) @ W_enc chunk by chunk; the memory of one chunk is used again by the next.

    `dtype` bfloat16 computes a rough u in half the time or less.
    """
    d_sae = W_enc.shape[1]
    count = rows_of_chunk(len(centred), d_sae, centred.device.type)
    space = options.space((count, d_sae), centred, dtype)
    factor, source = W_enc, centred
    if dtype is not None:
        factor = options.space((d_sae, len(W_enc)), W_enc, dtype).copy_(W_enc.T).T
        source = centred.to(dtype)
    for first in range(0, len(centred), count):
        u = space[: len(source[first : first + count])]
        torch.mm(source[first : first + count], factor, out=u)
        yield Chunk(first, centred[first : first + count], u)


def rows_of_chunk(batch: int, d_sae: int, device: str) -> int:
    """How many rows make one chunk."""
    if device != "cpu":
        return max(1, min(batch, ELEMENTS_ON_GPU // d_sae))
    return max(1, min(batch, max(LEAST_ROWS, min(MOST_ROWS, ELEMENTS // d_sae))))
