"""What every task shares: how far it is, and what it may use.

Knows no particular task.
"""

from dataclasses import dataclass, field
from threading import Event
from typing import Any, NamedTuple

from server.settings import Settings
from server.store.session import Database


class Progress(NamedTuple):
    """How far a task is, in its own units; the last one carries the result."""

    done: float
    total: float
    message: str
    result: dict[str, Any] | None = None
    figures: dict[str, float] | None = None
    """What is measured now, by name: a point of the run's curves."""


@dataclass
class TaskContext:
    """What a task may use."""

    settings: Settings
    database: Database
    run_id: int | None = None
    """The run in the table; None outside of one, where nothing is kept for later."""
    stopping: Event = field(default_factory=Event)
    """Set when this process is to end: a task that can go on later keeps what it has."""


class RunInterrupted(RuntimeError):
    """The process was told to end; the run goes back into the queue."""


class TaskFailed(RuntimeError):
    """The work cannot go on; its message is the whole sentence for whoever asked for it."""
