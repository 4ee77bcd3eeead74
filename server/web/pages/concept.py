"""The concept page: two lists of texts, or a built-in contrast, against one SAE and DiM."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from server.protocol.concepts import CONTRASTS
from server.store.saes import list_saes
from server.web.api.concept import ContrastName, KeyQuery, LinesQuery, ask
from server.web.attempt import Attempt, attempt
from server.web.concept_view import ConceptQuery, ConceptResult, concept_result
from server.web.contexts_reading import ConceptPage
from server.web.deps import ReadDep, RendererDep, WorkerDep, find_sae
from server.web.pages.prompt import choose

router = APIRouter(include_in_schema=False)


@router.get("/concept")
async def get_concept_page(
    request: Request,
    read: ReadDep,
    renderer: RendererDep,
    worker: WorkerDep,
    sae: KeyQuery = "",
    contrast: ContrastName = "",
    a: LinesQuery = "",
    b: LinesQuery = "",
) -> HTMLResponse:
    """The form, and what was found if something was asked."""
    every = await read(list_saes)
    saes = [entry for entry in every if entry.state != "new" and entry.sparsifier != "dim"]
    named = await read(find_sae, sae) if sae else None
    summary = choose(saes, named.id if named else None)
    query = ConceptQuery(summary.id if summary else 0, contrast, a, b)
    result: ConceptResult | None = None
    asked: Attempt[Any] = Attempt()
    if summary is not None and query.is_complete:
        record = named or await read(find_sae, summary.id)
        asked = await attempt(ask(read, worker, record, query))
        if asked.answer is not None:
            result = concept_result(*asked.answer)
    context = ConceptPage(
        saes=saes,
        sae=summary,
        contrast=contrast,
        contrasts=CONTRASTS,
        a=a,
        b=b,
        result=result,
        problem=asked.problem,
        json_url=query.address("/concept.json"),
        csv_url=query.address("/concept.csv"),
    )
    response = renderer.page(
        request,
        "concept.html",
        context,
        active="Concepts",
        sae_id=query.sae or None,
        status=asked.status,
    )
    response.headers.update(asked.headers)
    return response
