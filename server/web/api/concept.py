"""What tells two lists of texts apart: asked of the worker, with labels from the store."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import ValidationError

from server.protocol.concepts import ConceptRequest, ConceptResponse
from server.store.features import labels_of
from server.store.saes import SaeRecord
from server.web.concept_view import ConceptQuery, features_of
from server.web.deps import ReadDep, Reads, WorkerDep, find_sae
from server.web.responses import Json, csv_response
from server.web.worker_client import WorkerClient

router = APIRouter(tags=["concepts"])

KeyQuery = Annotated[str, Query(max_length=200)]
ContrastName = Annotated[str, Query(max_length=100, description="A built-in contrast")]
LinesQuery = Annotated[str, Query(max_length=30_000, description="One text per line")]


@router.post("/api/concept")
async def post_concept(body: ConceptRequest, worker: WorkerDep) -> Response:
    """The best single feature, the best pair, DiM: held-out AUC, and steering at equal ‖Δh‖."""
    return Json((await worker.ask("/concept", body, ConceptResponse)).model_dump())


@router.get("/concept.json")
async def get_concept(
    read: ReadDep,
    worker: WorkerDep,
    sae: KeyQuery,
    contrast: ContrastName = "",
    a: LinesQuery = "",
    b: LinesQuery = "",
) -> Response:
    """What the page shows."""
    answer, labels = await _read(read, worker, sae, contrast, a, b)
    return Json({**answer.model_dump(), "labels": {str(key): labels[key] for key in labels}})


@router.get("/concept.csv")
async def get_concept_csv(
    read: ReadDep,
    worker: WorkerDep,
    sae: KeyQuery,
    contrast: ContrastName = "",
    a: LinesQuery = "",
    b: LinesQuery = "",
) -> Response:
    """Effect and cost of every way at every strength."""
    answer, _ = await _read(read, worker, sae, contrast, a, b)
    rows = [
        (effect.way, *values)
        for effect in answer.effects
        for values in zip(
            effect.shares,
            effect.log_odds,
            effect.loss_rise,
            effect.kl,
            effect.written_loss_rise,
            effect.repetition_rise,
            effect.safe,
            strict=True,
        )
    ]
    return csv_response(
        "concept",
        (
            "way",
            "share_of_median_h",
            "log_odds",
            "loss_rise",
            "kl",
            "written_loss_rise",
            "repetition_rise",
            "safe",
        ),
        rows,
    )


async def ask(
    read: Reads, worker: WorkerClient, sae: SaeRecord, query: ConceptQuery
) -> tuple[ConceptResponse, dict[int, str]]:
    """The worker's answer, and the labels of the features in it."""
    try:
        request = query.request()
    except ValidationError as error:
        raise HTTPException(422, error.errors()[0]["msg"]) from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    answer = await worker.ask("/concept", request, ConceptResponse)
    if sae.published_index_id is None:
        return answer, {}
    return answer, await read(labels_of, sae.published_index_id, features_of(answer))


async def _read(
    read: Reads, worker: WorkerClient, key: str, contrast: str, a: str, b: str
) -> tuple[ConceptResponse, dict[int, str]]:
    sae = await read(find_sae, key)
    query = ConceptQuery(sae.id, contrast, a, b)
    if not query.is_complete:
        raise HTTPException(
            422, "contrast, or a and b: name a contrast or give two lists of texts."
        )
    return await ask(read, worker, sae, query)
