"""Whether this process answers, and whether a worker does."""

from fastapi import APIRouter
from fastapi.responses import Response

from server.web.deps import WorkerDep
from server.web.responses import Json

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def get_health(worker: WorkerDep) -> Response:
    """Always 200 while web runs; `worker` says whether prompts and steering work too."""
    return Json({"ok": True, "worker": await worker.is_healthy()})
