"""The application over the small world, a fake worker behind it, and pages as soup."""

from collections.abc import Callable, Iterator

import pytest
from bs4 import BeautifulSoup
from fastapi.testclient import TestClient

from server.settings import Settings
from server.web.app import create_app
from tests.builders import World
from tests.server.web.fake_worker import FakeWorker

ORIGIN = "http://127.0.0.1"
Page = Callable[[str], BeautifulSoup]


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def client(settings: Settings, sqlite_world: World, worker: FakeWorker) -> Iterator[TestClient]:
    """Asks as a browser on this machine would."""
    with TestClient(create_app(settings, worker), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def empty_client(settings: Settings, worker: FakeWorker) -> Iterator[TestClient]:
    """The same over a migrated database with nothing in it."""
    with TestClient(create_app(settings, worker), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def page(client: TestClient) -> Page:
    """Fetches a page that must be there."""

    def fetch(url: str) -> BeautifulSoup:
        response = client.get(url)
        assert response.status_code == 200, response.text
        return BeautifulSoup(response.text, "html.parser")

    return fetch
