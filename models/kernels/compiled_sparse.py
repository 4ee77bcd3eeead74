"""Gathering and scattering the rows of a sparse code, compiled.

Imports numba (extra `fast`); knows nothing of torch, of autograd or of how a code was chosen.
"""

import numba
import numpy as np

compiled = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@compiled
def sort_by_latent(indices, offsets, order, rows):
    """Counting sort of indices [batch, k] by latent, stable; see `transpose.ByLatent`."""
    offsets[:] = 0
    for row in range(len(indices)):
        for slot in range(indices.shape[1]):
            offsets[indices[row, slot] + 1] += 1
    for latent in range(1, len(offsets)):
        offsets[latent] += offsets[latent - 1]
    following = offsets[:-1].copy()
    for row in range(len(indices)):
        for slot in range(indices.shape[1]):
            place = following[indices[row, slot]]
            following[indices[row, slot]] += 1
            order[place] = row * indices.shape[1] + slot
            rows[place] = row


@compiled
def sum_rows(indices, values, weight, out):
    """out[b] = Σ values[b, j]·weight[indices[b, j]]."""
    for row in range(len(indices)):
        total = out[row]
        total[:] = 0
        for slot in range(indices.shape[1]):
            value = values[row, slot]
            if value != 0:  # in a code as wide as its fullest row, most slots may be unused
                vector = weight[indices[row, slot]]
                for place in range(len(total)):
                    total[place] += value * vector[place]


@compiled
def dot_rows(indices, values, vectors, weight, out):
    """out[b, j] = vectors[b]·weight[indices[b, j]], 0 where values[b, j] is 0."""
    for row in range(len(indices)):
        one = vectors[row]
        for slot in range(indices.shape[1]):
            total = np.float32(0)
            if values[row, slot] != 0:
                other = weight[indices[row, slot]]
                for place in range(len(one)):
                    total += one[place] * other[place]
            out[row, slot] = total


@compiled
def sum_by_latent(offsets, order, rows, weights, vectors, out):
    """out[i] = Σ weights[slot]·vectors[row of slot] over the slots of latent i."""
    for latent in range(len(out)):
        total = out[latent]
        total[:] = 0
        for place in range(offsets[latent], offsets[latent + 1]):
            value = weights[order[place]]
            if value != 0:
                vector = vectors[rows[place]]
                for column in range(len(total)):
                    total[column] += value * vector[column]
