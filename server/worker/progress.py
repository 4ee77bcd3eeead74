"""What every task shares: how far it is, and what it may use.

Knows no particular task.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from server.settings import Settings
from server.store.session import Database


class Progress(NamedTuple):
    """How far a task is, in its own units; the last one carries the result."""

    done: float
    total: float
    message: str
    result: dict[str, Any] | None = None


@dataclass
class TaskContext:
    """What a task may use."""

    settings: Settings
    database: Database
