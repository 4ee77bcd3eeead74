"""Nested reconstructions of one code: the first p latents alone, for each prefix p (Matryoshka).

Source: Matryoshka SAEs (arXiv 2503.17547) §3; the signed codes are our addition. Knows nothing of
losses: the trainer sums the errors of the prefixes.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from models.kernels import KernelOptions, SparseCode, Transpose, decode_sparse


def nested_reconstructions(
    code: SparseCode | Float[Tensor, "batch d_sae"],
    W_dec: Float[Tensor, "d_sae d_in"],
    b_dec: Float[Tensor, "d_in"],
    prefixes: Sequence[int],
    options: KernelOptions | None = None,
    transpose: Transpose | None = None,
) -> tuple[Float[Tensor, "batch d_in"], ...]:
    """x̂_p = Σ_{i < p} z_i W_dec[i] + b_dec for each prefix p, the last being the whole.

    z is chosen once among all latents, as in the paper: a latent of a late prefix that wins a place
    takes it from the earlier ones. Groups are decoded once each and summed.
    """
    parts: list[Tensor] = []
    total = b_dec
    for start, stop in zip((0, *prefixes), prefixes, strict=False):
        total = total + _decode_group(code, W_dec, start, stop, options, transpose)
        parts.append(total)
    return tuple(parts)


def _decode_group(
    code: SparseCode | Tensor,
    W_dec: Tensor,
    start: int,
    stop: int,
    options: KernelOptions | None,
    transpose: Transpose | None,
) -> Tensor:
    """Σ over latents start … stop − 1. A sparse code keeps its indices, so that one CSR serves all."""
    if not isinstance(code, SparseCode):
        return code[:, start:stop] @ W_dec[start:stop]
    within = (code.indices >= start) & (code.indices < stop)
    values = torch.where(within, code.values, torch.zeros_like(code.values))
    return decode_sparse(SparseCode(code.indices, values), W_dec, options, transpose)
