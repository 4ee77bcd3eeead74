"""What steering does, asked of the worker: shift, safe band, closed loop, sizes, contributions."""

from fastapi import APIRouter
from fastapi.responses import Response

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
)
from server.store.features import labels_of
from server.web.deps import ReadDep, WorkerDep, find_sae
from server.web.responses import Json

router = APIRouter(tags=["steer"])


@router.post("/api/shift")
async def post_shift(body: ShiftRequest, worker: WorkerDep) -> Response:
    """How each strength moves the next token: KL, tokens promoted and suppressed, oddness of ±c."""
    return Json((await worker.ask("/shift", body, ShiftResponse)).model_dump())


@router.post("/api/band")
async def post_band(body: BandRequest, worker: WorkerDep) -> Response:
    """Where each side of the slider stops being safe on this prompt and seed."""
    return Json((await worker.ask("/band", body, BandResponse)).model_dump())


@router.post("/api/reread")
async def post_reread(body: RereadRequest, worker: WorkerDep) -> Response:
    """A steered text read again: the activation the text has, and the one that was in effect."""
    return Json((await worker.ask("/reread", body, RereadResponse)).model_dump())


@router.post("/api/sizes")
async def post_sizes(body: SizesRequest, worker: WorkerDep) -> Response:
    """Strength 1 of each edit beside the median of ‖h‖ at its hook, over this prompt."""
    return Json((await worker.ask("/sizes", body, SizesResponse)).model_dump())


@router.post("/api/contributions")
async def post_contributions(
    body: ContributionsRequest, worker: WorkerDep, read: ReadDep
) -> Response:
    """Which features push one next token over another; the parts add up to the logit difference."""
    record = await read(find_sae, body.sae)
    answer = await worker.ask("/contributions", body, ContributionsResponse)
    labels: dict[int, str] = {}
    if record.published_index_id is not None:
        features = [bar.feature for bar in answer.bars]
        labels = await read(labels_of, record.published_index_id, features)
    found = answer.model_dump()
    for bar in found["bars"]:
        bar["label"] = labels.get(bar["feature"], "")
    return Json(found)
