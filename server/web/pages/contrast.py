"""The contrast page: a minimal pair, or two ends of an axis, and the features that change sign."""

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from server.store.saes import list_saes
from server.web.api.contrast import ModeQuery, SideQuery, ask
from server.web.contexts import Link
from server.web.contexts_reading import ContrastPage
from server.web.contrast_view import ContrastQuery, ContrastResult, contrast_result
from server.web.deps import ReadDep, RendererDep, WorkerDep, find_sae
from server.web.pages.prompt import choose
from server.web.worker_client import WorkerRefused, WorkerUnavailable

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
    problem, headers, status = "", {}, 200
    if summary is not None and query.is_complete:
        record = named or await read(find_sae, summary.id)
        try:
            result = contrast_result(query, *await ask(read, worker, record, query))
        except WorkerUnavailable as error:
            problem, status = error.detail, error.status
            headers = {"retry-after": str(error.retry_after)}
        except (WorkerRefused, HTTPException) as error:
            problem = str(error.detail)
            status = error.status if isinstance(error, WorkerRefused) else error.status_code
    context = ContrastPage(
        saes=saes,
        sae=summary,
        mode=mode,
        a=a,
        b=b,
        result=result,
        problem=problem,
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
        request, "contrast.html", context, active="Prompt", sae_id=query.sae or None, status=status
    )
    response.headers.update(headers)
    return response
