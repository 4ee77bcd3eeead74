"""A small drawing of an SAE's map for its page: every feature a dot, none left out.

Knows the points of a map; no HTML. Above `MOST` features it draws nothing rather than a sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.store.maps import MapPoint

MOST = 4096
WIDTH, HEIGHT, MARGIN = 400, 240, 8
ONE_SIDED = 0.33


@dataclass(frozen=True)
class MiniMap:
    """SVG path data of the dots by the side they lean to."""

    minus: str
    even: str
    plus: str
    items: int


def mini_map(points: Sequence[MapPoint]) -> MiniMap | None:
    """The drawing; None if there is nothing to draw or too much."""
    if not points or len(points) > MOST:
        return None
    left, right = min(point.x for point in points), max(point.x for point in points)
    low, high = min(point.y for point in points), max(point.y for point in points)
    # One scale for both directions: a layout has no preferred axis.
    scale = min(
        (WIDTH - 2 * MARGIN) / ((right - left) or 1), (HEIGHT - 2 * MARGIN) / ((high - low) or 1)
    )
    sides: dict[str, list[str]] = {"minus": [], "even": [], "plus": []}
    for point in points:
        x = WIDTH / 2 + scale * (point.x - (left + right) / 2)
        y = HEIGHT / 2 - scale * (point.y - (low + high) / 2)
        sides[_side(point.pole_balance)].append(f"M{x:.0f} {y:.0f}h0")
    minus, even, plus = ("".join(sides[side]) for side in ("minus", "even", "plus"))
    return MiniMap(minus, even, plus, len(points))


def _side(balance: float | None) -> str:
    if balance is None or abs(balance) < ONE_SIDED:
        return "even"
    return "plus" if balance > 0 else "minus"
