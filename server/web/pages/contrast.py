"""The contrast page: a minimal pair, or two ends of an axis, and the features that change sign."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from server.store.saes import list_saes
from server.web.api.contrast import ModeQuery, SideQuery, ask
from server.web.attempt import Attempt, attempt
from server.web.contexts import Link
from server.web.contexts_reading import ContrastPage
from server.web.contrast_view import ContrastQuery, ContrastResult, contrast_result
from server.web.deps import ReadDep, RendererDep, WorkerDep, find_sae
from server.web.pages.prompt import choose

router = APIRouter(include_in_schema=False)

EXAMPLES = {
    "pair": (
        ("He was very happy.", "She was very happy."),
        ("The dog runs home.", "The dog ran home."),
    ),
    "ends": (
        ("The girl smiled.\nShe hugged her mother.", "The boy smiled.\nHe hugged his father."),
        (
            "It was a happy day.\nThey laughed and played.",
            "It was a sad day.\nThey cried and cried.",
        ),
    ),
}


@router.get("/contrast")
async def get_contrast_page(
    request: Request,
    read: ReadDep,
    renderer: RendererDep,
    worker: WorkerDep,
    sae: Annotated[str, Query(max_length=200)] = "",
    mode: ModeQuery = "pair",
    a: SideQuery = "",
    b: SideQuery = "",
) -> HTMLResponse:
    """The form, and the features if both sides have a text."""
    saes = [entry for entry in await read(list_saes) if entry.state != "new"]
    named = await read(find_sae, sae) if sae else None
    summary = choose(saes, named.id if named else None)
    query = ContrastQuery(summary.id if summary else 0, mode, a, b)
    result: ContrastResult | None = None
    asked: Attempt[Any] = Attempt()
    if summary is not None and query.is_complete:
        record = named or await read(find_sae, summary.id)
        asked = await attempt(ask(read, worker, record, query))
        if asked.answer is not None:
            result = contrast_result(query, *asked.answer)
    context = ContrastPage(
        saes=saes,
        sae=summary,
        mode=mode,
        a=a,
        b=b,
        result=result,
        problem=asked.problem,
        examples=[
            Link(
                f"{left.splitlines()[0]} / {right.splitlines()[0]}",
                query.address("/contrast", a=left, b=right),
            )
            for left, right in EXAMPLES[mode]
        ],
        json_url=query.address("/contrast.json"),
        csv_url=query.address("/contrast.csv"),
    )
    response = renderer.page(
        request,
        "contrast.html",
        context,
        active="Prompt",
        sae_id=query.sae or None,
        status=asked.status,
    )
    response.headers.update(asked.headers)
    return response
