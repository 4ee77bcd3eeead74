"""One run's page, and the buttons on it: cancel, resume."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from server.store.run_points import list_points
from server.store.runs import list_runs
from server.web.changing import cancel, resume
from server.web.deps import RendererDep, RunDep, SessionDep
from server.web.run_view import view_of

router = APIRouter(include_in_schema=False)

MOST_AHEAD = 1_000


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
