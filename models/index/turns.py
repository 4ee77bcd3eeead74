"""Turning points: neighbouring tokens at which a feature's sign changes.

Both tokens must fire: a token at which the feature is 0 has no sign, so − 0 + is no turn but two
silences, and only directly neighbouring tokens of one window are compared. Knows nothing of what is kept.
"""

from typing import NamedTuple

import numpy as np

from models.index.firings import Firings, Groups

TURNS = 5  # shown per feature and direction, from as many documents


class Turns(NamedTuple):
    """Where firings turn: `place` indexes the firing after the change, whose sign names the direction."""

    place: np.ndarray  # int64
    group: np.ndarray  # int64: its group
    size: np.ndarray  # float32: |z after − z before|


def find_turns(firings: Firings, groups: Groups) -> Turns:
    """Every pair of neighbouring firings z₋ z₊ of opposite signs in the same window."""
    is_turn = np.diff(firings.position) == 1
    is_turn &= np.signbit(firings.value[1:]) != np.signbit(firings.value[:-1])
    place = np.flatnonzero(is_turn) + 1
    is_start = np.zeros(len(firings.value), dtype=bool)
    is_start[groups.start] = True
    place = place[~is_start[place]]
    group = np.searchsorted(groups.start, place, side="right") - 1
    return Turns(place, group, np.abs(firings.value[place] - firings.value[place - 1]))
