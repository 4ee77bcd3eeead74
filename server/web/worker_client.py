"""What web asks the worker: signed activations of a text, and a stream of steered tokens.

Knows the messages of `server.protocol` and HTTP; nothing of models. A worker that is away is
`WorkerUnavailable`; one that says no is `WorkerRefused` with the worker's own sentence.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

import httpx

from server.leaving import Receive, unless_left
from server.protocol import (
    CompareRequest,
    CompareResponse,
    ContrastRequest,
    ContrastResponse,
    Message,
    PromptRequest,
    PromptResponse,
    SteerRequest,
    WorkerError,
)
from server.settings import Settings

AWAY = "The worker that holds the models is not answering; it is probably starting. Try again in a few seconds."
BROKEN = (
    "The worker stopped in the middle of this stream. It is restarting; try again in a few seconds."
)
BUSY = "The worker is busy with other requests. Try again in a few seconds."
SLOW = "The worker has not answered for {minutes:.0f} minutes: it is busy, or the question is too large. Try again later, or ask for less."
RETRY_SECONDS = 3
Answer = TypeVar("Answer", bound=Message)
READ_SECONDS = 330.0
"""Seconds of silence. Who waits in line hears nothing, and a worker ends what takes over 300 s itself."""
TIMEOUT = httpx.Timeout(READ_SECONDS, connect=2.0)


class WorkerUnavailable(Exception):
    """No worker (503), or no room in its line (429): say when to come back."""

    def __init__(
        self, detail: str = AWAY, retry_after: int = RETRY_SECONDS, status: int = 503
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after
        self.status = status


class WorkerRefused(Exception):
    """The worker understood and said no."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class SteerStream(Protocol):
    """Server-sent events as bytes; closing it ends the work behind it."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    async def aclose(self) -> None: ...


class WorkerClient(Protocol):
    """What the routes ask of a worker; tests put their own in its place."""

    def asked_by(self, receive: Receive) -> "WorkerClient": ...
    async def prompt(self, request: PromptRequest) -> PromptResponse: ...
    async def contrast(self, request: ContrastRequest) -> ContrastResponse: ...
    async def compare(self, request: CompareRequest) -> CompareResponse: ...
    async def ask(self, path: str, request: Message, answer: type[Answer]) -> Answer: ...
    async def steer(self, request: SteerRequest, user: str = "") -> SteerStream: ...
    async def fetch(self, path: str, request: Message) -> bytes: ...
    async def is_healthy(self) -> bool: ...
    async def aclose(self) -> None: ...


class HttpWorkerClient:
    """A worker over HTTP, on its unix socket or at its URL."""

    def __init__(self, http: httpx.AsyncClient, receive: Receive | None = None) -> None:
        self._http = http
        self._receive = receive

    def asked_by(self, receive: Receive) -> "HttpWorkerClient":
        """The same for one reader: what it asks is given up (ReaderLeft) when they leave."""
        return HttpWorkerClient(self._http, receive)

    async def prompt(self, request: PromptRequest) -> PromptResponse:
        """Signed activations; raises WorkerUnavailable or WorkerRefused."""
        return await self.ask("/prompt", request, PromptResponse)

    async def contrast(self, request: ContrastRequest) -> ContrastResponse:
        """Two texts against each other; raises as `prompt`."""
        return await self.ask("/contrast", request, ContrastResponse)

    async def compare(self, request: CompareRequest) -> CompareResponse:
        """Two SAEs against each other; raises as `prompt`."""
        return await self.ask("/compare", request, CompareResponse)

    async def ask(self, path: str, request: Message, answer: type[Answer]) -> Answer:
        """Any question that has one answer; raises as `prompt`."""
        response = await self._open(path, request.model_dump(mode="json"), False)
        return answer.model_validate_json(response.content)

    async def fetch(self, path: str, request: Message) -> bytes:
        """Any question that a file answers; raises as `prompt`."""
        return (await self._open(path, request.model_dump(mode="json"), False)).content

    async def steer(self, request: SteerRequest, user: str = "") -> "HttpSteerStream":
        """An open stream, its status already checked; raises as `prompt`.

        `user` tells one reader from another, so that the worker can be fair.
        """
        headers = {"x-dipole-user": user}
        response = await self._open("/steer", request.model_dump(mode="json"), True, headers)
        return HttpSteerStream(response)

    async def is_healthy(self) -> bool:
        """Whether a worker answers."""
        try:
            return (await self._http.get("/healthz", timeout=2.0)).is_success
        except httpx.TransportError:
            return False

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _open(
        self, path: str, body: dict[str, Any], stream: bool, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        try:
            request = self._http.build_request("POST", path, json=body, headers=headers)
            sending = self._http.send(request, stream=stream)
            response = await (
                sending if self._receive is None else unless_left(self._receive, sending)
            )
            if response.is_success:
                return response
            await response.aread()
        except httpx.ReadTimeout:
            raise WorkerUnavailable(SLOW.format(minutes=READ_SECONDS / 60), status=504) from None
        except httpx.TransportError:
            # Not ConnectError alone: a pooled connection to a killed worker raises ReadError.
            raise WorkerUnavailable from None
        await response.aclose()
        raise _refusal(response)


class HttpSteerStream:
    """The worker's events passed on byte for byte; a break becomes an `error` event."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield chunks as they come."""
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx.TransportError:
            yield error_event(BROKEN)

    async def aclose(self) -> None:
        """Close the connection, which tells the worker to stop."""
        await self._response.aclose()


def open_worker(settings: Settings) -> HttpWorkerClient:
    """A client of the worker these settings name; connects when first asked."""
    if settings.worker_url is not None:
        headers = {"authorization": f"Bearer {settings.token}"} if settings.token else {}
        return HttpWorkerClient(
            httpx.AsyncClient(base_url=settings.worker_url, timeout=TIMEOUT, headers=headers)
        )
    # Nothing is encrypted on a socket of one's own, and the list of authorities takes 3 MB.
    transport = httpx.AsyncHTTPTransport(uds=str(settings.worker_socket), verify=False)
    http = httpx.AsyncClient(base_url="http://worker", transport=transport, timeout=TIMEOUT)
    return HttpWorkerClient(http)


def error_event(detail: str) -> bytes:
    """A server-sent event `error`, in the worker's own shape."""
    body = json.dumps(WorkerError(detail=detail).model_dump())
    return f"event: error\ndata: {body}\n\n".encode()


def _refusal(response: httpx.Response) -> WorkerUnavailable | WorkerRefused:
    try:
        detail = response.json().get("detail")
    except (ValueError, AttributeError):
        detail = None
    if response.status_code in (429, 503):
        after = response.headers.get("retry-after", "")
        seconds = int(after) if after.isdecimal() else RETRY_SECONDS
        sentence = detail if isinstance(detail, str) else BUSY
        return WorkerUnavailable(sentence, seconds, response.status_code)
    if response.status_code >= 500:
        return WorkerUnavailable("The worker failed at this request; its log says why.")
    sentence = detail if isinstance(detail, str) else "The worker refused this request."
    return WorkerRefused(response.status_code, sentence)
