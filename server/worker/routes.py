"""The worker's HTTP face: what can be asked of the models, and the stream of a steered text.

Turns requests into calls of the device thread and its events into server-sent ones; a closed
connection frees its rows at once. Knows nothing of how a model answers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from server.leaving import unless_left
from server.protocol import (
    CompareRequest,
    CompareResponse,
    ContrastRequest,
    ContrastResponse,
    PromptRequest,
    PromptResponse,
    SteerEnd,
    SteerQueued,
    SteerRequest,
    SteerToken,
    WorkerError,
)
from server.protocol.concepts import ConceptRequest, ConceptResponse
from server.protocol.effects import (
    BandRequest,
    BandResponse,
    ContributionsRequest,
    ContributionsResponse,
    RereadRequest,
    RereadResponse,
    ShiftRequest,
    ShiftResponse,
    SizesRequest,
    SizesResponse,
    WeightsRequest,
)
from server.worker.compare import compare
from server.worker.concepts import Concepts
from server.worker.contrast import contrast
from server.worker.device import Device
from server.worker.effects import band, contribute, reread, shift, sizes
from server.worker.handlers import read_prompt
from server.worker.stream import Stream
from server.worker.weights import weights

router = APIRouter()
ALIVE_SECONDS = 15.0
"""A silent stream says so often that it is still there: those who read it give up after a while."""
ALIVE = ": still here\n\n"
EVENTS = {SteerQueued: "queued", SteerToken: "token", SteerEnd: "end", WorkerError: "error"}


@router.post("/prompt")
async def prompt(body: PromptRequest, request: Request) -> PromptResponse:
    """The strongest features on a text."""
    return await _call(request, read_prompt, body)


@router.post("/contrast")
async def contrast_route(body: ContrastRequest, request: Request) -> ContrastResponse:
    """Two texts, or lists of texts, against each other."""
    return await _call(request, contrast, body)


@router.post("/compare")
async def compare_route(body: CompareRequest, request: Request) -> CompareResponse:
    """Two SAEs against each other."""
    return await _call(request, compare, body)


@router.post("/shift")
async def shift_route(body: ShiftRequest, request: Request) -> ShiftResponse:
    """The next token at each strength."""
    return await _call(request, shift, body)


@router.post("/band")
async def band_route(body: BandRequest, request: Request) -> BandResponse:
    """Where each side of the slider stops being safe."""
    device: Device = request.app.state.device
    return await _heard(request, device.work(band(device.shelf, body)))


@router.post("/reread")
async def reread_route(body: RereadRequest, request: Request) -> RereadResponse:
    """A steered text read again."""
    return await _call(request, reread, body)


@router.post("/sizes")
async def sizes_route(body: SizesRequest, request: Request) -> SizesResponse:
    """What strength 1 of each edit is beside the residual stream."""
    return await _call(request, sizes, body)


@router.post("/weights")
async def weights_route(body: WeightsRequest, request: Request) -> Response:
    """The tensors of some edits as a safetensors file."""
    content = await _call(request, weights, body)
    return Response(content, media_type="application/octet-stream")


@router.post("/contributions")
async def contributions_route(
    body: ContributionsRequest, request: Request
) -> ContributionsResponse:
    """± contributions of features to one token over another."""
    return await _call(request, contribute, body)


@router.post("/concept")
async def concept_route(body: ConceptRequest, request: Request) -> ConceptResponse:
    """What tells two lists of texts apart."""
    device: Device = request.app.state.device
    concepts: Concepts = request.app.state.concepts
    return await _heard(request, device.work(concepts.steps(device.shelf, body)))


@router.post("/steer")
async def steer(body: SteerRequest, request: Request) -> StreamingResponse:
    """Server-sent events, from a place in the running batch."""
    device: Device = request.app.state.device
    user = request.headers.get("x-dipole-user", "")
    # Bad input must be a 4xx, not a broken stream.
    stream = await _heard(request, device.open(body, user))
    return StreamingResponse(read_stream(stream), media_type="text/event-stream")


async def read_stream(stream: Stream) -> AsyncIterator[str]:
    """Server-sent events; the rows are freed however this ends."""
    try:
        while True:
            try:
                event = await asyncio.wait_for(stream.next(), ALIVE_SECONDS)
            except TimeoutError:
                yield ALIVE
                continue
            if event is None:
                return
            yield f"event: {EVENTS[type(event)]}\ndata: {event.model_dump_json()}\n\n"
    finally:
        stream.cancel()


async def _call(request: Request, function: Callable[..., Any], body: Any) -> Any:
    device: Device = request.app.state.device
    return await _heard(request, device.call(function, device.shelf, body))


async def _heard(request: Request, work: Coroutine[Any, Any, Any]) -> Any:
    """The answer, unless whoever asked has left: then it is out of the device's way."""
    return await unless_left(request.receive, work)
