"""Questions that wait for the worker hold nothing that other pages need."""

import asyncio
from collections.abc import Iterator
from inspect import iscoroutinefunction

import httpx
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from server.protocol import PromptRequest, PromptResponse
from server.settings import Settings
from server.web.api import routers as api_routers
from server.web.app import create_app
from server.web.deps import read_session
from server.web.pages import routers as page_routers
from tests.builders import World
from tests.run_async import run_async
from tests.server.web.conftest import ORIGIN
from tests.server.web.fake_worker import FakeWorker

QUESTIONS = 24
"""More than a pool of connections holds (15)."""


class Crowded(FakeWorker):
    """Answers nobody before all are waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.all_wait = asyncio.Event()

    async def prompt(self, request: PromptRequest) -> PromptResponse:
        answer = await super().prompt(request)
        if len(self.prompts) == QUESTIONS:
            self.all_wait.set()
        await asyncio.wait_for(self.all_wait.wait(), timeout=120)
        return answer


def test_more_questions_can_wait_for_the_worker_than_there_are_connections(
    settings: Settings, sqlite_world: World
):
    async def ask_all() -> list[int]:
        app = create_app(settings, Crowded())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            asked = (client.get("/prompt?sae=1&text=x") for _ in range(QUESTIONS))
            answers = await asyncio.gather(*asked)
        app.state.database.dispose()
        return [answer.status_code for answer in answers]

    assert run_async(ask_all()) == [200] * QUESTIONS


def test_no_route_that_waits_keeps_a_session_meanwhile():
    routes = [
        route
        for router in (*api_routers(), *page_routers())
        for route in router.routes
        if isinstance(route, APIRoute)
    ]
    waiting = [route for route in routes if iscoroutinefunction(route.endpoint)]
    assert {"/prompt", "/concept.json", "/metrics"} <= {route.path for route in waiting}
    assert [route.path for route in waiting if read_session in calls_of(route.dependant)] == []


def calls_of(dependant: Dependant) -> Iterator[object]:
    """Everything that is called before the route is."""
    for part in dependant.dependencies:
        yield part.call
        yield from calls_of(part)
