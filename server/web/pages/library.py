"""The library: every model and SAE, what to look at first, what is being made."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from server.store.language_models import list_models
from server.store.runs import list_runs
from server.store.saes import list_saes
from server.web.contexts import LibraryPage
from server.web.deps import RendererDep, SessionDep
from server.web.look_first import look_first

router = APIRouter(include_in_schema=False)

MOST_FAILED = 3
COMMANDS = """\
dipole train --model NAME|DIR --layer 6 --text FILE --sae abstopk --width 16384 --k 32 --tokens 10000000
dipole index --sae NAME --text FILE
dipole map   --sae NAME"""


@router.get("/")
def get_library(request: Request, session: SessionDep, renderer: RendererDep) -> HTMLResponse:
    """Everything there is."""
    entries = list_saes(session)
    saes = [entry for entry in entries if entry.sparsifier != "dim"]
    runs = list_runs(session)
    context = LibraryPage(
        saes=saes,
        axes=[entry for entry in entries if entry.sparsifier == "dim"],
        models=list_models(session),
        look_first=look_first(session, [entry.id for entry in saes if entry.state == "ready"]),
        runs=[run for run in reversed(runs) if run.is_active],
        failed=[run for run in runs[:MOST_FAILED] if run.state == "failed"],
        demo=any(entry.is_demo for entry in entries),
        commands=COMMANDS,
    )
    return renderer.page(request, "library.html", context, active="Library")
