"""Candidates by a product of 8-bit integers, recomputed in float32: `candidates` on a CPU.

Rows and columns are rounded to 127 steps of their own largest entry. What that rounding leaves in
doubt is a candidate; a row with so many that they would take longer than the encode (activations
with a few huge entries, say) is reported, for the caller to compute exactly. Imports numba (extra `fast`); knows no gradients.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.kernels import compiled_rounding
from models.kernels.chunks import rows_of_chunk
from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.threads import share_rows

MOST = 4  # candidates for each latent chosen, beyond which a row is left to the exact encode


class Shortlisted(NamedTuple):
    """A code, and the rows that have none yet: too many candidates, or numbers that are not finite."""

    code: SparseCode
    left: Int64[Tensor, "left"]


class Rounded(NamedTuple):
    """A matrix whose row i is about steps[i]·scale[i]; `norms` are those of the rows themselves."""

    steps: Tensor
    scale: Tensor
    norms: Tensor


def multiplies_integers() -> bool:
    """Whether the processor has instructions for it (VNNI); without them float32 is as fast."""
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return hasattr(torch, "_int_mm") and supported is not None and supported()


def shortlist(
    centred: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, "d_sae"],
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> Shortlisted:
    """The k largest of each row, see `reference.choose_rows`, by the exact values of its candidates."""
    batch, d_sae = len(centred), len(b_enc)
    code = SparseCode(torch.empty(batch, k, dtype=torch.long), torch.empty(batch, k))
    columns = W_enc.detach().T.contiguous()
    rough_rows, rough_columns = _round(centred, options), _round(columns, options)
    size = rows_of_chunk(batch, d_sae, "cpu")
    space = options.space((size, d_sae), centred, torch.int32)
    is_sure = torch.zeros(batch, dtype=torch.bool)
    fixed = (
        *(part.numpy() for part in rough_columns[1:]),
        b_enc.detach().contiguous().numpy(),
        columns.numpy(),
        by_magnitude,
        MOST * k,
    )
    by_row = (*rough_rows[1:], centred.detach().contiguous(), *code, is_sure)
    for first in range(0, batch, size):
        steps = rough_rows.steps[first : first + size]
        torch._int_mm(steps, rough_columns.steps.T, out=space[: len(steps)])
        u = space[: len(steps)].numpy()

        def choose(start: int, stop: int, first=first, u=u) -> None:
            own = slice(first + start, first + stop)
            parts = (part[own].numpy() for part in by_row)
            compiled_rounding.choose_candidates(u[start:stop], *fixed, *parts)

        share_rows(choose, len(u))
    return Shortlisted(code, (~is_sure).nonzero()[:, 0])


def _round(matrix: Tensor, options: KernelOptions) -> Rounded:
    matrix = matrix.detach().contiguous()
    rows = torch.empty(2, len(matrix))
    rounded = Rounded(options.space(tuple(matrix.shape), matrix, torch.int8), rows[0], rows[1])
    source, parts = matrix.numpy(), [part.numpy() for part in rounded]
    share_rows(
        lambda start, stop: compiled_rounding.round_rows(
            source[start:stop], *(part[start:stop] for part in parts)
        ),
        len(matrix),
    )
    return rounded
