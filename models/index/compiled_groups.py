"""Grouping firings in one compiled sweep: what `firings.group_firings` does in a dozen.

Imports numba (extra `fast`); knows arrays only. Sums are taken one by one, where numpy adds in pairs:
they may differ in the last bit of a float64.
"""

import numba
import numpy as np

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def sweep(feature, window, position, value, number, tokens):
    """Start, row, extremes with their first positions, sum and sums of the halves of each group.

    `number` [rows] are the windows' numbers, ascending, `tokens` [rows] how many tokens count in each.
    """
    count = len(value)
    start = np.empty(count, np.int64)
    row = np.empty(count, np.int64)
    extremes = np.empty((2, count), np.float32)
    places = np.empty((2, count), np.int64)
    halves = np.zeros((count, 2), np.float64)
    whole = np.zeros(count, np.float64)
    groups = -1
    middle = 0.0
    for i in range(count):
        if i == 0 or feature[i] != feature[i - 1] or window[i] != window[i - 1]:
            groups += 1
            start[groups] = i
            row[groups] = np.searchsorted(number, window[i])
            middle = tokens[row[groups]] / 2
            extremes[0, groups] = extremes[1, groups] = value[i]
            places[0, groups] = places[1, groups] = position[i]
        elif value[i] > extremes[0, groups]:
            extremes[0, groups], places[0, groups] = value[i], position[i]
        elif value[i] < extremes[1, groups]:
            extremes[1, groups], places[1, groups] = value[i], position[i]
        whole[groups] += value[i]
        halves[groups, 1 if position[i] > middle else 0] += value[i]
    groups += 1
    return (
        start[:groups],
        row[:groups],
        extremes[:, :groups],
        places[:, :groups],
        whole[:groups],
        halves[:groups],
    )
