"""Choosing the largest of each row, compiled: vector-friendly loops in place of torch.topk.

Threshold first, sort never: the maxima of groups of strided elements bound the k-th largest from
below, a bisection that counts brings the bound close, and only groups above it are looked at
again. Imports numba (extra `fast`); knows nothing of torch or gradients. NaN is never chosen.
"""

import numba
import numpy as np

LARGEST_GROUP = 16  # elements that share a maximum
BISECTIONS = 24
SLACK = 4  # candidates beyond those asked for that are not worth another bisection

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")
reordered = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@compiled
def choose_rows(u, bias, by_magnitude, k, indices, values):
    """The k largest of each row of u + bias into `indices` and `values`; unused slots are 0.

    u [rows, d_sae] float32, bias [d_sae], indices [rows, k] int64, values [rows, k] float32. By
    magnitude the signed value is kept; else only values above 0 are taken.
    """
    d_sae = u.shape[1]
    maxima = np.empty(count_groups(d_sae, k), np.float32)
    found, sizes = np.empty(d_sae, np.int64), np.empty(d_sae, np.float32)
    for row in range(len(u)):
        group_maxima(u[row], bias, by_magnitude, maxima)
        floor = lower_bound(maxima, k, k + SLACK, by_magnitude)
        count = collect(u[row], bias, by_magnitude, maxima, floor, found, sizes)
        count = keep_largest(found, sizes, count, k)
        for slot in range(count):
            indices[row, slot] = found[slot]
            values[row, slot] = u[row, found[slot]] + bias[found[slot]]
        indices[row, count:] = 0
        values[row, count:] = 0


@compiled
def count_groups(d_sae, k):
    """How many groups a row has: many times k where it is wide, so that the bound is close."""
    size = max(1, min(LARGEST_GROUP, d_sae // (16 * k)))
    return (d_sae + size - 1) // size


@compiled
def group_maxima(u, bias, by_magnitude, maxima):
    """The largest size of elements g, g + groups, g + 2 groups, … for every group g."""
    groups = len(maxima)
    maxima[:] = -1 if by_magnitude else 0
    for start in range(0, len(u), groups):
        stripe, shift = u[start : start + groups], bias[start : start + groups]
        if by_magnitude:
            for place in range(len(stripe)):
                size = np.abs(stripe[place] + shift[place])
                maxima[place] = size if size > maxima[place] else maxima[place]
        else:
            for place in range(len(stripe)):
                size = stripe[place] + shift[place]
                maxima[place] = size if size > maxima[place] else maxima[place]


@compiled
def lower_bound(maxima, least, most, by_magnitude):
    """A bound that at least `least` maxima exceed, and about `most`; the lowest if there are fewer."""
    low = np.float32(-1 if by_magnitude else 0)
    high = np.float32(0)
    for place in range(len(maxima)):
        high = maxima[place] if maxima[place] > high else high
    if count_above(maxima, low) <= most:
        return low
    for _ in range(BISECTIONS):
        middle = np.float32(0.5) * (max(low, np.float32(0)) + high)
        count = count_above(maxima, middle)
        if count >= least:
            low = middle
            if count <= most:
                break
        else:
            high = middle
    return low


@compiled
def count_above(sizes, bound):
    """How many exceed the bound."""
    count = np.int32(0)
    for place in range(len(sizes)):
        count += np.int32(sizes[place] > bound)
    return count


@compiled
def collect(u, bias, by_magnitude, maxima, floor, found, sizes):
    """Every element whose size exceeds the floor: its place and size; returns how many."""
    count, groups = 0, len(maxima)
    for group in range(groups):
        if maxima[group] > floor:
            for place in range(group, len(u), groups):
                value = u[place] + bias[place]
                size = np.abs(value) if by_magnitude else value
                if size > floor:
                    found[count] = place
                    sizes[count] = size
                    count += 1
    return count


@compiled
def keep_largest(found, sizes, count, k):
    """Move the k largest of the first `count` to the front (quickselect); returns min(count, k)."""
    low, high = 0, count - 1
    while count > k and low < high:
        pivot = sizes[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while sizes[left] > pivot:
                left += 1
            while sizes[right] < pivot:
                right -= 1
            if left <= right:
                sizes[left], sizes[right] = sizes[right], sizes[left]
                found[left], found[right] = found[right], found[left]
                left += 1
                right -= 1
        if k - 1 <= right:
            high = right
        elif k - 1 >= left:
            low = left
        else:
            break
    return min(count, k)


@reordered
def dot(one, other):
    """Their dot product."""
    total = np.float32(0)
    for place in range(len(one)):
        total += one[place] * other[place]
    return total
