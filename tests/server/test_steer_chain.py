"""Browser to model and back: web and worker as two servers, and what a reader who leaves sets free."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
import uvicorn
from fastapi import FastAPI

from models.generate import GenerationBatch
from models.sae import SAEConfig, SparseAutoencoder
from server.settings import Settings
from server.store.migrate import migrate
from server.web.app import create_app as create_web
from server.worker.app import _add_error_handlers
from server.worker.device import Device
from server.worker.routes import router
from tests.models.tiny import tiny_lm
from tests.run_async import run_async
from tests.server.worker.steer_shelf import shelf_of

BODY = {"model": 1, "prompt": "The boy", "max_new_tokens": 100, "seed": 3, "temperature": 3.0}
PATIENCE = 120.0


@dataclass
class Chain:
    """The address of web, the device behind the worker, and who may write a token when."""

    url: str
    device: Device
    steps: threading.Semaphore

    def settle(self, holds) -> bool:
        """Whether something becomes true, without a token being written meanwhile."""
        tick = threading.Event()
        for _ in range(int(PATIENCE / 0.02)):
            if holds():
                return True
            tick.wait(0.02)
        return False

    def is_left(self) -> bool:
        """Whether nobody reads what is still being written, if anything is."""
        return all(place.job[0].is_cancelled for place in self.device._line.running)


@contextmanager
def served(app: FastAPI, **where: object) -> Iterator[uvicorn.Server]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **where))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        assert thread.is_alive()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """Both servers; a text goes on by one token for each release of `steps`."""
    lm = tiny_lm("gpt_neox")
    lm.model.generation_config.eos_token_id = None
    monkeypatch.setattr("models.generate.batch.end_tokens", lambda _lm: set())
    sae = SparseAutoencoder(SAEConfig(32, 40, "abstopk", 6)).eval().requires_grad_(False)
    sae.initialise(torch.Generator().manual_seed(0))
    steps = threading.Semaphore(0)
    original = GenerationBatch.step

    def step(batch: GenerationBatch):
        steps.acquire()
        return original(batch)

    monkeypatch.setattr(GenerationBatch, "step", step)
    device = Device(shelf_of(lm, {1: sae}, layer=1), rows=9, waiting=1)
    worker = FastAPI()
    worker.include_router(router)
    _add_error_handlers(worker)
    worker.state.device = device
    settings = Settings.read({}, data_dir=tmp_path)
    migrate(settings.database_url)
    with ExitStack() as stack:
        stack.enter_context(served(worker, uds=str(settings.worker_socket)))
        web = stack.enter_context(served(create_web(settings), port=0))
        port = web.servers[0].sockets[0].getsockname()[1]
        yield Chain(f"http://127.0.0.1:{port}", device, steps)
        steps.release(10_000)
        device.close()


async def tokens(response: httpx.Response) -> AsyncIterator[dict]:
    """The token events of a stream."""
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            name = line.removeprefix("event: ")
        elif line.startswith("data:") and name == "token":
            yield json.loads(line.removeprefix("data: "))


def test_a_closed_tab_frees_its_row_within_one_token(chain: Chain) -> None:
    rows = []

    async def read_three_and_leave() -> None:
        async with (
            httpx.AsyncClient(timeout=PATIENCE) as client,
            client.stream("POST", f"{chain.url}/api/steer", json=BODY) as response,
        ):
            seen = 0
            async for token in tokens(response):
                assert token["index"] == seen
                seen += 1
                rows[:] = rows or chain.device._line.running[0].job[1].rows
                if seen == 3:
                    return
                chain.steps.release()

    run_async(read_three_and_leave())
    assert chain.settle(chain.is_left)
    chain.steps.release()  # the token that was being written
    assert chain.settle(lambda: (chain.device.streams, chain.device.rows) == (0, 0))
    assert len(rows[0].written) <= 4


def test_who_comes_back_gets_every_token_once_from_the_first(chain: Chain) -> None:
    async def read(most: int) -> list[tuple[int, int]]:
        found = []
        async with (
            httpx.AsyncClient(timeout=PATIENCE) as client,
            client.stream("POST", f"{chain.url}/api/steer", json=BODY) as response,
        ):
            async for token in tokens(response):
                found.append((token["index"], token["token_id"]))
                if len(found) == most:
                    break
                chain.steps.release()
        return found

    first = run_async(read(4))
    assert chain.settle(chain.is_left)
    chain.steps.release()
    again = run_async(read(8))
    assert again[:4] == first
    assert [index for index, _ in again] == list(range(8))


def test_a_full_line_reaches_the_browser_as_429_with_a_sentence(chain: Chain) -> None:
    nine = {**BODY, "edits": [{"sae": 1, "feature": 1}], "strengths": [1.0] * 9}

    async def drip() -> None:
        while True:  # who asks is answered between two tokens
            chain.steps.release()
            await asyncio.sleep(0.02)

    async def crowd() -> httpx.Response:
        async with httpx.AsyncClient(timeout=PATIENCE) as client, AsyncExitStack() as stack:
            going = asyncio.create_task(drip())
            stack.callback(going.cancel)
            for _ in range(2):  # one is written, one waits
                stream = client.stream("POST", f"{chain.url}/api/steer", json=nine)
                assert (await stack.enter_async_context(stream)).status_code == 200
            return await client.post(f"{chain.url}/api/steer", json=nine)

    answer = run_async(crowd())
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "2"
    assert "wait already" in answer.json()["detail"]


def test_a_question_whose_reader_left_is_out_of_the_line(chain: Chain) -> None:
    body = {"model": 1, "prompt": "The boy", "edits": [{"sae": 1, "feature": 1}]}
    begun, held = threading.Event(), threading.Event()

    async def ask_and_leave() -> None:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            asked = asyncio.create_task(client.post(f"{chain.url}/api/sizes", json=body))
            assert await asyncio.to_thread(chain.settle, lambda: len(chain.device._calls) == 1)
            asked.cancel()
            await asyncio.wait([asked])
        assert await asyncio.to_thread(chain.settle, lambda: chain.device._calls[0][0].cancelled())

    async def hold() -> None:
        holding = asyncio.create_task(chain.device.call(lambda: begun.set() or held.wait()))
        try:
            assert await asyncio.to_thread(begun.wait, PATIENCE)
            await ask_and_leave()
        finally:
            held.set()
        await holding

    run_async(hold())


def test_a_worker_that_goes_away_in_the_middle_is_an_error_event(chain: Chain) -> None:
    async def watch() -> str:
        async with (
            httpx.AsyncClient(timeout=PATIENCE) as client,
            client.stream("POST", f"{chain.url}/api/steer", json=BODY) as response,
        ):
            received = ""
            closing: asyncio.Task[None] | None = None
            async for chunk in response.aiter_text():
                received += chunk
                if closing is None:
                    closing = asyncio.create_task(asyncio.to_thread(chain.device.close))
                    assert await asyncio.to_thread(chain.settle, lambda: chain.device._is_closed)
                    chain.steps.release(5)
            return received

    assert "event: error" in run_async(watch())
