"""The web application: pages, JSON, static files, and the guard in front of them.

Knows how the parts are put together; each part knows the rest. Imports no torch.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.types import Scope

from frontend import STATIC
from server.settings import Settings
from server.store.language_models import Vocabularies
from server.store.session import Database
from server.web.api import routers as api_routers
from server.web.errors import add_error_handlers
from server.web.pages import routers as page_routers
from server.web.plotly import FOR_EVER
from server.web.plotly import router as plotly_router
from server.web.render import Renderer
from server.web.responses import Json
from server.web.security import Guard
from server.web.worker_client import WorkerClient, open_worker


class ImmutableFiles(StaticFiles):
    """Files below an address that names their release: a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, marked as never changing."""
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = FOR_EVER
        return response


def create_app(settings: Settings, worker: WorkerClient | None = None) -> FastAPI:
    """The application of these settings; `worker` replaces the one the settings name."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.worker.aclose()
        app.state.database.dispose()

    app = FastAPI(
        title="Dipole",
        summary="Features of sparse autoencoders with two poles",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        default_response_class=Json,
    )
    app.state.settings = settings
    app.state.database = Database.of(settings)
    app.state.worker = worker or open_worker(settings)
    app.state.renderer = Renderer()
    app.state.vocabularies = Vocabularies()
    for router in (*api_routers(), *page_routers(), plotly_router):
        app.include_router(router)
    app.mount(app.state.renderer.assets.prefix, ImmutableFiles(directory=STATIC), name="static")
    # The lowest level: a page shrinks to a sixth, and higher ones cost more time than they save.
    # Streams of events pass as they are.
    app.add_middleware(GZipMiddleware, minimum_size=4096, compresslevel=1)
    app.add_middleware(Guard, settings=settings)
    add_error_handlers(app)
    return app
