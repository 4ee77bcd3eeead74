"""Answers that took long, kept: in memory, and as one file each, so that a restart keeps them too.

Whoever asks what is being worked on helps it along, and what the last reader left is gone on with when it
is asked again. Knows a question by its mark only, and nothing of concepts.
"""

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from models.artifact import write_atomically
from server.protocol.base import Message

Answer = TypeVar("Answer", bound=Message)
Steps = Generator[None, None, Answer]
MOST_IN_MEMORY = 16
MOST_BEGUN = 2
"""Unfinished questions that are remembered: each holds its model and what it has read."""
MOST_FILES = 200

logger = logging.getLogger(__name__)


class AskedBefore(Generic[Answer]):
    """What was answered, and what is being worked on. Not thread-safe: the device's thread owns it.

    Without a folder nothing outlives the process.
    """

    def __init__(self, kind: type[Answer], folder: Path | None = None) -> None:
        self._kind = kind
        self._folder = folder
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._begun: OrderedDict[str, _Shared[Answer]] = OrderedDict()

    def steps(self, marks: Sequence[object], begin: Callable[[], Steps[Answer]]) -> Steps[Answer]:
        """What was answered to these marks, or else what the steps of `begin` return.

        `marks`: all that must be the same for the answer to be, as JSON can say it.
        """
        name = hashlib.sha256(json.dumps(list(marks)).encode()).hexdigest()[:32]
        known = self._answers.get(name) or self._read(name)
        if known is None:
            if name not in self._begun:
                self._begun[name] = _Shared(begin())
                _drop_oldest(self._begun, MOST_BEGUN)
            shared = self._begun[name]
            try:
                known = yield from shared.follow()
            finally:
                if shared.is_done and self._begun.get(name) is shared:
                    del self._begun[name]
            self._write(name, known)
        self._answers[name] = known
        self._answers.move_to_end(name)
        _drop_oldest(self._answers, MOST_IN_MEMORY)
        return known

    def _read(self, name: str) -> Answer | None:
        if self._folder is None:
            return None
        try:
            return self._kind.model_validate_json((self._folder / f"{name}.json").read_bytes())
        except (OSError, ValidationError):  # not there, or of another version: it is asked anew
            return None

    def _write(self, name: str, answer: Answer) -> None:
        if self._folder is None or name in self._answers:
            return
        text = answer.model_dump_json()
        try:
            write_atomically(self._folder / f"{name}.json", lambda path: _fill(path, text))
            files = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in files[:-MOST_FILES]:
                path.unlink(missing_ok=True)
        except OSError as error:  # the answer is there all the same
            logger.warning("an answer could not be kept in %s: %s", self._folder, error)


class _Shared(Generic[Answer]):
    """Steps with several followers: each of them takes the work further, all get what it returns."""

    def __init__(self, steps: Steps[Answer]) -> None:
        self._steps = steps
        self._answer: Future[Answer] = Future()

    @property
    def is_done(self) -> bool:
        return self._answer.done()

    def follow(self) -> Steps[Answer]:
        """The answer; raises what the steps raise, to every follower."""
        while True:
            if not self.is_done:
                self._advance()
            if self.is_done:
                return self._answer.result()
            yield

    def _advance(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            self._answer.set_result(end.value)
        except Exception as error:
            self._answer.set_exception(error)


def _drop_oldest(held: OrderedDict[str, Any], most: int) -> None:
    while len(held) > most:
        held.popitem(last=False)


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
