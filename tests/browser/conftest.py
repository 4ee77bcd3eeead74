"""A real browser against a real server: Chromium, uvicorn in a thread, the small world, no models.

Knows how the two are started and what no page may ever do: write an error to the console, break
its own content policy, or ask another host for anything.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from server.settings import Settings
from server.store.migrate import migrate
from server.store.session import Database
from server.web.app import create_app
from tests.builders import World, build_world
from tests.server.web.fake_worker import FakeWorker
from tests.server.web.test_concept import ANSWER

CHROMIUM = "/usr/bin/chromium"
PATIENCE = 90_000
"""Milliseconds: these tests share two cores with whatever else the machine does."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
]
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
READY = """() => document.readyState === "complete" && (
  "ready" in document.documentElement.dataset ||
  !document.querySelector("script[src*='/js/app.']"))"""
"""A card and a foreign page have no script of ours to wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@dataclass
class Site:
    """The running server: its address, its world, and the worker behind it."""

    url: str
    world: World
    worker: FakeWorker
    loop: asyncio.AbstractEventLoop

    def pace(self) -> None:
        """From now on streams wait for `step`."""
        self.worker.gate = asyncio.Semaphore(0)

    def step(self, times: int = 1) -> None:
        """Let every row of the stream write so many tokens."""
        for _ in range(times):
            assert self.worker.gate is not None
            self.loop.call_soon_threadsafe(self.worker.gate.release)


@dataclass
class Watched:
    """What went wrong on a page so far."""

    problems: list[str] = field(default_factory=list)

    def follow(self, page: Page, origin: str) -> None:
        """Collect console errors, uncaught exceptions and requests to elsewhere."""
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", lambda request: self._request(request.url, origin))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.problems.append(f"console: {text}")

    def _request(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.problems.append(f"request to elsewhere: {url}")


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    if not Path(CHROMIUM).exists():
        reason = f"{CHROMIUM} is not installed: apt install chromium"
        if os.environ.get("DIPOLE_REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for the whole session: its pages only read."""
    folder = tmp_path_factory.mktemp("site")
    url = f"sqlite:///{folder / 'dipole.db'}"
    migrate(url)
    database = Database(url)
    world = build_world(database)
    database.dispose()
    worker = FakeWorker()
    app = create_app(Settings(data_dir=folder, database_url=url), worker)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=5)
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive()
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(f"http://127.0.0.1:{port}", world, worker, loop)
    server.should_exit = True
    thread.join()
    loop.close()


@pytest.fixture
def site(served: Site) -> Iterator[Site]:
    """The server with a worker that has not been asked anything."""
    served.worker.__init__()
    served.worker.answers["/concept"] = ANSWER
    yield served
    # A stream that still waits for a step would hold its connection open.
    served.step(500) if served.worker.gate else None


@pytest.fixture
def watched() -> Watched:
    return Watched()


def ready(page: Page) -> None:
    """Wait until every module of the page answers, as a person waits for its buttons to appear.

    Needed by hand only where a key or a click has opened another page and the next one is a key.
    """
    page.wait_for_function(READY)


def wait_after_loading(page: Page) -> None:
    """Whatever loads a page from here on returns when it is ready, unless told what to wait for."""

    def patient(load: Callable[..., object]) -> Callable[..., object]:
        def loaded(*args: object, **options: object) -> object:
            answer = load(*args, **options)
            if "wait_until" not in options:
                ready(page)
            return answer

        return loaded

    for name in ("goto", "reload", "go_back", "go_forward"):
        setattr(page, name, patient(getattr(page, name)))


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser profiles that are closed at the end."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        made.append(browser.new_context(**options))  # type: ignore[arg-type]
        made[-1].set_default_timeout(PATIENCE)
        made[-1].add_init_script(WATCH)
        if options.get("java_script_enabled", True):
            made[-1].on("page", wait_after_loading)
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(
    site: Site, watched: Watched, new_context: Callable[..., BrowserContext]
) -> Iterator[Page]:
    """A page that fails its test if anything goes wrong on it."""
    page = new_context(base_url=site.url).new_page()
    watched.follow(page, site.url)
    yield page
    assert page.evaluate("window.violations ?? []") == []
    assert watched.problems == []
