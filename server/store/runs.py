"""Runs: long work asked for, taken by one process at a time, reported and finished.

Knows the table `run` and its states; does no work and watches no process. Whoever claims a run
holds it under an attempt number, and every later write names that number: a process that was
given up for dead cannot overwrite its successor.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from server.store.bulk import changed_rows
from server.store.encoding import LARGEST_ID, clean_text, dump_json, finite, load_json, now
from server.store.tables import Run

RunState = Literal["queued", "running", "done", "failed", "cancelled"]
ACTIVE: tuple[RunState, ...] = ("queued", "running")
MOST_ACTIVE = 1_000
ATTEMPTS = 3
"""A run whose process dies so many times is not tried again."""


@dataclass(frozen=True)
class RunRecord:
    """One run. `done` of `total` is its progress, in units of its own; `total` 0 is unknown."""

    id: int
    kind: str
    state: RunState
    attempt: int
    payload: dict[str, Any]
    done: float
    total: float
    message: str
    error: str | None
    result: dict[str, Any] | None
    cancel_requested: bool
    created_at: str
    started_at: str | None
    finished_at: str | None
    heartbeat_at: str | None

    @property
    def is_active(self) -> bool:
        """Whether the run is waiting or at work."""
        return self.state in ACTIVE

    @property
    def share(self) -> float | None:
        """Progress from 0 to 1; None if unknown."""
        return min(1.0, self.done / self.total) if self.total > 0 else None


_COLUMNS = [Run.__table__.c[name] for name in RunRecord.__dataclass_fields__]


def create_run(session: Session, kind: str, payload: dict[str, Any]) -> int:
    """The id of a new queued run; raises ValueError if the disk has too little room for any.

    How much is required is the database's to say (see `session.Room`).
    """
    room = session.info.get("room")
    if room is not None:
        room.require()
    values = {"state": "queued", "attempt": 0, "done": 0.0, "total": 0.0, "message": ""}
    statement = insert(Run).values(
        kind=kind, payload=dump_json(payload), cancel_requested=False, created_at=now(), **values
    )
    return session.execute(statement.returning(Run.id)).scalar_one()


def get_run(session: Session, run_id: int) -> RunRecord | None:
    """The run of this id."""
    if not 0 < run_id <= LARGEST_ID:
        return None
    row = session.execute(select(*_COLUMNS).where(Run.id == run_id)).one_or_none()
    return None if row is None else _record(row)


def list_runs(
    session: Session,
    states: Collection[RunState] | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[RunRecord]:
    """Runs, newest first, in all states or only in these; `before`: those older than this one."""
    query = select(*_COLUMNS).order_by(Run.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Run.id < before)
    if states is not None:
        query = query.where(Run.state.in_(states))
    return [_record(row) for row in session.execute(query)]


def list_active(session: Session) -> list[RunRecord]:
    """What waits or is at work, newest first, of any age."""
    return list_runs(session, ACTIVE, limit=MOST_ACTIVE)


def claim_run(session: Session, run_id: int | None = None) -> RunRecord | None:
    """Take a queued run (this one, or the oldest) for the next attempt; None if there is none.

    Exactly one of several callers gets it.
    """
    oldest = select(Run.id).where(Run.state == "queued").order_by(Run.id).limit(1)
    if run_id is not None:
        oldest = oldest.where(Run.id == run_id)
    moment = now()
    statement = (
        update(Run)
        .where(
            Run.id == oldest.with_for_update(skip_locked=True).scalar_subquery(),
            Run.state == "queued",
        )
        .values(
            state="running",
            attempt=Run.attempt + 1,
            started_at=moment,
            heartbeat_at=moment,
            finished_at=None,
            error=None,
            result=None,
            done=0.0,
            total=0.0,
            message="",
        )
    )
    row = session.execute(statement.returning(*_COLUMNS)).one_or_none()
    return None if row is None else _record(row)


def report_run(
    session: Session, run: RunRecord, done: float, total: float, message: str = ""
) -> bool:
    """Write progress and a heartbeat; False if this attempt should stop.

    It should if it was asked to, or if the run is no longer its own: then nothing was written.
    """
    statement = _fenced(run).values(
        done=finite(done, "progress"),
        total=finite(total, "progress"),
        message=message,
        heartbeat_at=now(),
    )
    row = session.execute(statement.returning(Run.cancel_requested)).one_or_none()
    return row is not None and not row.cancel_requested


def finish_run(
    session: Session,
    run: RunRecord,
    state: Literal["done", "failed", "cancelled"],
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """End this attempt; False if the run was no longer its own, and nothing was written."""
    statement = _fenced(run).values(
        state=state,
        result=None if result is None else dump_json(result),
        error=None if error is None else clean_text(error),
        finished_at=now(),
    )
    return changed_rows(session, statement) == 1


def request_cancel(session: Session, run_id: int) -> bool:
    """Cancel a queued run at once, ask a running one to stop; False if it had already ended."""
    moment = now()
    queued = update(Run).where(Run.id == run_id, Run.state == "queued")
    running = update(Run).where(Run.id == run_id, Run.state == "running")
    cancelled = queued.values(state="cancelled", cancel_requested=True, finished_at=moment)
    if changed_rows(session, cancelled) == 1:
        return True
    return changed_rows(session, running.values(cancel_requested=True)) == 1


def reopen_run(
    session: Session,
    run_id: int,
    states: Collection[RunState] = ("cancelled", "failed", "running"),
) -> bool:
    """Queue a run again that was cancelled, has failed, or was left running; False if it cannot be.

    Whoever calls must know that no process works on it, or leave `running` out of `states`.
    """
    statement = update(Run).where(Run.id == run_id, Run.state.in_(states))
    values = {"state": "queued", "cancel_requested": False, "error": None, "finished_at": None}
    return changed_rows(session, statement.values(**values)) == 1


def requeue_run(session: Session, run: RunRecord, attempts: int = ATTEMPTS) -> RunState | None:
    """Give up on an attempt whose process is gone, and say what the run is now.

    Queued for another attempt; failed after `attempts` of them; cancelled if that was asked for;
    None if someone else has dealt with it.
    """
    row = session.execute(
        select(Run.cancel_requested)
        .where(Run.id == run.id, Run.attempt == run.attempt, Run.state == "running")
        .with_for_update()
    ).one_or_none()
    if row is None:
        return None
    if row.cancel_requested:
        return "cancelled" if finish_run(session, run, "cancelled") else None
    if run.attempt >= attempts:
        error = f"the process doing this ended without a word {run.attempt} times: see its log"
        return "failed" if finish_run(session, run, "failed", error=error) else None
    session.execute(_fenced(run).values(state="queued", heartbeat_at=None))
    return "queued"


def _fenced(run: RunRecord) -> Any:
    """An UPDATE that touches nothing unless this attempt still holds the run."""
    return update(Run).where(Run.id == run.id, Run.attempt == run.attempt, Run.state == "running")


def _record(row: Any) -> RunRecord:
    values = dict(row._mapping)
    values["payload"] = load_json(values["payload"])
    values["result"] = None if values["result"] is None else load_json(values["result"])
    return RunRecord(**values)
