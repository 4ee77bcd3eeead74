"""Finding all elements of a block above a floor, compiled: what BatchTopK streams through.

Imports numba (extra `fast`); knows nothing of torch or gradients. NaN is never found.
"""

import numba
import numpy as np

BISECTIONS = 16

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def count_rows(u, bias, by_magnitude, floor):
    """How many elements of u + bias exceed the floor, in size."""
    total = 0
    for row in range(len(u)):
        values = u[row]
        count = np.int32(0)
        if by_magnitude:
            for place in range(len(values)):
                count += np.int32(np.abs(values[place] + bias[place]) > floor)
        else:
            for place in range(len(values)):
                count += np.int32(values[place] + bias[place] > floor)
        total += count
    return total


@compiled
def first_floor(u, bias, by_magnitude, wanted):
    """A floor that at least `wanted` elements exceed, and not many more; 0 if there are fewer."""
    low, high = np.float32(0), np.float32(0)
    for row in range(len(u)):
        values = u[row]
        for place in range(len(values)):
            size = np.abs(values[place] + bias[place])
            high = size if size > high else high
    if count_rows(u, bias, by_magnitude, low) <= wanted:
        return low
    for _ in range(BISECTIONS):
        middle = np.float32(0.5) * (low + high)
        count = count_rows(u, bias, by_magnitude, middle)
        if count >= wanted:
            low = middle
            if count <= wanted + wanted // 4:
                break
        else:
            high = middle
    return low


@compiled
def find_rows(u, bias, by_magnitude, floor, first, places, values):
    """Row by row, every element that exceeds the floor: its flat place from row `first` on, and value."""
    count, d_sae = 0, u.shape[1]
    for row in range(len(u)):
        for latent in range(d_sae):
            value = u[row, latent] + bias[latent]
            if (np.abs(value) if by_magnitude else value) > floor:
                places[count] = (first + row) * d_sae + latent
                values[count] = value
                count += 1
