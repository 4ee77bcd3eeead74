"""The worker's application: its device, who may ask, and how a refusal is said.

Serves `routes` on a unix socket or a private address. Knows nothing of pages.
"""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from server.leaving import CLOSED, ReaderLeft
from server.settings import Settings
from server.store.session import Database
from server.worker.concepts import FOLDER, Concepts
from server.worker.device import Busy, Device
from server.worker.routes import router
from server.worker.shelf import Shelf

RETRY_AFTER = {"Retry-After": "2"}


def create_app(settings: Settings, token: str | None = None) -> FastAPI:
    """The worker's application; models are loaded at first use. `token` is asked of every request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database.of(settings)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        app.state.device = Device(Shelf(settings, database, device))
        app.state.concepts = Concepts(settings.data_dir / FOLDER)
        yield
        app.state.device.close()
        database.dispose()

    app = FastAPI(title="Dipole worker", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_error_handlers(app)

    def require_token(request: Request) -> None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
            raise HTTPException(401, "a token is needed: set DIPOLE_TOKEN for web and worker alike")

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    app.include_router(router, dependencies=[Depends(require_token)])
    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        # Not FastAPI's own: it repeats the input, and NaN cannot be written as JSON.
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{place}: {first['msg']}"}, 422)

    @app.exception_handler(ValueError)
    async def refused(_request: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(Busy)
    async def busy(_request: Request, error: Busy) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 429, RETRY_AFTER)

    @app.exception_handler(ReaderLeft)
    async def left(_request: Request, _error: ReaderLeft) -> Response:
        return Response(status_code=CLOSED)

    @app.exception_handler(torch.cuda.OutOfMemoryError)
    async def out_of_memory(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse(
            {"detail": "the device is out of memory: try again shortly"}, 503, RETRY_AFTER
        )
