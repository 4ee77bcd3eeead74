"""A worker without models: answers the protocol from arithmetic, and remembers what it was asked.

Knows the messages; loads nothing. `activation` is a plain function of feature and token, so that a
test can say what it expects.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from server.protocol import PromptFeature, PromptRequest, PromptResponse, SteerRequest
from server.web.worker_client import WorkerRefused

WORDS = (" a", " little", " dog", " ran", " home", ".", "\n", " She", " was", " <b>happy</b>")
FEATURES = 8


def activation(feature: int, place: int) -> float:
    """Signed: even features lean to +, odd ones to −; zero on the first token and many others."""
    if place == 0 or (feature + place) % 3:
        return 0.0
    return (1 if feature % 2 == 0 else -1) * (feature + place) / 4


class FakeStream:
    """The events of one request, one token of each row at a time."""

    def __init__(self, request: SteerRequest, gate: asyncio.Semaphore | None) -> None:
        self.request = request
        self.closed = False
        self.sent = 0
        self._gate = gate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        strengths = self.request.strengths or [0.0]
        for index in range(self.request.max_new_tokens):
            if self._gate is not None:
                await self._gate.acquire()
            for row, strength in enumerate(strengths):
                step = 0 if strength == 0 or index < 2 else (1 if strength > 0 else 2)
                place = (index + step + self.request.seed) % len(WORDS)
                token = {"row": row, "strength": strength, "index": index, "token_id": place}
                yield event("token", {**token, "text": WORDS[place]})
            self.sent += 1
            await asyncio.sleep(0)
        for row, strength in enumerate(strengths):
            yield event("end", {"row": row, "strength": strength, "reason": "length", "text": ""})

    async def aclose(self) -> None:
        self.closed = True


class FakeWorker:
    """In the place of `HttpWorkerClient`; set `error` to make it fail, `gate` to pace streams."""

    def __init__(self) -> None:
        self.prompts: list[PromptRequest] = []
        self.steers: list[SteerRequest] = []
        self.streams: list[FakeStream] = []
        self.error: Exception | None = None
        self.gate: asyncio.Semaphore | None = None

    async def prompt(self, request: PromptRequest) -> PromptResponse:
        self.prompts.append(request)
        if self.error is not None:
            raise self.error
        if request.text == "too long":
            raise WorkerRefused(422, "the text has 2,000 tokens, the model reads 1,024: shorten it")
        tokens = ["<|endoftext|>", *split(request.text)]
        features = [feature_of(number, len(tokens)) for number in range(FEATURES)]
        keys = {
            "abs": lambda entry: -max(entry.max, -entry.min),
            "+": lambda entry: -entry.max,
            "-": lambda entry: entry.min,
            "sum_abs": lambda entry: -entry.sum_abs,
        }
        ranked = sorted(features, key=keys[request.rank])[: request.limit]
        shown = {entry.feature for entry in ranked}
        ranked += [feature_of(n, len(tokens)) for n in request.features if n not in shown]
        return PromptResponse(
            sae=int(request.sae),
            tokens=tokens,
            token_ids=list(range(len(tokens))),
            special=[place == 0 for place in range(len(tokens))],
            features=ranked,
        )

    async def steer(self, request: SteerRequest) -> FakeStream:
        self.steers.append(request)
        if self.error is not None:
            raise self.error
        self.streams.append(FakeStream(request, self.gate))
        return self.streams[-1]

    async def is_healthy(self) -> bool:
        return self.error is None

    async def aclose(self) -> None:
        return None


def split(text: str) -> list[str]:
    """Words with the space before them, newlines on their own."""
    words: list[str] = []
    for line in text.split("\n"):
        if words:
            words.append("\n")
        first, *rest = line.split(" ")
        words += [first, *(f" {word}" for word in rest)]
    return [word for word in words if word]


def feature_of(feature: int, length: int) -> PromptFeature:
    """One feature on a text of so many tokens."""
    values = [activation(feature, place) for place in range(length)]
    return PromptFeature(
        feature=feature,
        activations=values,
        max=max(0.0, *values),
        min=min(0.0, *values),
        sum_abs=sum(map(abs, values)),
    )


def event(name: str, data: dict[str, object]) -> bytes:
    """One server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
