"""Runs and their progress."""

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import Response

from server.store.runs import list_active, list_runs
from server.web.deps import SessionDep
from server.web.responses import Json
from server.web.run_view import run_json

router = APIRouter(tags=["runs"])


@router.get("/runs.json")
def get_runs(session: SessionDep, state: Literal["any", "active"] = "any") -> Response:
    """The newest fifty runs, or the queued and running ones of any age.

    `done` of `total` is the progress, `total` 0 is unknown.
    """
    runs = list_active(session) if state == "active" else list_runs(session)
    return Json({"runs": [run_json(run) for run in runs]})
