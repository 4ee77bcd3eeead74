"""Two SAEs against each other: asked of the worker, with labels from the store."""

from collections.abc import Iterable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from server.protocol import CompareRequest, CompareResponse
from server.store.features import labels_of
from server.store.saes import SaeRecord
from server.web.compare_view import is_found
from server.web.deps import ReadDep, Reads, WorkerDep, find_sae
from server.web.responses import Json, csv_response
from server.web.worker_client import WorkerClient

router = APIRouter(tags=["compare"])

KeyQuery = Annotated[str, Query(max_length=200, description="An SAE's id or name")]
LimitQuery = Annotated[int, Query(ge=1, le=1_000)]
Labels = dict[int, str]
FRAGMENT_COLUMNS = (
    "feature_a", "label_a", "minus_b", "label_minus_b", "minus_cosine", "plus_b", "label_plus_b",
    "plus_cosine", "score", "is_found",
)  # fmt: skip


@router.post("/api/compare")
async def post_compare(body: CompareRequest, worker: WorkerDep) -> Response:
    """Matched latents, opposed pairs, and the fragments of A's signed latents in B."""
    return Json((await worker.compare(body)).model_dump())


@router.get("/compare.json")
async def get_compare(
    read: ReadDep, worker: WorkerDep, a: KeyQuery, b: KeyQuery, limit: LimitQuery = 50
) -> Response:
    """What the page shows."""
    answer, labels_a, labels_b = await _read(read, worker, a, b, limit)
    body = answer.model_dump()
    for pair in body["matched"]:
        pair["label_a"], pair["label_b"] = labels_a.get(pair["a"], ""), labels_b.get(pair["b"], "")
    for found in body["fragments"]:
        found["label"] = labels_a.get(found["feature"], "")
        found["label_plus"] = labels_b.get(found["plus"], "")
        found["label_minus"] = labels_b.get(found["minus"], "")
    return Json(body)


@router.get("/compare.csv")
async def get_compare_csv(
    read: ReadDep,
    worker: WorkerDep,
    a: KeyQuery,
    b: KeyQuery,
    limit: LimitQuery = 50,
    table: Literal["matched", "fragments"] = "matched",
) -> Response:
    """The matched features as a table, or with `table=fragments` the axes by how nearly they are in two pieces."""
    answer, labels_a, labels_b = await _read(read, worker, a, b, limit)
    if table == "fragments":
        return csv_response("fragments", FRAGMENT_COLUMNS, _fragments(answer, labels_a, labels_b))
    rows = [
        (pair.a, labels_a.get(pair.a, ""), pair.b, labels_b.get(pair.b, ""), pair.cosine)
        for pair in answer.matched
    ]
    return csv_response("compare", ("feature_a", "label_a", "feature_b", "label_b", "cosine"), rows)


async def ask(
    read: Reads, worker: WorkerClient, a: SaeRecord, b: SaeRecord, limit: int
) -> tuple[CompareResponse, Labels, Labels]:
    """The worker's answer, and the labels of the features of A and of B in it."""
    answer = await worker.compare(CompareRequest(a=a.id, b=b.id, limit=limit))
    in_a = {pair.a for pair in answer.matched} | {found.feature for found in answer.fragments}
    in_b = {pair.b for pair in answer.matched}
    in_b |= {feature for found in answer.fragments for feature in (found.plus, found.minus)}
    return answer, await _labels(read, a, in_a), await _labels(read, b, in_b)


def _fragments(
    answer: CompareResponse, labels_a: Labels, labels_b: Labels
) -> list[tuple[object, ...]]:
    return [
        (
            found.feature, labels_a.get(found.feature, ""), found.minus,
            labels_b.get(found.minus, ""), found.minus_cosine, found.plus,
            labels_b.get(found.plus, ""), found.plus_cosine, found.score, is_found(found),
        )
        for found in answer.fragments
    ]  # fmt: skip


async def _labels(read: Reads, sae: SaeRecord, features: Iterable[int]) -> Labels:
    if sae.published_index_id is None:
        return {}
    return await read(labels_of, sae.published_index_id, sorted(features))


async def _read(
    read: Reads, worker: WorkerClient, a: str, b: str, limit: int
) -> tuple[CompareResponse, Labels, Labels]:
    saes = [await read(find_sae, key) for key in (a, b)]
    return await ask(read, worker, saes[0], saes[1], limit)
