"""Figures for a monitor in Prometheus's text format: what there is, what runs, who is up.

Knows the store and the worker's health; keeps no history of its own.
"""

import resource
import sys
from collections import Counter

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from server.store.runs import list_runs
from server.store.saes import list_saes
from server.web.deps import ReadDep, WorkerDep

router = APIRouter(tags=["health"])

STATES = ("queued", "running", "done", "failed", "cancelled")
MEMORY_UNIT = 1 if sys.platform == "darwin" else 1024


@router.get("/metrics", response_class=PlainTextResponse)
async def get_metrics(read: ReadDep, worker: WorkerDep) -> PlainTextResponse:
    """SAEs by state, runs by state (of the last thousand), the worker's health, memory at its peak."""
    saes = Counter(sae.state for sae in await read(list_saes))
    runs = Counter(run.state for run in await read(list_runs, limit=1_000))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MEMORY_UNIT
    lines = [
        *_gauge("dipole_saes", "SAEs in the library", {f'state="{s}"': saes[s] for s in ("new", "indexing", "ready")}),
        *_gauge("dipole_runs", "The last thousand runs", {f'state="{s}"': runs[s] for s in STATES}),
        *_gauge("dipole_worker_up", "Whether the worker answers", {"": int(await worker.is_healthy())}),
        *_gauge("dipole_web_peak_memory_bytes", "Largest resident size of the web process", {"": peak}),
    ]  # fmt: skip
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")


def _gauge(name: str, help: str, values: dict[str, int]) -> list[str]:
    rows = [
        f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
        for labels, value in values.items()
    ]
    return [f"# HELP {name} {help}", f"# TYPE {name} gauge", *rows]
