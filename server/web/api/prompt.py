"""Signed activations of a text: asked of the worker, with labels from the store."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from server.protocol import MAX_PROMPT_CHARACTERS, PromptRequest, PromptResponse
from server.store.feature_list import list_named
from server.store.features import labels_of
from server.store.saes import SaeRecord
from server.web.deps import ReadDep, Reads, WorkerDep, find_sae
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
DensityQuery = Annotated[
    float | None,
    BeforeValidator(lambda value: None if value == "" else value),
    Query(ge=0, le=1, description="Leave out features that fire on a larger share of tokens"),
]
TextQuery = Annotated[str, Query(max_length=MAX_PROMPT_CHARACTERS)]


@router.post("/api/prompt")
async def post_prompt(body: PromptRequest, worker: WorkerDep) -> Response:
    """The strongest features on a text: `activations` is signed, one per token, BOS first."""
    return Json((await worker.prompt(body)).model_dump())


@router.get("/prompt.json")
async def get_prompt(
    read: ReadDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    text: TextQuery,
    rank: RankQuery = "abs",
    token: TokenQuery = None,
    feature: FeatureQuery = None,
    max_density: DensityQuery = None,
) -> Response:
    """What the prompt page shows: tokens, and the features in the page's order with their labels."""
    query, answer, labels = await _read(read, worker, sae, text, rank, token, feature, max_density)
    features = [
        {**entry.model_dump(), "label": labels.get(entry.feature, "")}
        for entry in rank_features(query, answer)
    ]
    return Json({**answer.model_dump(exclude={"features"}), "features": features})


@router.get("/prompt.csv")
async def get_prompt_csv(
    read: ReadDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)],
    text: TextQuery,
    rank: RankQuery = "abs",
    token: TokenQuery = None,
    feature: FeatureQuery = None,
    max_density: DensityQuery = None,
) -> Response:
    """The heatmap as a table: one row per feature, one column per token."""
    query, answer, labels = await _read(read, worker, sae, text, rank, token, feature, max_density)
    rows = [
        (entry.feature, labels.get(entry.feature, ""), *entry.activations)
        for entry in rank_features(query, answer)
    ]
    return csv_response("prompt", ("feature", "label", *answer.tokens), rows)


async def ask(
    read: Reads, worker: WorkerClient, sae: SaeRecord, query: PromptQuery
) -> tuple[PromptResponse, dict[int, str]]:
    """The worker's answer to a page's question, and the labels of the features in it."""
    request = PromptRequest(
        sae=sae.id,
        text=query.text,
        rank=query.rank,
        limit=READ if query.is_narrowed else SHOWN,
        features=[] if query.feature is None else [query.feature],
    )
    answer = await worker.prompt(request)
    index = sae.published_index_id
    if index is None:
        return answer, {}
    ids = [entry.feature for entry in answer.features]
    if query.max_density is not None:
        listed = await read(list_named, [(sae.id, number) for number in ids])
        rare = {
            row.feature for row in listed.values() if sum(row.density.values()) <= query.max_density
        }
        kept = [e for e in answer.features if e.feature in rare or e.feature == query.feature]
        answer = answer.model_copy(update={"features": kept})
    return answer, await read(labels_of, index, ids)


async def _read(
    read: Reads, worker: WorkerClient, key: str, text: str, rank: Rank, *places: Any
) -> tuple[PromptQuery, PromptResponse, dict[int, str]]:
    if not text.strip():
        raise HTTPException(422, "text: it is empty, so there is nothing to read.")
    sae = await read(find_sae, key)
    query = PromptQuery(sae.id, text, rank, *places)
    return query, *await ask(read, worker, sae, query)
