"""A small drawing of an SAE's map for its page: every feature a dot, none left out.

Knows the points of a map; no HTML. Above `MOST` features it draws nothing rather than a sample.
"""

from dataclasses import dataclass

from server.store.maps import Columns

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


def mini_map(columns: Columns) -> MiniMap | None:
    """The drawing; None if there is nothing to draw or too much."""
    across, up = columns["x"], columns["y"]
    if not across or len(across) > MOST:
        return None
    left, right, low, high = min(across), max(across), min(up), max(up)
    # One scale for both directions: a layout has no preferred axis.
    scale = min(
        (WIDTH - 2 * MARGIN) / ((right - left) or 1), (HEIGHT - 2 * MARGIN) / ((high - low) or 1)
    )
    sides: dict[str, list[str]] = {"minus": [], "even": [], "plus": []}
    for x, y, balance in zip(across, up, columns["pole_balance"], strict=True):
        drawn_x = WIDTH / 2 + scale * (x - (left + right) / 2)
        drawn_y = HEIGHT / 2 - scale * (y - (low + high) / 2)
        sides[_side(balance)].append(f"M{drawn_x:.0f} {drawn_y:.0f}h0")
    minus, even, plus = ("".join(sides[side]) for side in ("minus", "even", "plus"))
    return MiniMap(minus, even, plus, len(across))


def _side(balance: float | None) -> str:
    if balance is None or abs(balance) < ONE_SIDED:
        return "even"
    return "plus" if balance > 0 else "minus"
