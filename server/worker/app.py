"""The worker's HTTP face: prompt and steer, on a unix socket or a private address.

One thread owns the device; a stream takes it token by token, so that several users share it and a
closed connection frees it at once. Knows nothing of pages.
"""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import torch
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse

from server.protocol import (
    PromptRequest,
    PromptResponse,
    SteerEnd,
    SteerRequest,
    SteerToken,
    WorkerError,
)
from server.settings import Settings
from server.store.session import Database
from server.worker.handlers import read_prompt, steer
from server.worker.shelf import Shelf

MOST_STREAMS = 16
logger = logging.getLogger(__name__)

RETRY_AFTER = {"Retry-After": "2"}


class Device:
    """The one thread that owns the device, and how many streams wait for it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.streams = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="device")

    async def call(self, function, *arguments):
        """Run on the device thread. Bad input (ValueError) becomes HTTP 422."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, function, *arguments
            )
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    def close(self) -> None:
        """Finish what is running, take nothing new."""
        self._thread.shutdown(wait=True, cancel_futures=True)


def create_app(settings: Settings, token: str | None = None) -> FastAPI:
    """The worker's application; models are loaded at first use. `token` is asked of every request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database(settings.database_url)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        app.state.device = Device(Shelf(settings, database, device))
        yield
        app.state.device.close()
        database.dispose()

    app = FastAPI(title="Dipole worker", lifespan=lifespan, docs_url=None, redoc_url=None)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Not FastAPI's own: it repeats the input, and NaN cannot be written as JSON.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)

    def require_token(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, "a token is needed: set DIPOLE_TOKEN for web and worker alike")

    guarded = [Depends(require_token)]

    @app.exception_handler(torch.cuda.OutOfMemoryError)
    async def out_of_memory(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse(
            {"detail": "the device is out of memory: try again shortly"}, 503, RETRY_AFTER
        )

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/prompt", dependencies=guarded)
    async def prompt(body: PromptRequest, request: Request) -> PromptResponse:
        device: Device = request.app.state.device
        return await device.call(read_prompt, device.shelf, body)

    @app.post("/steer", dependencies=guarded)
    async def steer_route(body: SteerRequest, request: Request) -> StreamingResponse:
        device: Device = request.app.state.device
        if device.streams >= MOST_STREAMS:
            raise HTTPException(
                503, "too many texts are being written: try again shortly", RETRY_AFTER
            )
        events = steer(device.shelf, body)
        first = await device.call(_next, events)  # bad input must become a 4xx, not a broken stream
        return StreamingResponse(_stream(device, first, events), media_type="text/event-stream")

    return app


async def _stream(
    device: Device, first: SteerToken | SteerEnd | None, events: Iterator[SteerToken | SteerEnd]
) -> AsyncIterator[str]:
    """Server-sent events; the generation stops with the connection."""
    device.streams += 1
    event = first
    try:
        while event is not None:
            name = "token" if isinstance(event, SteerToken) else "end"
            yield f"event: {name}\ndata: {event.model_dump_json()}\n\n"
            event = await device.call(_next, events)
    except HTTPException as error:
        yield f"event: error\ndata: {WorkerError(detail=str(error.detail)).model_dump_json()}\n\n"
    except Exception:
        logger.exception("a stream broke")
        detail = "the worker failed while it wrote: its log says why"
        yield f"event: error\ndata: {WorkerError(detail=detail).model_dump_json()}\n\n"
    finally:
        device.streams -= 1


def _next(events: Iterator[SteerToken | SteerEnd]) -> SteerToken | SteerEnd | None:
    return next(events, None)
