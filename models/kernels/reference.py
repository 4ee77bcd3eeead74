"""The torch path: plain operations on any device and in any precision. The other paths equal it.

Knows no gradients: `encode` and `decode` put these together.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.kernels.chunks import pre_activate_in_chunks
from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.transpose import ByLatent

MARGIN = 16  # candidates beyond k: with none 30 % of rows keep their choice, with 8 99.85 %
SLICE = 64  # rows whose |u| exists at a time
CACHED = 1 << 19  # elements of a weight worked on at a time


def choose_rows(
    centred: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, "d_sae"],
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    """The k largest u of each row as max(u, 0), or the k largest |u| with their sign."""
    is_rough = options.precision == "candidates" and k + MARGIN < len(b_enc)
    chosen = [SparseCode(b_enc.new_empty(0, k, dtype=torch.long), b_enc.new_empty(0, k))]
    if is_rough:
        for chunk in pre_activate_in_chunks(centred, W_enc, options, torch.bfloat16):
            rough = largest(chunk.u.to(b_enc.dtype).add_(b_enc), k + MARGIN, by_magnitude)
            exact = dot_rows(rough.indices, chunk.rows, W_enc.T) + b_enc[rough.indices]
            best = largest(exact, k, by_magnitude)
            chosen.append(SparseCode(rough.indices.gather(-1, best.indices), best.values))
    else:
        for chunk in pre_activate_in_chunks(centred, W_enc, options):
            chosen.append(largest(chunk.u.add_(b_enc), k, by_magnitude))
    return SparseCode(*map(torch.cat, zip(*chosen, strict=True)))


def choose_batch(
    centred: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, "d_sae"],
    k: int,
    by_magnitude: bool,
    options: KernelOptions,
) -> SparseCode:
    """The batch·k largest u (as max(u, 0)) or |u| (sign kept) of the batch, in rows of equal width."""
    d_sae, wanted = len(b_enc), len(centred) * k
    places, values = centred.new_empty(0, dtype=torch.long), centred.new_empty(0)
    floor = 0.0
    for chunk in pre_activate_in_chunks(centred, W_enc, options):
        u = chunk.u.add_(b_enc)
        found = ((u.abs() if by_magnitude else u) > floor).flatten().nonzero().squeeze(-1)
        places = torch.cat([places, found + chunk.first * d_sae])
        values = torch.cat([values, u.flatten()[found]])
        places, values, floor = keep_largest(places, values, wanted, floor)
    return in_rows(places, values, len(centred), d_sae)


def keep_largest(
    places: Tensor, values: Tensor, wanted: int, floor: float
) -> tuple[Tensor, Tensor, float]:
    """At most `wanted` of them by |value|, and the floor that a further one must exceed."""
    if len(values) <= wanted:
        return places, values, floor
    sizes, kept = values.abs().topk(wanted, sorted=False)
    return places[kept], values[kept], float(sizes.min())


def in_rows(
    places: Int[Tensor, "found"], values: Float[Tensor, "found"], batch: int, d_sae: int
) -> SparseCode:
    """Places row·d_sae + latent as rows of equal width: unused slots hold index 0 and value 0."""
    places, order = places.sort()
    rows = places // d_sae
    counts = rows.bincount(minlength=batch)
    width = max(1, int(counts.max())) if batch else 1
    slots = torch.arange(len(places), device=places.device) - (counts.cumsum(0) - counts)[rows]
    code = SparseCode(places.new_zeros(batch, width), values.new_zeros(batch, width))
    code.indices[rows, slots] = places % d_sae
    code.values[rows, slots] = values[order]
    return code


def sort_by_latent(indices: Int[Tensor, "batch k"], d_sae: int) -> ByLatent:
    """One stable argsort of the active indices."""
    latents, order = indices.flatten().sort(stable=True)
    boundaries = torch.arange(d_sae + 1, device=indices.device)
    return ByLatent(torch.searchsorted(latents, boundaries), order, order // indices.shape[-1])


def sum_rows(code: SparseCode, weight: Float[Tensor, "d_sae d_in"]) -> Float[Tensor, "batch d_in"]:
    """Σ values[b, j]·weight[indices[b, j]]."""
    return torch.nn.functional.embedding_bag(
        code.indices, weight, per_sample_weights=code.values, mode="sum"
    )


def dot_rows(
    indices: Int[Tensor, "batch k"],
    vectors: Float[Tensor, "batch d_in"],
    weight: Float[Tensor, "d_sae d_in"],
) -> Float[Tensor, "batch k"]:
    """vectors[b]·weight[indices[b, j]]."""
    bags = torch.arange(len(indices), device=indices.device)
    k = indices.shape[1]
    # embedding_bag's own gradient to its weights: a gather and a matmul take three times as long.
    flat = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        vectors.contiguous(),
        weight.contiguous(),
        indices.flatten(),
        bags * k,
        bags.repeat_interleave(k),
        0,
    )
    return flat.view(indices.shape)


def dot_used(
    code: SparseCode, vectors: Float[Tensor, "batch d_in"], weight: Float[Tensor, "d_sae d_in"]
) -> Float[Tensor, "batch k"]:
    """vectors[b]·weight[indices[b, j]] where the slot is in use, else 0."""
    return dot_rows(code.indices, vectors, weight) * (code.values != 0)


def sum_by_latent(
    by_latent: ByLatent,
    weights: Float[Tensor, "batch k"],
    vectors: Float[Tensor, "batch d_in"],
    options: KernelOptions,
) -> Float[Tensor, "d_sae d_in"]:
    """Σ weights[b, j]·vectors[b] over the slots of each latent: the gradient of its weights."""
    return torch.nn.functional.embedding_bag(
        by_latent.rows,
        vectors,
        by_latent.offsets[:-1],
        per_sample_weights=weights.flatten()[by_latent.order],
        mode="sum",
    )


def largest(u: Tensor, k: int, by_magnitude: bool) -> SparseCode:
    """The k largest of each row, slice by slice: |u| is written where it was written before."""
    parts = [_largest_of_slice(part, k, by_magnitude) for part in u.split(SLICE)]
    return SparseCode(*map(torch.cat, zip(*parts, strict=True)))


def _largest_of_slice(u: Tensor, k: int, by_magnitude: bool) -> SparseCode:
    if by_magnitude:
        indices = u.abs().topk(k, dim=-1, sorted=False).indices
        return SparseCode(indices, u.gather(-1, indices))
    values, indices = u.topk(k, dim=-1, sorted=False)
    return SparseCode(indices, torch.relu(values))
