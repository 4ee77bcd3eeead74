"""The list of runs, one run's page, and the buttons on it: cancel, resume."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from server.store.encoding import LARGEST_ID
from server.store.run_points import list_points
from server.store.runs import list_runs
from server.web.changing import cancel, resume
from server.web.contexts_runs import RunsPage
from server.web.deps import RendererDep, RunDep, SessionDep
from server.web.run_view import row_of, view_of

router = APIRouter(include_in_schema=False)

MOST_AHEAD = 1_000
PER_PAGE = 50


@router.get("/runs")
def get_runs_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> HTMLResponse:
    """Every run there was, the newest first, fifty at a time."""
    runs = list_runs(session, limit=PER_PAGE + 1, before=before)
    context = RunsPage(
        rows=[row_of(run) for run in runs[:PER_PAGE]],
        newest_url=None if before is None else "/runs",
        older_url=f"/runs?before={runs[PER_PAGE - 1].id}" if len(runs) > PER_PAGE else None,
    )
    return renderer.page(request, "runs.html", context, active="Library")


@router.get("/run/{run_id}")
def get_run_page(
    request: Request, run: RunDep, session: SessionDep, renderer: RendererDep
) -> HTMLResponse:
    """How far a run is, its curves, and what came of it."""
    active = list_runs(session, states=["queued", "running"], limit=MOST_AHEAD)
    ahead = sum(other.id < run.id or other.state == "running" for other in active)
    ahead -= run.state == "running"
    context = view_of(run, list_points(session, run.id), ahead)
    return renderer.page(request, "run.html", context, active="Library")


@router.post("/run/{run_id}/cancel")
def post_cancel(request: Request, run: RunDep) -> Response:
    """The button Cancel."""
    cancel(request.app.state.database, run)
    return RedirectResponse(f"/run/{run.id}", status_code=303)


@router.post("/run/{run_id}/resume")
def post_resume(request: Request, run: RunDep) -> Response:
    """The button Resume."""
    resume(request.app.state.database, run)
    return RedirectResponse(f"/run/{run.id}", status_code=303)
