"""What a run measured while it worked: one curve per run, at most a few hundred points long.

Knows the table `run_point`; what the figures mean is for the task that reports them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from server.store.encoding import dump_json, finite, load_json
from server.store.runs import RunRecord
from server.store.tables import RunPoint

MOST_POINTS = 499
"""Besides the first, at progress 0 or later."""


@dataclass(frozen=True)
class PointRecord:
    """Figures by name, at one moment of a run; `done` in the run's own units."""

    done: float
    attempt: int
    figures: dict[str, float]


def write_point(
    session: Session, run: RunRecord, done: float, total: float, figures: Mapping[str, float]
) -> bool:
    """Add a point to the run's curve; False if it lies too close to the last one to be kept.

    Points are at least `total` / MOST_POINTS apart. What an earlier attempt measured from here on
    is removed: this attempt measures it anew. Raises ValueError for a figure that is no number, or
    a total that is not known.
    """
    if finite(total, "total") <= 0:
        raise ValueError("a point of a curve needs a run whose total is known")
    values = {name: finite(value, name) for name, value in figures.items()}
    own = RunPoint.run_id == run.id
    session.execute(
        delete(RunPoint).where(own, RunPoint.attempt < run.attempt, RunPoint.done >= done)
    )
    last = session.execute(select(func.max(RunPoint.done)).where(own)).scalar_one()
    if last is not None and done - last < total / MOST_POINTS:
        return False
    session.execute(
        insert(RunPoint).values(
            run_id=run.id,
            done=finite(done, "progress"),
            attempt=run.attempt,
            figures=dump_json(values),
        )
    )
    return True


def list_points(session: Session, run_id: int, after: float | None = None) -> list[PointRecord]:
    """The run's curve from its beginning, or behind the progress `after`."""
    query = (
        select(RunPoint.done, RunPoint.attempt, RunPoint.figures)
        .where(RunPoint.run_id == run_id)
        .order_by(RunPoint.done)
    )
    if after is not None:
        query = query.where(RunPoint.done > after)
    return [
        PointRecord(done, attempt, load_json(text))
        for done, attempt, text in session.execute(query)
    ]
