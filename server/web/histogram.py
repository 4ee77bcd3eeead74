"""Signed histograms as lengths on a canvas of 1000 × 200, zero in the middle, log height.

Knows the JSON of a histogram; no HTML and no colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from frontend.filters import count, signed

WIDTH, HEIGHT = 1000, 200
FLOOR = 0.04
"""Height share of a bar that counts one token, so that it is seen at all."""


@dataclass(frozen=True)
class Bar:
    """One bar, on the side its values are on."""

    side: str
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class Mark:
    """A vertical line at a value."""

    x: float
    title: str


@dataclass(frozen=True)
class Plot:
    """Everything the drawing needs."""

    bars: Sequence[Bar]
    marks: Sequence[Mark]
    grid: Sequence[float]
    low: float
    high: float
    top: int
    summary: str


@dataclass(frozen=True)
class HistogramView:
    """Activations: what is drawn, and the zeros that are not."""

    plot: Plot
    zeros: int
    tokens: int
    zero_share: float


def histogram_view(view: dict[str, Any]) -> HistogramView | None:
    """The histogram of a feature's JSON; None if none is stored."""
    stored = view["histogram"]
    if stored is None:
        return None
    poles = view["poles"]
    below, above = _sides(stored)
    plot = _plot(
        stored,
        [poles["-"]["quantile_999"], poles["+"]["quantile_999"]],
        f"Histogram of activations: {count(below)} below zero down to"
        f" {signed(poles['-']['max'])}, {count(above)} above zero up to {signed(poles['+']['max'])}",
    )
    tokens, zeros = stored["tokens"], stored["zeros"]
    return HistogramView(plot, zeros, tokens, zeros / tokens if tokens else 0.0)


def logit_plot(view: dict[str, Any]) -> Plot | None:
    """Every token of the vocabulary by what the feature adds to its logit; None if none is stored."""
    stored = view["logits"]
    if stored is None:
        return None
    below, above = _sides(stored)
    summary = (
        f"Histogram of logits: {count(above)} tokens above zero, promoted by the + pole,"
        f" {count(below)} below zero, promoted by the − pole"
    )
    return _plot(stored, [], summary)


def _sides(stored: dict[str, Any]) -> tuple[int, int]:
    """How many are counted below zero and above it."""
    pairs = zip(stored["counts"], stored["edges"], strict=False)
    below = sum(number for number, low in pairs if low < 0)
    return below, sum(stored["counts"]) - below


def _plot(stored: dict[str, Any], quantiles: Sequence[float], summary: str) -> Plot:
    edges, counts = stored["edges"], stored["counts"]
    reach = max((abs(edge) for edge in edges), default=0.0) or 1.0
    top = max(counts, default=0)
    return Plot(
        bars=[
            _bar(low, high, number, reach, top)
            for low, high, number in zip(edges, edges[1:], counts, strict=False)
            if number
        ],
        marks=[
            Mark(_place(value, reach), f"99.9 % quantile {signed(value)}")
            for value in quantiles
            if value and abs(value) <= reach
        ],
        grid=[_round(HEIGHT * (1 - _height(10**power, top))) for power in range(1, _powers(top))],
        low=-reach,
        high=reach,
        top=top,
        summary=summary,
    )


def _bar(low: float, high: float, number: int, reach: float, top: int) -> Bar:
    height = HEIGHT * _height(number, top)
    left, right = _place(low, reach), _place(high, reach)
    return Bar(
        side="pos" if low + high > 0 else "neg",
        x=_round(left + 1),
        y=_round(HEIGHT - height),
        width=_round(max(right - left - 2, 1)),
        height=_round(height),
        title=f"{signed(low)} to {signed(high)}: {count(number)} tokens",
    )


def _height(number: float, top: int) -> float:
    """The height share of a count: 1 is `FLOOR`, `top` is full, in between by its logarithm."""
    if top <= 1:
        return 1.0
    return FLOOR + (1 - FLOOR) * math.log(number) / math.log(top)


def _place(value: float, reach: float) -> float:
    return _round(WIDTH / 2 * (1 + value / reach))


def _powers(top: int) -> int:
    return math.ceil(math.log10(top)) if top > 1 else 0


def _round(value: float) -> float:
    return round(value, 2)
