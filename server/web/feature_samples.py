"""What lies between the extremes, as it is drawn: samples of each interval, turning points.

Knows the JSON of a feature, flipped or not; no HTML and no database.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from frontend.filters import number
from server.web.feature_view import View
from server.web.strips import ContextView, context_view

SIDES = ("-", "+")
AROUND = 16
"""Tokens shown on either side of the drawn one."""


@dataclass(frozen=True)
class Drawn:
    """One side of a row: how many there are in the whole index, and those that were kept."""

    pole: str
    count: int
    contexts: Sequence[ContextView]
    is_turn: bool = False
    """Whether each shows a change, from the token ahead to the drawn one."""


@dataclass(frozen=True)
class IntervalRow:
    """An interval of magnitudes and its two mirrored sides, − first."""

    name: str
    sides: Sequence[Drawn]


def interval_rows(view: View, special_ids: Collection[int]) -> list[IntervalRow]:
    """The intervals from the largest magnitude down; each holds the same magnitudes of both poles."""
    pairs = zip(*(view["poles"][pole]["intervals"] for pole in SIDES), strict=True)
    return [_row(pair, special_ids) for pair in pairs]


def turns_of(view: View, special_ids: Collection[int]) -> list[Drawn]:
    """The turning points to each pole, − first."""
    return [
        Drawn(
            pole,
            view["poles"][pole]["turns"],
            _drawn(view["poles"][pole]["turning_points"], special_ids),
            is_turn=True,
        )
        for pole in SIDES
    ]


def _row(pair: Sequence[View], special_ids: Collection[int]) -> IntervalRow:
    near, far = abs(pair[0]["near"]), abs(pair[0]["far"])
    return IntervalRow(
        name=f"±{number(near)} to ±{number(far)}",
        sides=[
            Drawn(pole, interval["firings"], _drawn(interval["contexts"], special_ids))
            for pole, interval in zip(SIDES, pair, strict=True)
        ],
    )


def _drawn(contexts: Sequence[View], special_ids: Collection[int]) -> list[ContextView]:
    return [context_view(_near(context), special_ids) for context in contexts]


def _near(context: View) -> View:
    """The stretch one line can show; a page draws forty of these, and the JSON has them whole."""
    position = context["position"]
    begin, end = max(0, position - AROUND), position + AROUND + 1
    cut = {name: context[name][begin:end] for name in ("tokens", "token_ids", "activations")}
    return {**context, **cut, "position": position - begin}
