"""Two texts against each other: asked of the worker, with labels from the store."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response

from server.protocol import MAX_PROMPT_CHARACTERS, ContrastRequest, ContrastResponse
from server.store.features import labels_of
from server.store.saes import SaeRecord
from server.web.contrast_view import ContrastQuery, Mode
from server.web.deps import ReadDep, Reads, WorkerDep, find_sae
from server.web.responses import Json, csv_response
from server.web.worker_client import WorkerClient

router = APIRouter(tags=["prompt"])

SideQuery = Annotated[str, Query(max_length=MAX_PROMPT_CHARACTERS)]
ModeQuery = Annotated[Mode, Query(description="`pair`: one text each; `ends`: a text per line")]


@router.post("/api/contrast")
async def post_contrast(body: ContrastRequest, worker: WorkerDep) -> Response:
    """Features whose mean signed activation has opposite signs on A and on B."""
    return Json((await worker.contrast(body)).model_dump())


@router.get("/contrast.json")
async def get_contrast(
    read: ReadDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    a: SideQuery,
    b: SideQuery,
    mode: ModeQuery = "pair",
) -> Response:
    """What the page shows, with labels."""
    answer, labels = await _read(read, worker, sae, mode, a, b)
    body = answer.model_dump()
    for entry in (*body["flipped"], *body["changed"]):
        entry["label"] = labels.get(entry["feature"], "")
    return Json(body)


@router.get("/contrast.csv")
async def get_contrast_csv(
    read: ReadDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    a: SideQuery,
    b: SideQuery,
    mode: ModeQuery = "pair",
) -> Response:
    """The rows of the page as a table."""
    answer, labels = await _read(read, worker, sae, mode, a, b)
    rows = [
        (
            entry.feature,
            labels.get(entry.feature, ""),
            flips,
            entry.mean_a,
            entry.mean_b,
            entry.score,
        )
        for flips, entries in (("yes", answer.flipped), ("no", answer.changed))
        for entry in entries
    ]
    return csv_response(
        "contrast", ("feature", "label", "flips", "mean_a", "mean_b", "score"), rows
    )


async def ask(
    read: Reads, worker: WorkerClient, sae: SaeRecord, query: ContrastQuery
) -> tuple[ContrastResponse, dict[int, str]]:
    """The worker's answer, and the labels of the features in it."""
    try:
        request = query.request()
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    answer = await worker.contrast(request)
    if sae.published_index_id is None:
        return answer, {}
    ids = [entry.feature for entry in (*answer.flipped, *answer.changed)]
    return answer, await read(labels_of, sae.published_index_id, ids)


async def _read(
    read: Reads, worker: WorkerClient, key: str, mode: Mode, a: str, b: str
) -> tuple[ContrastResponse, dict[int, str]]:
    sae = await read(find_sae, key)
    query = ContrastQuery(sae.id, mode, a, b)
    if not query.is_complete:
        raise HTTPException(422, "a and b: both sides need a text.")
    return await ask(read, worker, sae, query)
