"""The device thread: many streams in one batch, none mixed up; who leaves is gone at once."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models.generate import GenerationBatch, generate
from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae
from server.protocol import Edit, SteerEnd, SteerQueued, SteerRequest, SteerToken, WorkerError
from server.worker.device import Busy, Device
from server.worker.library import DEMO_MODEL, DEMO_SAES
from server.worker.shelf import Shelf
from server.worker.steering import SteerJob
from server.worker.stream import Stream
from tests.run_async import run_async


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """The demo model and its AbsTopK SAE, without a database."""
    lm = LanguageModel.load(str(DEMO_MODEL), name="demo")
    sae = load_sae(DEMO_SAES / "abstopk")
    record = SimpleNamespace(id=1, model_id=1, model="demo", layer=4, name="demo-sae")
    return cast(Shelf, SimpleNamespace(sae=lambda _key: (record, sae), model=lambda _key: lm))


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts go on slowly enough that something can happen meanwhile."""
    step = GenerationBatch.step

    def slow(batch: GenerationBatch) -> Any:
        time.sleep(0.02)
        return step(batch)

    monkeypatch.setattr(GenerationBatch, "step", slow)


@pytest.fixture
def device(shelf: Shelf) -> Iterator[Device]:
    device = Device(shelf, rows=12, waiting=24)
    yield device
    device.close()


def request(number: int = 0, **changes: Any) -> SteerRequest:
    prompts = ("Once upon a time", "The dog ran", "Lily was sad because her toy", "Tom")
    values: dict[str, Any] = {
        "model": 1,
        "prompt": prompts[number % 4],
        "edits": [Edit(sae=1, feature=number % 50)] if number % 3 else [],
        "strengths": [-30.0, 0.0, 30.0] if number % 3 == 2 else None,
        "max_new_tokens": 8 + number % 9,
        "seed": number,
        "temperature": (0.0, 0.8)[number % 2],
        **changes,
    }
    return SteerRequest(**values)


async def read(stream: Stream) -> list[Any]:
    found = []
    while (event := await stream.next()) is not None:
        found.append(event)
    return found


def texts(events: list[Any]) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for event in events:
        if isinstance(event, SteerToken):
            assert event.index == len(rows.setdefault(event.row, []))
            rows[event.row].append(event.token_id)
    return rows


def test_twenty_streams_at_once_are_each_what_they_are_alone(shelf: Shelf, device: Device) -> None:
    async def together() -> list[list[Any]]:
        streams = [await device.open(request(number), f"user {number % 4}") for number in range(20)]
        return await asyncio.gather(*map(read, streams))

    for number, events in enumerate(run_async(together())):
        job = SteerJob(shelf, request(number))
        list(generate(job.lm, job.rows))
        assert texts(events) == {place: row.written for place, row in enumerate(job.rows)}
        assert sum(isinstance(event, SteerEnd) for event in events) == len(job.rows)


@pytest.mark.usefixtures("slowly")
def test_a_cancelled_stream_is_gone_before_the_next_token(device: Device) -> None:
    async def leave() -> tuple[int, int]:
        """Tokens written after the reader has left, and those of another reader."""
        stream = await device.open(request(1, max_new_tokens=200, edits=[]), "a")
        other = await device.open(request(4, max_new_tokens=40, edits=[]), "b")
        seen = 0
        while seen < 5:
            seen += isinstance(await stream.next(), SteerToken)
        (row,) = device._line.running[0].job[1].rows
        stream.cancel()
        written = len(row.written)
        await read(stream)
        tokens = [event for event in await read(other) if isinstance(event, SteerToken)]
        return len(row.written) - written, len(tokens)

    more, others = run_async(leave())
    assert more <= 1, "only the token that was being written may follow"
    assert others > 0
    assert (device.streams, device.rows) == (0, 0)


def test_who_waits_is_told_the_position_and_is_written_when_it_comes(device: Device) -> None:
    async def wait() -> list[Any]:
        nine = {"edits": [Edit(sae=1, feature=1)], "strengths": [0.0] * 9, "max_new_tokens": 12}
        first = await device.open(request(0, **nine), "a")
        second = await device.open(request(0, **nine), "b")
        events, _ = await asyncio.gather(read(second), read(first))
        return events

    events = run_async(wait())
    assert isinstance(events[0], SteerQueued)
    assert len(texts(events)) == 9


@pytest.mark.usefixtures("slowly")
def test_a_full_line_says_so_and_takes_again_later(shelf: Shelf) -> None:
    device = Device(shelf, rows=1, waiting=1)

    async def crowd() -> int:
        running = await device.open(request(0, max_new_tokens=100, temperature=1.5), "a")
        while not isinstance(await running.next(), SteerToken):
            pass
        waiting = await device.open(request(0, max_new_tokens=2), "b")
        with pytest.raises(Busy, match="wait already"):
            await device.open(request(0), "c")
        running.cancel()
        await read(running)
        return len(texts(await read(waiting))[0])

    assert run_async(crowd()) >= 1
    device.close()


@pytest.mark.usefixtures("slowly")
def test_calls_are_answered_while_a_text_is_written(device: Device) -> None:
    async def ask() -> int:
        stream = await device.open(request(1, max_new_tokens=200, edits=[], temperature=1.5), "a")
        while not isinstance(await stream.next(), SteerToken):
            pass
        answer = await device.call(lambda: device.rows)
        stream.cancel()
        await read(stream)
        return answer

    assert run_async(ask()) == 1


def test_a_row_that_breaks_ends_in_a_sentence_and_the_device_goes_on(
    shelf: Shelf, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(number: int) -> list[Any]:
        return await read(await device.open(request(number), "a"))

    with monkeypatch.context() as patch:
        patch.setattr("models.generate.batch.hooks_of", lambda *_a, **_k: 1 / 0)
        broken = run_async(run(1))
    assert isinstance(broken[-1], WorkerError)
    assert isinstance(run_async(run(1))[-1], SteerEnd)


@pytest.mark.usefixtures("slowly")
def test_closing_ends_what_is_written_with_a_sentence(shelf: Shelf) -> None:
    device = Device(shelf)

    async def close() -> list[Any]:
        stream = await device.open(request(1, max_new_tokens=250, temperature=1.5), "a")
        await asyncio.to_thread(device.close)
        return await read(stream)

    assert isinstance(run_async(close())[-1], WorkerError)
