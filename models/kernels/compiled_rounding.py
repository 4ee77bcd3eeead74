"""Rounding to 8 bits, and choosing among what a product of such integers shortlists; compiled.

Imports numba (extra `fast`); knows nothing of torch or gradients.
"""

import numpy as np

from models.kernels.compiled_select import (
    SLACK,
    collect,
    compiled,
    count_groups,
    dot,
    keep_largest,
    lower_bound,
)

LARGEST_STEP = 127
REACH = 5  # standard deviations of one u's error: 3.5 of the difference of two


@compiled
def round_rows(matrix, steps, scale, norms):
    """Row i of the matrix as int8 steps of scale[i], and its norm."""
    for row in range(len(matrix)):
        values = matrix[row]
        largest, square = np.float32(0), np.float32(0)
        for place in range(len(values)):
            size = np.abs(values[place])
            largest = size if size > largest else largest
        for place in range(len(values)):
            square += values[place] * values[place]
        scale[row] = largest / np.float32(LARGEST_STEP)
        norms[row] = np.sqrt(square)
        per_step = np.float32(LARGEST_STEP) / largest if largest > 0 else np.float32(0)
        for place in range(len(values)):
            steps[row, place] = np.int8(np.int32(np.rint(values[place] * per_step)))


@compiled
def choose_candidates(
    u,
    latent_scale,
    latent_norms,
    bias,
    columns,
    by_magnitude,
    most,
    row_scale,
    row_norms,
    rows,
    indices,
    values,
    is_sure,
):
    """The k largest of each row by exact values, computed for those that its rounded u leaves in doubt.

    u [rows, d_sae] int32 in units of row_scale·latent_scale; rows [rows, d_in] and columns
    [d_sae, d_in] are the float32 factors. Candidates are all whose rounded size comes within REACH
    standard deviations of the k-th: each entry of the factors is off by half a step at most,
    uniformly. A row with more than `most` of them is left to the caller, as not sure.
    """
    d_sae, k = u.shape[1], indices.shape[1]
    maxima = np.empty(count_groups(d_sae, k), np.float32)
    found, sizes = np.empty(d_sae, np.int64), np.empty(d_sae, np.float32)
    rough, exact = np.empty(d_sae, np.float32), np.empty(d_sae, np.float32)
    no_bias = np.zeros(d_sae, np.float32)
    coarse = np.sqrt(np.mean(latent_scale * latent_scale))
    long = np.sqrt(np.mean(latent_norms * latent_norms))
    for row in range(len(u)):
        unit = row_scale[row]
        scale_up(u[row], unit, latent_scale, bias, by_magnitude, rough, maxima)
        error = np.sqrt(((unit * long) ** 2 + (coarse * row_norms[row]) ** 2) / 12)
        reach = np.float32(REACH * error)
        floor = lower_bound(maxima, k, k + SLACK, by_magnitude) - reach
        floor = floor if by_magnitude else max(floor, np.float32(0))
        count = collect(rough, no_bias, by_magnitude, maxima, floor, found, sizes)
        if keep_largest(found, sizes, count, k) == k:
            count = drop_below(np.min(sizes[:k]) - reach, found, sizes, k, count)
        is_sure[row] = count <= most and error < np.inf
        if not is_sure[row]:
            continue
        for place in range(count):
            value = dot(rows[row], columns[found[place]]) + bias[found[place]]
            exact[found[place]] = value
            sizes[place] = np.abs(value) if by_magnitude else max(value, np.float32(0))
        count = keep_largest(found, sizes, count, k)
        for slot in range(count):
            value = exact[found[slot]]
            indices[row, slot] = found[slot]
            values[row, slot] = value if by_magnitude else max(value, np.float32(0))
        indices[row, count:] = 0
        values[row, count:] = 0


@compiled
def scale_up(u, unit, latent_scale, bias, by_magnitude, rough, maxima):
    """Rounded u in units of the activations, with its bias, and the largest size of every group."""
    groups = len(maxima)
    maxima[:] = -1 if by_magnitude else 0
    for start in range(0, len(u), groups):
        own = slice(start, start + groups)
        steps, scale, shift, out = u[own], latent_scale[own], bias[own], rough[own]
        if by_magnitude:
            for place in range(len(steps)):
                value = np.float32(steps[place]) * (unit * scale[place]) + shift[place]
                out[place] = value
                size = np.abs(value)
                maxima[place] = size if size > maxima[place] else maxima[place]
        else:
            for place in range(len(steps)):
                value = np.float32(steps[place]) * (unit * scale[place]) + shift[place]
                out[place] = value
                maxima[place] = value if value > maxima[place] else maxima[place]


@compiled
def drop_below(bound, found, sizes, first, count):
    """Close the gaps that sizes up to the bound leave, from `first` on; returns how many are left."""
    kept = first
    for place in range(first, count):
        if sizes[place] > bound:
            found[kept], sizes[kept] = found[place], sizes[place]
            kept += 1
    return kept
