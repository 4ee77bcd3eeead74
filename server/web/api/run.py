"""One run: its progress and curves; and beginning, stopping and resuming one from a script."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, HTTPException, Query, Request
from fastapi.responses import Response

from server.store.run_points import list_points
from server.web.asking import check_request, enter_run
from server.web.changing import cancel, resume
from server.web.deps import RunDep, SessionDep
from server.web.responses import Json
from server.web.run_view import asked_of, run_json

router = APIRouter(tags=["runs"])


@router.get("/run/{run_id}.json")
def get_run_json(
    run: RunDep,
    session: SessionDep,
    after: Annotated[float | None, Query(allow_inf_nan=False)] = None,
) -> Response:
    """Progress, result, what was asked, and the points of the curves behind progress `after`."""
    points = [
        {"done": point.done, "attempt": point.attempt, **point.figures}
        for point in list_points(session, run.id, after)
    ]
    return Json({**run_json(run), "asked": asked_of(run), "points": points})


@router.post("/api/run/{kind}")
def post_run(
    request: Request,
    kind: Literal["train", "import", "index", "map", "axis"],
    values: Annotated[dict[str, Any], Body()],
) -> Response:
    """Begin a run: the fields are the command's flags, `text` may be `demo`."""
    state = request.app.state
    try:
        run_id = enter_run(state.database, kind, check_request(state.settings, kind, values))
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    return Json({"run": run_id})


@router.post("/api/run/{run_id}/cancel")
def post_cancel(request: Request, run: RunDep) -> Response:
    """Cancel a queued run, ask a running one to stop at its next step."""
    cancel(request.app.state.database, run)
    return Json({"run": run.id})


@router.post("/api/run/{run_id}/resume")
def post_resume(request: Request, run: RunDep) -> Response:
    """Queue a run again that was cancelled or has failed."""
    resume(request.app.state.database, run)
    return Json({"run": run.id})
