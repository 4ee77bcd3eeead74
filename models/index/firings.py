"""Non-zero codes of a few windows, sorted by feature and window, with what each group amounts to.

The one place where (token, latent) pairs become (window, feature) groups. Knows nothing of what is kept.
"""

from typing import NamedTuple

import numpy as np

from models.index.blocks import WindowBlock
from models.kernels.path import is_installed


class Firings(NamedTuple):
    """Non-zero codes as parallel arrays; sorted by feature, then window, then position."""

    feature: np.ndarray  # int64 [n]
    window: np.ndarray  # int64 [n], a window's number in its corpus
    position: np.ndarray  # int64 [n], token position in the window, BOS is 0
    value: np.ndarray  # float32 [n], signed, never 0


class Groups(NamedTuple):
    """One row per (feature, window) with at least one firing; start and stop index the firings."""

    feature: np.ndarray
    window: np.ndarray
    row: np.ndarray  # the window's row in its block
    start: np.ndarray
    stop: np.ndarray
    highest: np.ndarray  # float32, the largest value (may be negative)
    highest_position: np.ndarray  # its first position
    lowest: np.ndarray
    lowest_position: np.ndarray
    mean: np.ndarray  # float32, Σ value / tokens of the window (BOS left out)
    halves: np.ndarray  # float64 [groups, 2], Σ value in the first and second half of the window


def sort_firings(
    feature: np.ndarray, window: np.ndarray, position: np.ndarray, value: np.ndarray, features: int
) -> Firings:
    """Drop zeros and sort by feature; the input comes in the order of windows and positions.

    One stable sort is enough then, and of 16-bit numbers it is a radix sort.
    """
    fires = np.flatnonzero(value != 0)
    key = feature[fires]
    key = key.astype(np.uint16) if features <= 1 << 16 else key
    order = fires[np.argsort(key, kind="stable")]
    return Firings(
        feature[order].astype(np.int64, copy=False),
        window[order].astype(np.int64, copy=False),
        position[order].astype(np.int64, copy=False),
        value[order].astype(np.float32, copy=False),
    )


def group_firings(firings: Firings, block: WindowBlock) -> Groups:
    """Group by (feature, window); `block` holds the windows."""
    count = len(firings.value)
    if count == 0:
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return Groups._make([whole] * 5 + [real, whole, real, whole, real, np.zeros((0, 2))])
    if is_installed("compiled"):
        return group_compiled(firings, block)
    return group_plain(firings, block)


def group_compiled(firings: Firings, block: WindowBlock) -> Groups:
    """In one sweep; raises ImportError without numba."""
    from models.index.compiled_groups import sweep  # numba

    tokens = block.length - 1
    start, row, extremes, places, whole, halves = sweep(*firings, block.number, tokens)
    return Groups(
        firings.feature[start],
        firings.window[start],
        row,
        start,
        np.append(start[1:], len(firings.value)),
        extremes[0],
        places[0],
        extremes[1],
        places[1],
        (whole / tokens[row]).astype(np.float32),
        halves,
    )


def group_plain(firings: Firings, block: WindowBlock) -> Groups:
    """With numpy alone."""
    count = len(firings.value)
    changes = (np.diff(firings.feature) != 0) | (np.diff(firings.window) != 0)
    start = np.concatenate(([0], np.flatnonzero(changes) + 1))
    stop = np.append(start[1:], count)
    group = np.repeat(np.arange(len(start)), stop - start)
    window = firings.window[start]
    row = block.row_of(window)
    tokens = block.length[row] - 1
    highest = np.maximum.reduceat(firings.value, start)
    lowest = np.minimum.reduceat(firings.value, start)
    is_second = firings.position > (tokens / 2)[group]
    value = firings.value.astype(np.float64)
    whole = np.add.reduceat(value, start)
    second = np.add.reduceat(value * is_second, start)
    first = np.add.reduceat(value * ~is_second, start)
    return Groups(
        firings.feature[start],
        window,
        row,
        start,
        stop,
        highest,
        firings.position[_first_where(firings.value == highest[group], start)],
        lowest,
        firings.position[_first_where(firings.value == lowest[group], start)],
        (whole / tokens).astype(np.float32),
        np.stack([first, second], axis=1),
    )


def _first_where(condition: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The first index of each group at which the condition holds, as it does somewhere in each."""
    places = np.flatnonzero(condition)
    return places[np.searchsorted(places, start)]
