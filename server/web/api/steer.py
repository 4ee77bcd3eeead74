"""Steered generation as a stream: the worker's events, passed on as they come.

A reader that leaves closes the stream behind it, so the worker stops too.
"""

from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from server.protocol import SteerRequest
from server.web.deps import WorkerDep
from server.web.worker_client import SteerStream

router = APIRouter(tags=["steer"])

HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class PassedOn(StreamingResponse):
    """A stream that is closed however this response ends, even before its first byte."""

    def __init__(self, stream: SteerStream) -> None:
        super().__init__(_bytes(stream), media_type="text/event-stream", headers=HEADERS)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until nobody reads."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stream.aclose()


@router.post("/api/steer", response_class=StreamingResponse)
async def post_steer(body: SteerRequest, worker: WorkerDep, request: Request) -> PassedOn:
    """Server-sent events: `queued`, `token` for each token of each row, `end` for each row, `error`.

    With `strengths`, one row per entry in one batch, from one seed; 0 is exactly unsteered.
    """
    user = request.client.host if request.client else ""
    return PassedOn(await worker.steer(body, user))


async def _bytes(stream: SteerStream) -> AsyncIterator[bytes]:
    async for chunk in stream:
        yield chunk
