import asyncio
from collections.abc import Callable

import httpx
import pytest

from server.leaving import ReaderLeft
from server.protocol import PromptRequest, SteerRequest
from server.web.worker_client import BROKEN, HttpWorkerClient, WorkerRefused, WorkerUnavailable
from tests.run_async import run_async

PROMPT = PromptRequest(sae=1, text="x")
STEER = SteerRequest(model=1, prompt="x")
ANSWER = {"sae": 1, "tokens": ["x"], "token_ids": [1], "special": [False], "features": []}


def client_of(handler: Callable[[httpx.Request], httpx.Response]) -> HttpWorkerClient:
    transport = httpx.MockTransport(handler)
    return HttpWorkerClient(httpx.AsyncClient(transport=transport, base_url="http://worker"))


def ask(handler: Callable[[httpx.Request], httpx.Response]):
    return run_async(client_of(handler).prompt(PROMPT))


def test_a_prompt_is_posted_as_it_is_and_read_back():
    asked = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.content))
        return httpx.Response(200, json=ANSWER)

    assert ask(handler).tokens == ["x"]
    assert asked[0][0] == "/prompt"
    assert PromptRequest.model_validate_json(asked[0][1]) == PROMPT


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_worker_that_is_away_is_unavailable(error: type[httpx.TransportError]):
    def handler(request: httpx.Request) -> httpx.Response:
        raise error("gone")

    with pytest.raises(WorkerUnavailable):
        ask(handler)


def test_a_worker_that_takes_too_long_is_not_said_to_be_starting():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(WorkerUnavailable) as caught:
        ask(handler)
    assert caught.value.status == 504
    assert "starting" not in caught.value.detail


def test_what_was_asked_is_given_up_when_its_reader_leaves():
    begun, given_up = asyncio.Event(), []

    async def handler(request: httpx.Request) -> httpx.Response:
        begun.set()
        try:
            return await asyncio.Future()
        except asyncio.CancelledError:
            given_up.append(request.url.path)
            raise

    async def receive() -> dict[str, str]:
        await begun.wait()
        return {"type": "http.disconnect"}

    with pytest.raises(ReaderLeft):
        run_async(client_of(handler).asked_by(receive).prompt(PROMPT))
    assert given_up == ["/prompt"]


def test_a_reader_who_stays_gets_the_answer():
    async def receive() -> dict[str, object]:
        if waits:
            return waits.pop()
        return await asyncio.Future()

    waits: list[dict[str, object]] = [{"type": "http.request", "body": b""}]
    client = client_of(lambda _: httpx.Response(200, json=ANSWER))
    assert run_async(client.asked_by(receive).prompt(PROMPT)).tokens == ["x"]


def test_a_busy_worker_says_when_to_come_back():
    with pytest.raises(WorkerUnavailable) as caught:
        ask(
            lambda _: httpx.Response(503, headers={"retry-after": "7"}, json={"detail": "training"})
        )
    assert (caught.value.retry_after, caught.value.detail) == (7, "training")


def test_a_refusal_keeps_the_status_and_the_words_of_the_worker():
    with pytest.raises(WorkerRefused) as caught:
        ask(lambda _: httpx.Response(422, json={"detail": "too long"}))
    assert (caught.value.status, caught.value.detail) == (422, "too long")


def test_a_refusal_without_words_is_still_a_sentence():
    with pytest.raises(WorkerRefused) as caught:
        ask(lambda _: httpx.Response(404, text="<html>"))
    assert caught.value.detail.endswith(".")


def test_a_worker_that_fails_is_unavailable_and_shows_nothing_of_its_insides():
    with pytest.raises(WorkerUnavailable) as caught:
        ask(lambda _: httpx.Response(500, text="Traceback"))
    assert "Traceback" not in caught.value.detail


class Breaking(httpx.AsyncByteStream):
    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self):
        yield b"event: token\ndata: {}\n\n"
        raise httpx.ReadError("killed")

    async def aclose(self) -> None:
        self.closed = True


def test_a_stream_that_breaks_ends_with_an_error_event():
    stream = Breaking()

    async def read() -> bytes:
        steer = await client_of(lambda _: httpx.Response(200, stream=stream)).steer(STEER)
        chunks = [chunk async for chunk in steer]
        await steer.aclose()
        return b"".join(chunks)

    received = run_async(read())
    assert received.startswith(b"event: token")
    assert b"event: error" in received
    assert BROKEN.encode() in received
    assert stream.closed


@pytest.mark.parametrize(("status", "error"), [(422, WorkerRefused), (503, WorkerUnavailable)])
def test_a_stream_that_is_refused_raises_before_its_first_byte(status: int, error: type[Exception]):
    with pytest.raises(error):
        run_async(client_of(lambda _: httpx.Response(status, json={"detail": "no"})).steer(STEER))


def test_health_is_false_while_nobody_answers():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("gone")

    assert run_async(client_of(handler).is_healthy()) is False
