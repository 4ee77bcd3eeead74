"""Runs and their progress."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from server.store.runs import RunRecord, list_runs
from server.web.deps import SessionDep
from server.web.responses import Json

router = APIRouter(tags=["runs"])

_SHOWN = (
    "id", "kind", "state", "attempt", "done", "total", "message", "error", "result",
    "cancel_requested", "created_at", "started_at", "finished_at",
)  # fmt: skip


@router.get("/runs.json")
def get_runs(session: SessionDep) -> Response:
    """The newest fifty runs; `done` of `total` is the progress, `total` 0 is unknown."""
    return Json({"runs": [run_view(run) for run in list_runs(session)]})


def run_view(run: RunRecord) -> dict[str, Any]:
    """A run without what it was asked with, which may name files of the server."""
    return {name: getattr(run, name) for name in _SHOWN}
