"""The Triton path: float32 on CUDA. Same functions as `reference`.

Importing it needs triton, which CUDA builds of torch bring along. What has no kernel of its own
(BatchTopK, the sort by latent) is the reference's. Knows no gradients.
"""

# pyright: reportMissingImports=false, reportIndexIssue=false
# (triton is there only where torch comes with CUDA, and types none of its decorators)

from contextlib import nullcontext

import torch
import triton
from torch import Tensor

from models.kernels import triton_select, triton_sparse
from models.kernels.chunks import pre_activate_in_chunks
from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.reference import MARGIN, choose_batch, largest, sort_by_latent
from models.kernels.transpose import ByLatent

__all__ = [
    "choose_batch",
    "choose_rows",
    "dot_used",
    "sort_by_latent",
    "sum_by_latent",
    "sum_rows",
]

LARGEST_PART = 16_384  # latents of a row that one program holds in registers
COLUMNS = 512
MOST_SLOTS = 32
TILE = 4_096  # entries of a weight that one program has under way at a time


def choose_rows(
    centred: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    """The k largest of each row; see `reference.choose_rows`."""
    if options.precision == "candidates" and k + MARGIN < len(b_enc):
        return _choose_candidates(centred, W_enc, b_enc, k, by_magnitude, options)
    code = _empty_code(b_enc, len(centred), k)
    for chunk in pre_activate_in_chunks(centred, W_enc, options):
        own = slice(chunk.first, chunk.first + len(chunk.u))
        _choose(chunk.u, b_enc, by_magnitude, SparseCode(code.indices[own], code.values[own]))
    return code


def sum_rows(code: SparseCode, weight: Tensor) -> Tensor:
    """See `reference.sum_rows`."""
    batch, k = code.indices.shape
    d_in = weight.shape[1]
    out = weight.new_empty(batch, d_in)
    slots, block = _tile(k, d_in)
    arguments = (code.indices.contiguous(), code.values.contiguous(), weight.contiguous(), out)
    with _on(weight):
        triton_sparse.sum_row[(batch, triton.cdiv(d_in, block))](
            *arguments, k, d_in, SLOTS=slots, BLOCK=block
        )
    return out


def dot_rows(indices: Tensor, vectors: Tensor, weight: Tensor) -> Tensor:
    """See `reference.dot_rows`."""
    d_in = weight.shape[1]
    batch, k = indices.shape
    out = vectors.new_empty(batch, k)
    slots, block = _tile(k, d_in)
    arguments = (indices.contiguous(), vectors.contiguous(), weight.contiguous(), out)
    with _on(weight):
        triton_sparse.dot_slots[(batch, triton.cdiv(k, slots))](
            *arguments, k, d_in, SLOTS=slots, BLOCK=block
        )
    return out


def dot_used(code: SparseCode, vectors: Tensor, weight: Tensor) -> Tensor:
    """See `reference.dot_used`."""
    return dot_rows(code.indices, vectors, weight) * (code.values != 0)


def sum_by_latent(
    by_latent: ByLatent, weights: Tensor, vectors: Tensor, options: KernelOptions
) -> Tensor:
    """See `reference.sum_by_latent`."""
    d_sae, d_in = len(by_latent.offsets) - 1, vectors.shape[1]
    out = options.space((d_sae, d_in), vectors)
    slots, block = _tile(MOST_SLOTS, d_in)
    arguments = (*by_latent, weights.contiguous(), vectors.contiguous(), out)
    with _on(vectors):
        triton_sparse.sum_latent[(d_sae, triton.cdiv(d_in, block))](
            *arguments, d_in, SLOTS=slots, BLOCK=block
        )
    return out


def _choose_candidates(
    centred: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    code, columns, no_bias = (
        _empty_code(b_enc, len(centred), k),
        W_enc.T.contiguous(),
        torch.zeros_like(b_enc),
    )
    for chunk in pre_activate_in_chunks(centred, W_enc, options, torch.bfloat16):
        own = slice(chunk.first, chunk.first + len(chunk.u))
        rows = len(chunk.rows)
        rough, best = _empty_code(b_enc, rows, k + MARGIN), _empty_code(b_enc, rows, k)
        _choose(chunk.u, b_enc, by_magnitude, rough)
        exact = dot_rows(rough.indices, chunk.rows, columns) + b_enc[rough.indices]
        _choose(exact, no_bias, by_magnitude, best)
        code.indices[own] = rough.indices.gather(-1, best.indices)
        code.values[own] = best.values
    return code


def _choose(u: Tensor, bias: Tensor, by_magnitude: bool, code: SparseCode) -> None:
    """Into `code`; a row too long for one program is chosen from in parts, then from what is left."""
    rows, d_sae = u.shape
    k = code.indices.shape[1]
    parts = triton.cdiv(d_sae, LARGEST_PART)
    part = triton.cdiv(d_sae, parts)
    is_few = d_sae - (parts - 1) * part < k  # a part must have k to choose from
    if is_few or (parts > 1 and parts * k > LARGEST_PART):
        code.indices[:], code.values[:] = largest(u + bias, k, by_magnitude)
        return
    found = code if parts == 1 else _empty_code(bias, rows, parts * k)
    block = triton.next_power_of_2(part)
    with _on(u):
        triton_select.choose_part[(rows, parts)](
            *(u, bias, *found, d_sae, part, k),
            BY_MAGNITUDE=by_magnitude,
            BLOCK=block,
            num_warps=8 if block >= 4_096 else 4,
        )
    if parts > 1:
        best = _empty_code(bias, rows, k)
        _choose(found.values, torch.zeros_like(found.values[0]), by_magnitude, best)
        code.indices[:] = found.indices.gather(-1, best.indices)
        code.values[:] = best.values


def _tile(slots: int, d_in: int) -> tuple[int, int]:
    """How many slots and how many columns one program takes at a time, powers of 2."""
    block = min(COLUMNS, triton.next_power_of_2(d_in))
    return min(MOST_SLOTS, triton.next_power_of_2(slots), max(1, TILE // block)), block


def _empty_code(like: Tensor, rows: int, k: int) -> SparseCode:
    indices = torch.empty(rows, k, dtype=torch.long, device=like.device)
    return SparseCode(indices, like.new_empty(rows, k))


def _on(tensor: Tensor):
    """Kernels start on the current device: make it the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
