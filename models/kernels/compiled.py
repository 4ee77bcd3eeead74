"""The compiled path: float32 on the CPU, by numba (extra `fast`). Same functions as `reference`.

Importing it needs numba. Matrix products stay torch's; only choosing, gathering and scattering are
compiled, and they use as many threads as torch does. Knows no gradients.
"""

import torch
from torch import Tensor

from models.kernels import compiled_batch, compiled_select, compiled_sparse
from models.kernels.chunks import pre_activate_in_chunks
from models.kernels.code import SparseCode
from models.kernels.compiled_candidates import multiplies_integers, shortlist
from models.kernels.options import KernelOptions
from models.kernels.reference import MARGIN, in_rows, keep_largest
from models.kernels.threads import share_rows
from models.kernels.transpose import ByLatent


def choose_rows(
    centred: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    """The k largest of each row; see `reference.choose_rows`.

    `candidates` needs a processor that multiplies 8-bit integers; without one the encode is exact.
    """
    if options.precision == "candidates" and k + MARGIN < len(b_enc) and multiplies_integers():
        code, left = shortlist(centred, W_enc, b_enc, k, by_magnitude, options)
        if len(left):
            own = (centred[left], W_enc, b_enc, k, by_magnitude)
            code.indices[left], code.values[left] = _choose_exactly(*own, options)
        return code
    return _choose_exactly(centred, W_enc, b_enc, k, by_magnitude, options)


def _choose_exactly(
    centred: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    code = SparseCode(torch.empty(len(centred), k, dtype=torch.long), torch.empty(len(centred), k))
    indices, values, bias = code.indices.numpy(), code.values.numpy(), array(b_enc)
    for chunk in pre_activate_in_chunks(centred, W_enc, options):
        u = chunk.u.numpy()

        def choose(start: int, stop: int, u=u, first=chunk.first) -> None:
            own = slice(first + start, first + stop)
            compiled_select.choose_rows(
                u[start:stop], bias, by_magnitude, k, indices[own], values[own]
            )

        share_rows(choose, len(u))
    return code


def choose_batch(
    centred: Tensor,
    W_enc: Tensor,
    b_enc: Tensor,
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    """The batch·k largest of the batch; see `reference.choose_batch`."""
    d_sae, wanted, bias = len(b_enc), len(centred) * k, array(b_enc)
    places, values = torch.empty(0, dtype=torch.long), torch.empty(0)
    floor = 0.0
    for chunk in pre_activate_in_chunks(centred, W_enc, options):
        u = chunk.u.numpy()
        if not floor and chunk.u.numel() > wanted:
            floor = float(compiled_batch.first_floor(u, bias, by_magnitude, wanted))
        count = int(compiled_batch.count_rows(u, bias, by_magnitude, floor))
        found, their = torch.empty(count, dtype=torch.long), torch.empty(count)
        compiled_batch.find_rows(
            u, bias, by_magnitude, floor, chunk.first, found.numpy(), their.numpy()
        )
        places, values, floor = keep_largest(
            torch.cat([places, found]), torch.cat([values, their]), wanted, floor
        )
    return in_rows(places, values, len(centred), d_sae)


def sort_by_latent(indices: Tensor, d_sae: int) -> ByLatent:
    """A counting sort; see `reference.sort_by_latent`."""
    by_latent = ByLatent(
        torch.empty(d_sae + 1, dtype=torch.long),
        torch.empty(indices.numel(), dtype=torch.long),
        torch.empty(indices.numel(), dtype=torch.long),
    )
    compiled_sparse.sort_by_latent(array(indices), *(tensor.numpy() for tensor in by_latent))
    return by_latent


def sum_rows(code: SparseCode, weight: Tensor) -> Tensor:
    """See `reference.sum_rows`."""
    out = torch.empty(len(code.indices), weight.shape[1])
    _share(compiled_sparse.sum_rows, out, code.indices, code.values, whole=weight)
    return out


def dot_used(code: SparseCode, vectors: Tensor, weight: Tensor) -> Tensor:
    """See `reference.dot_used`."""
    out = torch.empty(code.indices.shape)
    _share(compiled_sparse.dot_rows, out, *code, vectors, whole=weight)
    return out


def sum_by_latent(
    by_latent: ByLatent, weights: Tensor, vectors: Tensor, options: KernelOptions
) -> Tensor:
    """See `reference.sum_by_latent`."""
    out = options.space((len(by_latent.offsets) - 1, vectors.shape[1]), vectors)
    offsets, order, rows = (array(tensor) for tensor in by_latent)
    flat, sources, sums = array(weights.flatten()), array(vectors), out.numpy()

    def add(start: int, stop: int) -> None:
        compiled_sparse.sum_by_latent(
            offsets[start : stop + 1], order, rows, flat, sources, sums[start:stop]
        )

    share_rows(add, len(sums))
    return out


def array(tensor: Tensor):
    """A tensor as a contiguous array, without copying where it is one already."""
    return tensor.detach().contiguous().numpy()


def _share(function, out: Tensor, *by_row: Tensor, whole: Tensor) -> None:
    """function(*rows, whole, out) over parts of the rows."""
    parts, weight, result = [array(tensor) for tensor in by_row], array(whole), out.numpy()
    share_rows(
        lambda start, stop: function(
            *(part[start:stop] for part in parts), weight, result[start:stop]
        ),
        len(result),
    )
