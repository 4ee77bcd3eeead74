"""Signed activations of a text: asked of the worker, with labels from the store."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BeforeValidator
from sqlalchemy.orm import Session

from server.protocol import MAX_PROMPT_CHARACTERS, PromptRequest, PromptResponse
from server.store.features import labels_of
from server.store.saes import SaeRecord
from server.web.deps import SessionDep, WorkerDep, find_sae
from server.web.prompt_view import READ, SHOWN, PromptQuery, Rank, rank_features
from server.web.responses import Json, csv_response
from server.web.worker_client import WorkerClient

router = APIRouter(tags=["prompt"])

# In an address an unescaped plus sign means a space.
RankQuery = Annotated[Rank, BeforeValidator(lambda value: "+" if value == " " else value), Query()]
TokenQuery = Annotated[int | None, Query(ge=0, description="Rank by this token's values")]
FeatureQuery = Annotated[
    int | None, Query(ge=0, description="List this feature first, whatever its rank")
]
TextQuery = Annotated[str, Query(max_length=MAX_PROMPT_CHARACTERS)]


@router.post("/api/prompt")
async def post_prompt(body: PromptRequest, worker: WorkerDep) -> Response:
    """The strongest features on a text: `activations` is signed, one per token, BOS first."""
    return Json((await worker.prompt(body)).model_dump())


@router.get("/prompt.json")
async def get_prompt(
    session: SessionDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    text: TextQuery,
    rank: RankQuery = "abs",
    token: TokenQuery = None,
    feature: FeatureQuery = None,
) -> Response:
    """What the prompt page shows: tokens, and the features in the page's order with their labels."""
    query, answer, labels = await _read(session, worker, sae, text, rank, token, feature)
    features = [
        {**entry.model_dump(), "label": labels.get(entry.feature, "")}
        for entry in rank_features(query, answer)
    ]
    return Json({**answer.model_dump(exclude={"features"}), "features": features})


@router.get("/prompt.csv")
async def get_prompt_csv(
    session: SessionDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    text: TextQuery,
    rank: RankQuery = "abs",
    token: TokenQuery = None,
    feature: FeatureQuery = None,
) -> Response:
    """The heatmap as a table: one row per feature, one column per token."""
    query, answer, labels = await _read(session, worker, sae, text, rank, token, feature)
    rows = [
        (entry.feature, labels.get(entry.feature, ""), *entry.activations)
        for entry in rank_features(query, answer)
    ]
    return csv_response("prompt", ("feature", "label", *answer.tokens), rows)


async def ask(
    session: Session, worker: WorkerClient, sae: SaeRecord, query: PromptQuery
) -> tuple[PromptResponse, dict[int, str]]:
    """The worker's answer to a page's question, and the labels of the features in it."""
    request = PromptRequest(
        sae=sae.id,
        text=query.text,
        rank=query.rank,
        limit=SHOWN if query.token is None else READ,
        features=[] if query.feature is None else [query.feature],
    )
    answer = await worker.prompt(request)
    index = sae.published_index_id
    if index is None:
        return answer, {}
    ids = [entry.feature for entry in answer.features]
    return answer, await run_in_threadpool(labels_of, session, index, ids)


async def _read(
    session: Session, worker: WorkerClient, key: str, text: str, rank: Rank, *places: Any
) -> tuple[PromptQuery, PromptResponse, dict[int, str]]:
    if not text.strip():
        raise HTTPException(422, "text: it is empty, so there is nothing to read.")
    sae = await run_in_threadpool(find_sae, session, key)
    query = PromptQuery(sae.id, text, rank, *places)
    return query, *await ask(session, worker, sae, query)
