"""What waits for the device: bounded, given up by those who leave, and timed only once it is at work."""

import asyncio
import threading
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from server.protocol import SteerQueued, SteerToken, WorkerError
from server.worker import device as device_module
from server.worker import routes
from server.worker.device import MOST_CALLS, MOST_SECONDS, Busy, Device
from server.worker.routes import read_stream
from server.worker.stream import MOST_EVENTS, Stream
from tests.run_async import run_async
from tests.server.worker.steer_shelf import demo_shelf
from tests.server.worker.test_device import read, request, slowly  # noqa: F401 (a fixture)


@pytest.fixture
def device() -> Iterator[Device]:
    """A device with nothing on its shelf."""
    device = Device(SimpleNamespace())  # type: ignore[arg-type]
    yield device
    device.close()


def test_a_reader_who_lagged_too_far_behind_is_told_that_the_stream_is_over():
    async def lag() -> int:
        stream = Stream(asyncio.get_running_loop())
        for _ in range(MOST_EVENTS + 1):
            stream.put(SteerQueued(position=0))
        await asyncio.sleep(0)
        stream.put(SteerQueued(position=0))
        assert stream.is_cancelled
        stream.put(None)
        return len(await asyncio.wait_for(read(stream), timeout=120))

    assert run_async(lag()) == MOST_EVENTS + 1


def test_a_question_whose_reader_left_is_never_answered(device: Device):
    gate, ran = threading.Event(), []

    def long() -> Generator[None, None, None]:
        ran.append("long")
        yield

    async def leave() -> None:
        first = asyncio.create_task(device.call(gate.wait))
        others = [
            asyncio.create_task(device.call(ran.append, "call")),
            asyncio.create_task(device.work(long())),
        ]
        await asyncio.sleep(0)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        gate.set()
        await first
        await device.call(int)

    run_async(leave())
    assert ran == []


def test_only_so_many_questions_may_wait(device: Device):
    gate, begun = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        gate.wait()

    async def crowd() -> None:
        held = asyncio.create_task(device.call(hold))
        await asyncio.to_thread(begun.wait)
        waiting = [asyncio.create_task(device.call(int)) for _ in range(MOST_CALLS)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Busy, match="wait already"):
                await device.call(int)
        finally:
            gate.set()
        await asyncio.gather(held, *waiting)
        assert await device.call(int) == 0

    run_async(crowd())


@pytest.mark.usefixtures("slowly")
def test_the_wait_for_a_place_does_not_count_as_writing(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(device_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    device = Device(demo_shelf(), rows=1, waiting=1)

    async def wait() -> list[Any]:
        first = await device.open(request(0, max_new_tokens=200, temperature=1.5), "a")
        while not isinstance(await first.next(), SteerToken):
            pass
        second = await device.open(request(0, max_new_tokens=30, temperature=1.5), "b")
        clock[0] = MOST_SECONDS - 1
        first.cancel()
        while not isinstance(await second.next(), SteerToken):
            pass
        clock[0] = MOST_SECONDS + 1
        return await read(second)

    events = run_async(wait())
    device.close()
    assert not [event for event in events if isinstance(event, WorkerError)]


def test_a_silent_stream_says_that_it_is_still_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "ALIVE_SECONDS", 0.01)

    async def listen() -> list[str]:
        stream = Stream(asyncio.get_running_loop())
        heard = []
        async for chunk in read_stream(stream):
            heard.append(chunk)
            stream.put(None if len(heard) > 1 else SteerQueued(position=1))
        return heard

    heard = run_async(listen())
    assert heard[0] == ": still here\n\n"
    assert "event: queued" in heard[1]
