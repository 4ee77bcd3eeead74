"""The one thread that owns the device: it answers calls and writes the running batch, in turn.

Requests wait in a bounded line; a cancelled one is out before the next token. Knows nothing of
HTTP: what happens to a request is put on its queue as events.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from models.generate import GenerationBatch, NewToken
from models.language_model import LanguageModel
from server.protocol import SteerQueued, SteerRequest, WorkerError
from server.worker.line import Line, Place
from server.worker.shelf import Shelf
from server.worker.steering import SteerJob
from server.worker.stream import Stream

MOST_ROWS = 32
MOST_WAITING = 32
MOST_CALLS = 64
"""Questions that wait for the device, long ones included."""
MOST_SECONDS = 300.0
"""How long a text may be written; the wait for a place in the batch is not counted."""
CLOSE_SECONDS = 10.0
"""How long the thread may take to finish the step it is at."""
POISONED = 70  # the exit status after a device error: a supervisor starts a clean process

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class Busy(Exception):
    """The line is full: come back later."""


class Device:
    """Calls and the running batch on one thread."""

    def __init__(self, shelf: Shelf, rows: int = MOST_ROWS, waiting: int = MOST_WAITING) -> None:
        self.shelf = shelf
        self._line: Line[tuple[Stream, SteerJob]] = Line(rows, waiting)
        self._batches: dict[int, tuple[LanguageModel, GenerationBatch]] = {}
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._slow: deque[tuple[Future[Any], Generator[None, None, Any]]] = deque()
        self._wake = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._thread.start()

    @property
    def streams(self) -> int:
        """How many requests hold or wait for a place."""
        return len(self._line.running) + len(self._line.waiting)

    @property
    def rows(self) -> int:
        """How many rows are being written."""
        return self._line.rows

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run on the device thread, between two tokens of the batch. Raises Busy when many wait.

        Cancelled before its turn, it is never run.
        """
        future: Future[Any] = Future()
        if len(self._calls) + len(self._slow) >= MOST_CALLS:
            raise Busy(f"{MOST_CALLS} questions wait already: try again shortly")
        self._post(future, lambda: function(*arguments))
        return await asyncio.wrap_future(future)

    async def work(self, steps: Generator[None, None, Answer]) -> Answer:
        """Run something long on the device thread, a step of it between two tokens of the batch."""
        future: Future[Answer] = Future()
        try:
            await self.call(self._slow.append, (future, steps))
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            future.cancel()
            raise

    async def open(self, request: SteerRequest, user: str) -> Stream:
        """Take a steering request into the line. Raises ValueError on bad input, Busy when full."""
        stream = Stream(asyncio.get_running_loop())
        try:
            await self.call(self._join, stream, request, user)
        except asyncio.CancelledError:
            stream.cancel()  # it may be in the line already
            raise
        return stream

    def close(self) -> None:
        """Take nothing new, end what is being written."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join(timeout=CLOSE_SECONDS)

    def _post(self, future: Future[Any], function: Callable[[], Any]) -> None:
        with self._wake:
            if self._is_closed:
                raise Busy("the worker is stopping: try again shortly")
            self._calls.append((future, function))
            self._wake.notify()

    def _join(self, stream: Stream, request: SteerRequest, user: str) -> None:
        if self._line.is_full:
            raise Busy(f"{len(self._line.waiting)} requests wait already: try again shortly")
        job = SteerJob(self.shelf, request)
        self._line.join((stream, job), user, len(job.rows))
        self._tell_positions()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._is_closed or self._has_work()):
                    self._wake.wait()
                if self._is_closed:
                    break
                waiting = len(self._calls)
            for _ in range(waiting):  # one by one: those behind still count as waiting
                _answer(*self._calls.popleft())
            try:
                self._drop_cancelled()
                self._admit()
                self._step()
                self._advance()
            except Exception as error:  # the thread must outlive any request
                _exit_if_poisoned(error)
                logger.exception("the device thread failed between two tokens")
                self._batches.clear()
                self._end_places(_sentence(error))
        self._end_all("the worker is stopping: try again shortly")

    def _has_work(self) -> bool:
        return bool(self._calls or self._slow or self._line.running or self._line.waiting)

    def _advance(self) -> None:
        """One step of the long work that has waited longest."""
        if not self._slow:
            return
        future, steps = self._slow.popleft()
        if future.cancelled():
            return
        try:
            next(steps)
        except StopIteration as end:
            if future.set_running_or_notify_cancel():
                future.set_result(end.value)
        except Exception as error:
            _exit_if_poisoned(error)
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
        else:
            self._slow.append((future, steps))

    def _admit(self) -> None:
        moved = False
        while (place := self._line.next()) is not None:
            moved = True
            stream, job = place.job
            stream.admitted = time.monotonic()
            self._send(self._guarded(place, lambda job=job: self._batch_of(job.lm).admit(job.rows)))
        if moved:
            self._tell_positions()

    def _step(self) -> None:
        for key, (_, batch) in list(self._batches.items()):
            if not batch.rows:
                del self._batches[key]
                continue
            try:
                self._send(batch.step())
            except Exception as error:
                _exit_if_poisoned(error)
                logger.exception("the batch broke")
                lost = {id(row) for row in batch.rows}
                del self._batches[key]
                for place in list(self._line.running):
                    if any(id(row) in lost for row in place.job[1].rows):
                        self._end(place, WorkerError(detail=_sentence(error)))

    def _guarded(self, place: Place[tuple[Stream, SteerJob]], work: Callable[[], list[NewToken]]):
        try:
            return work()
        except Exception as error:
            _exit_if_poisoned(error)
            if not isinstance(error, ValueError):
                logger.exception("a request could not be taken")
            self._end(place, WorkerError(detail=_sentence(error)))
            return []

    def _send(self, tokens: list[NewToken]) -> None:
        for token in tokens:
            place = next(place for place in self._line.running if place.job[1].owns(token))
            stream, job = place.job
            for event in job.events(token):
                stream.put(event)
        for place in list(self._line.running):
            if all(row.is_done for row in place.job[1].rows):
                self._end(place)

    def _drop_cancelled(self) -> None:
        for place in [*self._line.running, *self._line.waiting]:
            stream, _ = place.job
            if stream.is_cancelled:
                self._end(place)
            elif stream.admitted and time.monotonic() - stream.admitted > MOST_SECONDS:
                detail = f"stopped after {MOST_SECONDS:.0f} seconds: ask for fewer tokens"
                self._end(place, WorkerError(detail=detail))

    def _end(self, place: Place[tuple[Stream, SteerJob]], error: WorkerError | None = None) -> None:
        stream, job = place.job
        self._line.leave(place)
        if id(job.lm) in self._batches:
            self._batches[id(job.lm)][1].remove(job.rows)
        if error is not None:
            stream.put(error)
        stream.put(None)
        self._tell_positions()

    def _end_all(self, detail: str) -> None:
        self._end_places(detail)
        for future, _ in [*self._calls, *self._slow]:
            if not future.done():
                future.set_exception(Busy(detail))

    def _end_places(self, detail: str) -> None:
        for place in [*self._line.running, *self._line.waiting]:
            self._end(place, WorkerError(detail=detail))

    def _tell_positions(self) -> None:
        for place, position in self._line.positions():
            place.job[0].put(SteerQueued(position=position))

    def _batch_of(self, lm: LanguageModel) -> GenerationBatch:
        # The model is kept beside its batch: its id must not be another's meanwhile.
        return self._batches.setdefault(id(lm), (lm, GenerationBatch(lm)))[1]


def _answer(future: "Future[Any]", function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except Exception as error:
        _exit_if_poisoned(error)
        future.set_exception(error)


def _sentence(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "the device is out of memory: try again shortly, or ask for fewer rows"
    return "the worker failed while it wrote: its log says why"


def _exit_if_poisoned(error: Exception) -> None:
    """After an error of the device itself nothing on it can be trusted: exit, never limp."""
    is_memory = isinstance(error, torch.cuda.OutOfMemoryError)
    if isinstance(error, torch.AcceleratorError) and not is_memory:
        logger.critical("the device failed; this worker exits", exc_info=error)
        os._exit(POISONED)
