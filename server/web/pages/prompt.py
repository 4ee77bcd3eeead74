"""The prompt page: which features fire on a text, with which sign, on which token."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from server.protocol import SIGNED_SPARSIFIERS
from server.store.saes import SaeSummary, list_saes
from server.web.api.prompt import DensityQuery, FeatureQuery, RankQuery, TextQuery, TokenQuery, ask
from server.web.attempt import Attempt, attempt
from server.web.contexts import Link
from server.web.contexts_reading import PromptPage
from server.web.deps import ReadDep, RendererDep, WorkerDep, find_sae
from server.web.prompt_view import PromptQuery, PromptResult, prompt_result

router = APIRouter(include_in_schema=False)

EXAMPLES = (
    "The little girl said she was very happy.",
    "The king was sad, and he went home.",
    "Yesterday the dogs ran. Today the dog runs.",
)


@router.get("/prompt")
async def get_prompt_page(
    request: Request,
    read: ReadDep,
    renderer: RendererDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)] = "",
    text: TextQuery = "",
    rank: RankQuery = "abs",
    token: TokenQuery = None,
    feature: FeatureQuery = None,
    max_density: DensityQuery = None,
) -> HTMLResponse:
    """The form, and the heatmap if there is a text."""
    saes = [entry for entry in await read(list_saes) if entry.state != "new"]
    chosen = await read(find_sae, sae) if sae else None
    summary = choose(saes, chosen.id if chosen else None)
    result: PromptResult | None = None
    asked: Attempt[Any] = Attempt()
    query = PromptQuery(summary.id if summary else 0, text, rank, token, feature, max_density)
    if summary is not None and text.strip():
        record = chosen or await read(find_sae, summary.id)
        asked = await attempt(ask(read, worker, record, query))
        if asked.answer is not None:
            result = prompt_result(query, *asked.answer)
    context = PromptPage(
        saes=saes,
        sae=summary,
        text=text,
        rank=rank,
        wanted=feature,
        max_density=max_density,
        result=result,
        problem=asked.problem,
        examples=[
            Link(example, f"/prompt?{urlencode({'sae': query.sae, 'text': example})}")
            for example in EXAMPLES
        ],
        json_url=query.address("/prompt.json"),
        csv_url=query.address("/prompt.csv"),
    )
    response = renderer.page(
        request,
        "prompt.html",
        context,
        active="Prompt",
        sae_id=query.sae or None,
        status=asked.status,
    )
    response.headers.update(asked.headers)
    return response


def choose(saes: list[SaeSummary], wanted: int | None) -> SaeSummary | None:
    """The wanted one; else the first that keeps both signs and is ready; else any."""
    for entry in saes:
        if entry.id == wanted:
            return entry
    signed = [
        entry for entry in saes if entry.sparsifier in SIGNED_SPARSIFIERS and entry.state == "ready"
    ]
    return next(iter([*signed, *saes]), None)
