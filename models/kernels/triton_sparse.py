"""Gathering and scattering the rows of a sparse code on a GPU.

No atomic additions, so a result does not vary from run to run. Imports triton; knows nothing of
autograd or of how a code was chosen.
"""

# pyright: reportMissingImports=false
# (triton is there only where torch comes with CUDA, and types none of its decorators)

import triton
import triton.language as tl


@triton.jit
def sum_row(indices, values, weight, out, k, d_in, SLOTS: tl.constexpr, BLOCK: tl.constexpr):
    """One block of columns of one row: out[b] = Σ values[b, j]·weight[indices[b, j]]."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < d_in
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, k, SLOTS):
        slots = start + tl.arange(0, SLOTS)
        value = tl.load(values + row * k + slots, mask=slots < k, other=0.0)
        used = value != 0
        latent = tl.load(indices + row * k + slots, mask=used, other=0)
        taken = tl.load(
            weight + latent[:, None] * d_in + columns[None, :],
            mask=used[:, None] & inside[None, :],
            other=0.0,
        )
        total += tl.sum(value[:, None] * taken, 0)
    tl.store(out + row * d_in + columns, total, mask=inside)


@triton.jit
def dot_slots(indices, vectors, weight, out, k, d_in, SLOTS: tl.constexpr, BLOCK: tl.constexpr):
    """Some slots of one row: out[b, j] = vectors[b]·weight[indices[b, j]]."""
    row = tl.program_id(0).to(tl.int64)
    slots = tl.program_id(1) * SLOTS + tl.arange(0, SLOTS)
    used = slots < k
    latent = tl.load(indices + row * k + slots, mask=used, other=0)
    total = tl.zeros((SLOTS,), tl.float32)
    for start in range(0, d_in, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        inside = columns < d_in
        vector = tl.load(vectors + row * d_in + columns, mask=inside, other=0.0)
        taken = tl.load(
            weight + latent[:, None] * d_in + columns[None, :],
            mask=used[:, None] & inside[None, :],
            other=0.0,
        )
        total += tl.sum(vector[None, :] * taken, 1)
    tl.store(out + row * k + slots, total, mask=used)


@triton.jit
def sum_latent(
    offsets, order, rows, weights, vectors, out, d_in, SLOTS: tl.constexpr, BLOCK: tl.constexpr
):
    """One block of columns of one latent: out[i] = Σ weights[slot]·vectors[row of slot]."""
    latent = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < d_in
    last = tl.load(offsets + latent + 1)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(tl.load(offsets + latent), last, SLOTS):
        places = start + tl.arange(0, SLOTS)
        used = places < last
        slot = tl.load(order + places, mask=used, other=0)
        row = tl.load(rows + places, mask=used, other=0)
        value = tl.load(weights + slot, mask=used, other=0.0)
        taken = tl.load(
            vectors + row[:, None] * d_in + columns[None, :],
            mask=used[:, None] & inside[None, :],
            other=0.0,
        )
        total += tl.sum(value[:, None] * taken, 0)
    tl.store(out + latent * d_in + columns, total, mask=inside)
