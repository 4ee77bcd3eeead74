"""One steering request's events, on their way from the device thread to whoever reads them.

Knows an event loop and a bounded queue; nothing of models, lines or HTTP.
"""

import asyncio

from server.protocol import SteerEnd, SteerQueued, SteerToken, WorkerError

MOST_EVENTS = 1_024
Event = SteerQueued | SteerToken | SteerEnd | WorkerError


class Stream:
    """One request's events; `cancel` frees its rows before the next token."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.is_cancelled = False
        self.admitted: float | None = None
        """When its first token was begun; None while it waits."""

    async def next(self) -> Event | None:
        """The next event; None behind the last."""
        return await self._events.get()

    def cancel(self) -> None:
        """Nobody reads this any more."""
        self.is_cancelled = True

    def put(self, event: Event | None) -> None:
        """Called on the device thread. A reader who lags far behind is cut."""
        if event is not None and self._events.qsize() > MOST_EVENTS:
            self.is_cancelled = True
            return  # the None that ends every stream still comes, or the reader would wait for ever
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the reader's loop is closed: nobody will ever read this
            self.is_cancelled = True
