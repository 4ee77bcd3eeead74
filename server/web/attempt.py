"""A question to the worker for a page: its answer, or what the page says instead of it.

Knows how a question may fail; not what was asked.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fastapi import HTTPException

from server.web.worker_client import WorkerRefused, WorkerUnavailable

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Attempt(Generic[Answer]):
    """`answer` is None where there is none; `problem` then says why, if anything was asked."""

    answer: Answer | None = None
    problem: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


async def attempt(question: Awaitable[Answer]) -> Attempt[Answer]:
    """Wait for the answer; who may come back is told when."""
    try:
        return Attempt(await question)
    except WorkerUnavailable as error:
        again = {"retry-after": str(error.retry_after)}
        return Attempt(None, error.detail, error.status, again)
    except WorkerRefused as error:
        return Attempt(None, error.detail, error.status)
    except HTTPException as error:
        return Attempt(None, str(error.detail), error.status_code)
