"""The compare page: SAEs side by side, matched features, and the fragment finder."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.api.compare import ask
from server.web.attempt import Attempt, attempt
from server.web.compare_view import CompareResult, compare_result, figure_rows
from server.web.contexts_reading import ComparePage
from server.web.deps import ReadDep, RendererDep, WorkerDep, find_sae

router = APIRouter(include_in_schema=False)
SHOWN = 50


@router.get("/compare")
async def get_compare_page(
    request: Request,
    read: ReadDep,
    renderer: RendererDep,
    worker: WorkerDep,
    a: Annotated[str, Query(max_length=200)] = "",
    b: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """Two SAEs; without a choice, a signed one and a one-sided one of the same layer."""
    every = await read(list_saes)
    saes = [entry for entry in every if entry.state != "new" and entry.sparsifier != "dim"]
    named = [await read(find_sae, key) if key else None for key in (a, b)]
    result: CompareResult | None = None
    refused = why_not(named, saes)
    asked: Attempt[Any] = Attempt(problem=refused, status=422 if refused else 200)
    left, right = choose_pair(saes, *(None if sae is None else sae.id for sae in named))
    if not refused and left is not None and right is not None:
        records = [await read(find_sae, sae.id) for sae in (left, right)]
        asked = await attempt(ask(read, worker, records[0], records[1], SHOWN))
        if asked.answer is not None:
            result = compare_result(*asked.answer)
    shown = [sae for sae in (left, right) if sae is not None]
    query = urlencode({name: sae.id for name, sae in zip(("a", "b"), shown, strict=False)})
    context = ComparePage(
        saes=saes,
        a=left,
        b=right,
        figures=() if refused else figure_rows(shown),
        result=result,
        problem=asked.problem,
        swap_url=f"/compare?{urlencode({'a': right.id, 'b': left.id})}" if left and right else "",
        json_url=f"/compare.json?{query}",
        csv_url=f"/compare.csv?{query}",
        fragments_csv_url=f"/compare.csv?{query}&table=fragments",
    )
    response = renderer.page(
        request, "compare.html", context, active="Compare", status=asked.status
    )
    response.headers.update(asked.headers)
    return response


def why_not(named: Sequence[SaeRecord | None], saes: Sequence[SaeSummary]) -> str:
    """A sentence about the first that was named and is not among those to compare, else nothing."""
    comparable = {sae.id for sae in saes}
    for sae in named:
        if sae is None or sae.id in comparable:
            continue
        if sae.sparsifier == "dim":
            return f"{sae.name} is a set of axes, each found by itself, and is not compared: choose two SAEs."
        return f"{sae.name} is not indexed yet, so which of its features are live is not known: index it, or choose two others."
    return ""


def choose_pair(
    saes: Sequence[SaeSummary], a: int | None, b: int | None
) -> tuple[SaeSummary | None, SaeSummary | None]:
    """The two that were named; what is missing is filled with a likely partner."""
    by_id = {sae.id: sae for sae in saes}
    left = by_id.get(a) if a is not None else None
    right = by_id.get(b) if b is not None else None
    if left is None:
        left = next((sae for sae in saes if sae.sparsifier == "abstopk" and sae != right), None)
        left = left or next((sae for sae in saes if sae != right), None)
    if right is None and left is not None:
        partners = [
            sae
            for sae in saes
            if sae != left and (sae.model_id, sae.layer) == (left.model_id, left.layer)
        ]
        partners.sort(key=lambda sae: sae.sparsifier != "topk")
        right = next(iter(partners), None)
    return left, right
