"""A run's points as charts: nMSE, L0, and dead poles, each over the run's progress.

Knows the names of figures and the size of a drawing; no page.
"""

from collections.abc import Sequence
from typing import NamedTuple

from frontend.filters import fixed, short_count
from server.store.run_points import PointRecord
from server.web.contexts_runs import Curve, Line

WIDTH, HEIGHT = 600.0, 160.0


class _Chart(NamedTuple):
    title: str
    help: str
    lines: tuple[tuple[str, str, str], ...]
    """Figure, class, name."""
    digits: int


CHARTS = (
    _Chart(
        "nMSE", "share of the variance that is not reconstructed", (("nmse", "one", "nMSE"),), 3
    ),
    _Chart("L0", "features a token uses", (("l0", "one", "L0"),), 1),
    _Chart(
        "Dead poles",
        "poles that have not fired for long",
        (("dead-", "neg", "− poles"), ("dead+", "pos", "+ poles")),
        0,
    ),
)


def curves_of(points: Sequence[PointRecord], total: float) -> list[Curve]:
    """The charts of which there is a figure; all over the same progress, from 0 to the last point."""
    end = points[-1].done if points else 0.0
    curves = [_curve(chart, points, end or 1.0) for chart in CHARTS]
    return [curve for curve in curves if curve is not None] if total > 0 else []


def _curve(chart: _Chart, points: Sequence[PointRecord], end: float) -> Curve | None:
    series = {
        figure: [(point.done, point.figures[figure]) for point in points if figure in point.figures]
        for figure, _, _ in chart.lines
    }
    if not any(series.values()):
        return None
    top = max(value for values in series.values() for _, value in values) or 1.0
    lines = [
        Line(_path(series[figure], end, top), way, name, fixed(series[figure][-1][1], chart.digits))
        for figure, way, name in chart.lines
        if series[figure]
    ]
    first = {figure: values[0][1] for figure, values in series.items() if values}
    said = "; ".join(
        f"{line.name} from {fixed(first[figure], chart.digits)} to {line.value}"
        for line, figure in zip(lines, first, strict=True)
    )
    return Curve(
        title=chart.title,
        help=chart.help,
        lines=lines,
        top=fixed(top, chart.digits),
        end=short_count(end),
        summary=f"{said}, after {short_count(end)} tokens",
    )


def _path(values: Sequence[tuple[float, float]], end: float, top: float) -> str:
    """An SVG path; a single point is a short dash, so that it can be seen."""
    placed = [
        f"{WIDTH * done / end:.1f} {HEIGHT - (HEIGHT - 4) * max(value, 0.0) / top:.1f}"
        for done, value in values
    ]
    return f"M{placed[0]}h-6" if len(placed) == 1 else f"M{'L'.join(placed)}"
