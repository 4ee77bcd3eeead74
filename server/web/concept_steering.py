"""What steering by each way does, as a page draws it: lines, a verdict a way, a sentence.

Knows the protocol's messages; no HTML and no model. Charts are lengths on a canvas of 600 × 220.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.filters import signed
from server.protocol.concepts import ConceptResponse, EffectRow

WIDTH, HEIGHT, MARGIN = 600.0, 220.0, 8.0
NAMES = {
    "single": "best single feature",
    "steering": "best feature for steering",
    "pair": "best pair of one-sided features",
    "dim": "Difference-in-Mean",
}
DASHES = {"single": "", "steering": "10 3", "pair": "2 4", "dim": "8 3 2 3"}


@dataclass(frozen=True)
class Line:
    """One way of steering as a path, with a mark per strength; `safe_path` is its safe part."""

    name: str
    way: str
    dash: str
    path: str
    safe_path: str
    points: Sequence[tuple[float, float, str]]


@dataclass(frozen=True)
class Chart:
    """Lines over the strength; `zero_y` is where nothing changes."""

    title: str
    lines: Sequence[Line]
    zero_y: float
    low: str
    high: str


@dataclass(frozen=True)
class Verdict:
    """What steering by one way does, in words and in a table's cells (value, is safe).

    `at_edges`: the change of the log-odds at both ends of the safe band. `steer_url` is empty for
    ways that are no single feature.
    """

    name: str
    is_monotonic: bool
    safe: str
    at_edges: str
    cells: Sequence[tuple[str, bool]]
    costs: Sequence[tuple[str, bool]]
    steer_url: str


def headline_of(answer: ConceptResponse) -> str:
    """What the feature chosen for steering does over its safe band, beside Difference-in-Mean."""
    rows = {effect.way: effect for effect in answer.effects}
    if answer.steering is None or "steering" not in rows:
        return ""
    feature = f"Feature {answer.steering.feature}, chosen on train prompts,"
    moved = f"{_at_edges(rows['steering'])} nats at the ends of its safe band"
    if rows["steering"].is_monotonic:
        said = f"{feature} moves the words of {answer.side_a} up on one side and down on the other: {moved}."
    else:
        said = f"{feature} fails to move the words both ways: {moved}."
    if "dim" not in rows:
        return said
    verdict = "" if rows["dim"].is_monotonic else ", which fails too"
    if rows["steering"].is_monotonic and verdict:
        verdict = ", which fails"
    return f"{said} Difference-in-Mean: {_at_edges(rows['dim'])}{verdict}."


def _at_edges(effect: EffectRow) -> str:
    """The change of the log-odds at both ends of the safe band."""
    safe = [odds for odds, is_safe in zip(effect.log_odds, effect.safe, strict=True) if is_safe]
    return f"{signed(safe[0])} / {signed(safe[-1])}"


def chart_of(title: str, effects: Sequence[EffectRow], field: str) -> Chart:
    """One figure of every way over the strengths; the safe part of each line by itself."""
    values = [getattr(effect, field) for effect in effects]
    low = min(0.0, *(value for row in values for value in row))
    high = max(0.0, *(value for row in values for value in row))
    room = (high - low) or 1.0
    shares = effects[0].shares
    reach = max(map(abs, shares)) or 1.0

    def x(share: float) -> float:
        return round(WIDTH / 2 + share / reach * (WIDTH / 2 - MARGIN), 1)

    def y(value: float) -> float:
        return round(MARGIN + (high - value) / room * (HEIGHT - 2 * MARGIN), 1)

    lines = []
    for effect, row in zip(effects, values, strict=True):
        points = [
            (x(share), y(value), f"{NAMES[effect.way]} at {signed(share)}: {signed(value)} nats")
            for share, value in zip(shares, row, strict=True)
        ]
        safe = [point for point, is_safe in zip(points, effect.safe, strict=True) if is_safe]
        lines.append(
            Line(
                NAMES[effect.way],
                effect.way,
                DASHES[effect.way],
                _path(points),
                _path(safe),
                points,
            )
        )
    return Chart(title, lines, y(0.0), signed(low), signed(high))


def _path(points: Sequence[tuple[float, float, str]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y, _ in points)


def verdict_of(effect: EffectRow, answer: ConceptResponse) -> Verdict:
    """One way: whether it moves both ways, how far it is safe, and its figures."""
    rows = list(zip(effect.shares, effect.log_odds, effect.loss_rise, effect.safe, strict=True))
    safe = [share for share, _, _, is_safe in rows if is_safe]
    steered = {"single": answer.single.feature}
    if answer.steering is not None:
        steered["steering"] = answer.steering.feature
    feature = steered.get(effect.way)
    return Verdict(
        NAMES[effect.way] if feature is None else f"{NAMES[effect.way]}, {feature}",
        effect.is_monotonic,
        f"{signed(safe[0])} to {signed(safe[-1])}",
        _at_edges(effect),
        [(signed(odds), is_safe) for _, odds, _, is_safe in rows],
        [(signed(loss), is_safe) for _, _, loss, is_safe in rows],
        "" if feature is None else f"/steer?sae={answer.sae}&feature={feature}",
    )
