"""A worker without models: answers the protocol from arithmetic, and remembers what it was asked.

Knows the messages; loads nothing. `activation` is a plain function of feature and token, so that a
test can say what it expects.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from server.protocol import (
    CompareRequest,
    CompareResponse,
    ContrastFeature,
    ContrastRequest,
    ContrastResponse,
    Fragment,
    MatchedPair,
    Message,
    PromptFeature,
    PromptRequest,
    PromptResponse,
    SteerRequest,
)
from server.web.worker_client import Answer, WorkerRefused
from tests.server.web.fake_effects import ANSWERS

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
        strengths = [(row[0] if row else None) or 0.0 for row in self.request.table]
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
        self.contrasts: list[ContrastRequest] = []
        self.steers: list[SteerRequest] = []
        self.questions: list[tuple[str, Message]] = []
        self.answers: dict[str, Message] = {}
        self.streams: list[FakeStream] = []
        self.error: Exception | None = None
        self.gate: asyncio.Semaphore | None = None

    def asked_by(self, receive: object) -> "FakeWorker":
        return self

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

    async def contrast(self, request: ContrastRequest) -> ContrastResponse:
        """Feature 0 is + on the side whose first text sorts first; feature 1 is always +."""
        self.contrasts.append(request)
        if self.error is not None:
            raise self.error
        a, b = request.a[0], request.b[0]
        sign = (a < b) - (a > b)
        tokens = [["<|endoftext|>", *split(text)] for text in (a, b)]

        def entry(feature: int, mean_a: float, mean_b: float, score: float) -> ContrastFeature:
            return ContrastFeature(
                feature=feature,
                mean_a=mean_a,
                mean_b=mean_b,
                score=score,
                activations_a=[0.0] + [mean_a] * (len(tokens[0]) - 1),
                activations_b=[0.0] + [mean_b] * (len(tokens[1]) - 1),
            )

        return ContrastResponse(
            sae=int(request.sae),
            tokens_a=tokens[0],
            tokens_b=tokens[1],
            first_difference=1,
            flipped=[entry(0, sign * 2.0, sign * -1.5, sign * 1.5)] if sign else [],
            changed=[entry(1, 1.0, 3.0, 0.0)] if sign else [],
        )

    async def compare(self, request: CompareRequest) -> CompareResponse:
        """Feature 2 of A is feature 3 of B the other way round, and features 4 and 5 of B in one."""
        if self.error is not None:
            raise self.error
        if 3 in (int(request.a), int(request.b)):
            raise WorkerRefused(422, "compare SAEs of one layer and model")
        return CompareResponse(
            a=int(request.a),
            b=int(request.b),
            live_a=6,
            live_b=7,
            is_assignment=True,
            mean_cosine=0.5,
            opposed_a=0,
            opposed_b=3,
            matched=[MatchedPair(a=2, b=3, cosine=-0.9)],
            fragments=[
                Fragment(feature=2, plus=4, plus_cosine=0.95, minus=5, minus_cosine=0.8, score=0.8)
            ],
            fragments_found=1,
        )

    async def steer(self, request: SteerRequest, user: str = "") -> FakeStream:
        self.steers.append(request)
        if self.error is not None:
            raise self.error
        self.streams.append(FakeStream(request, self.gate))
        return self.streams[-1]

    async def ask(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        """What a test has laid ready for this path, else arithmetic; KeyError where there is neither."""
        self.questions.append((path, request))
        if self.error is not None:
            raise self.error
        found = self.answers[path] if path in self.answers else ANSWERS[path](request)
        return answer.model_validate(found.model_dump())

    async def fetch(self, path: str, request: Message) -> bytes:
        self.questions.append((path, request))
        if self.error is not None:
            raise self.error
        return b"bytes"

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
