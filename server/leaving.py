"""Work for a reader who may leave: it is given up as soon as their connection is closed.

Knows ASGI's `receive`. Does not know what the work is, nor who asked for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

Answer = TypeVar("Answer")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

CLOSED = 499
"""The status of an answer that nobody reads, as nginx writes it into its log."""


class ReaderLeft(Exception):
    """Nobody waits for this answer any more."""


async def unless_left(receive: Receive, work: Coroutine[Any, Any, Answer]) -> Answer:
    """What `work` returns; raises ReaderLeft, with the work cancelled, when the connection closes first.

    The request's body must have been read: this takes every message that comes after it.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_closed(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        leaving.result()
        raise ReaderLeft
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
