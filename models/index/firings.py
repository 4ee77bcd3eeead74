"""Non-zero codes of a few windows, sorted by feature and window, with what each group amounts to.

The one place where (token, latent) pairs become (window, feature) groups. Knows nothing of what is kept.
"""

from typing import NamedTuple

import numpy as np


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
    fires = value != 0
    feature, window, position, value = (
        array[fires] for array in (feature, window, position, value)
    )
    key = feature.astype(np.uint16) if features <= 1 << 16 else feature
    order = np.argsort(key, kind="stable")
    return Firings(
        feature[order].astype(np.int64),
        window[order].astype(np.int64),
        position[order].astype(np.int64),
        value[order].astype(np.float32),
    )


def group_firings(firings: Firings, lengths: dict[int, int]) -> Groups:
    """Group by (feature, window); `lengths` gives each window's number of tokens, BOS included."""
    count = len(firings.value)
    if count == 0:
        empty = np.zeros(0, dtype=np.int64)
        none = np.zeros(0, dtype=np.float32)
        return Groups(empty, empty, empty, empty, none, empty, none, empty, none, np.zeros((0, 2)))
    changes = (np.diff(firings.feature) != 0) | (np.diff(firings.window) != 0)
    start = np.concatenate(([0], np.flatnonzero(changes) + 1))
    stop = np.append(start[1:], count)
    group = np.repeat(np.arange(len(start)), stop - start)
    window = firings.window[start]
    tokens = _lengths_of(window, lengths) - 1
    highest = np.maximum.reduceat(firings.value, start)
    lowest = np.minimum.reduceat(firings.value, start)
    is_second = firings.position > (tokens / 2)[group]
    value = firings.value.astype(np.float64)
    second = np.add.reduceat(np.where(is_second, value, 0.0), start)
    first = np.add.reduceat(np.where(is_second, 0.0, value), start)
    return Groups(
        firings.feature[start],
        window,
        start,
        stop,
        highest,
        firings.position[_first_where(firings.value == highest[group], start)],
        lowest,
        firings.position[_first_where(firings.value == lowest[group], start)],
        ((first + second) / tokens).astype(np.float32),
        np.stack([first, second], axis=1),
    )


def _first_where(condition: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The first index of each group at which the condition holds."""
    places = np.where(condition, np.arange(len(condition)), len(condition))
    return np.minimum.reduceat(places, start)


def _lengths_of(window: np.ndarray, lengths: dict[int, int]) -> np.ndarray:
    unique, inverse = np.unique(window, return_inverse=True)
    return np.array([lengths[int(number)] for number in unique], dtype=np.int64)[inverse]
