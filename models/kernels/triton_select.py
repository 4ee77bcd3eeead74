"""The k largest of each row on a GPU: a bisection over the bits of |u|, one program per part of a row.

Non-negative floats are ordered as their bits are. It ends as soon as a bound has exactly k above it,
after about a dozen counts; only ties at the bound take all of them. Imports triton; knows nothing of
gradients or of how u was made.
"""

# pyright: reportMissingImports=false
# (triton is there only where torch comes with CUDA, and types none of its decorators)

import triton
import triton.language as tl

GUESS = tl.constexpr(4 << 23)  # the k-th largest is seldom below a sixteenth of the largest
LARGEST_KEY = tl.constexpr(0x7FFFFFFE)  # of what is not a number; one more must not overflow


@triton.jit
def load_values(u, bias, places, end):
    """u + bias at these places of a row, and 0 beyond the end."""
    inside = places < end
    return tl.load(u + places, mask=inside, other=0.0).to(tl.float32) + tl.load(
        bias + places, mask=inside, other=0.0
    )


@triton.jit
def sort_key(value, places, end, BY_MAGNITUDE: tl.constexpr):
    """Bits of |u| or of max(u, 0) as an integer of the same order; −1 beyond the end."""
    size = tl.abs(value) if BY_MAGNITUDE else tl.maximum(value, 0.0)
    bits = tl.minimum(size.to(tl.int32, bitcast=True), LARGEST_KEY)
    return tl.where(places < end, bits, -1)


@triton.jit
def choose_part(
    u,
    bias,
    indices,
    values,
    d_sae,
    part,
    k,
    BY_MAGNITUDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The k largest of one part of one row: everything above the k-th, and its equals while there is
    room. A row is cut into parts of so many latents, each of at least k; parts · k slots a row."""
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * part
    end = tl.minimum(first + part, d_sae)
    places = first + tl.arange(0, BLOCK)
    value = load_values(u + row * d_sae, bias, places, end)
    keys = sort_key(value, places, end, BY_MAGNITUDE)
    low = tl.zeros((), tl.int32)  # at least k keys are as large as this
    high = tl.max(keys) + 1  # fewer than k are as large as this
    trial = tl.maximum(high - GUESS, 1)
    count = tl.zeros((), tl.int32)
    while (high - low > 1) & (count != k):
        count = tl.sum((keys >= trial).to(tl.int32))
        low = tl.where(count >= k, trial, low)
        high = tl.where(count >= k, high, trial)
        trial = low + (high - low) // 2
    takes = keys >= low
    if count != k:
        equal = (keys == low).to(tl.int32)
        above = (keys > low).to(tl.int32)
        takes = (above > 0) | ((equal > 0) & (tl.cumsum(equal) <= k - tl.sum(above)))
    slots = (row * tl.num_programs(1) + tl.program_id(1)) * k + tl.cumsum(takes.to(tl.int32)) - 1
    tl.store(indices + slots, places.to(tl.int64), mask=takes)
    tl.store(values + slots, value if BY_MAGNITUDE else tl.maximum(value, 0.0), mask=takes)
