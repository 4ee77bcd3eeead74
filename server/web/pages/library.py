"""The library: every model and SAE, what to look at first, what is being made."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from server.store.language_models import list_models
from server.store.runs import list_active, list_runs
from server.store.saes import list_saes
from server.web.axes import axis_links
from server.web.contexts import LibraryPage
from server.web.deps import RendererDep, SessionDep
from server.web.look_first import look_first

router = APIRouter(include_in_schema=False)

MOST_FAILED = 3
COMMANDS = """\
dipole train --model demo --text FILE --sae abstopk --width 256 --k 32
dipole train --model NAME|DIR --layer 6 --text FILE --sae abstopk --width 16384 --k 32 --tokens 10000000
dipole index --sae NAME --text FILE
dipole map   --sae NAME"""


@router.get("/")
def get_library(request: Request, session: SessionDep, renderer: RendererDep) -> HTMLResponse:
    """Everything there is."""
    entries = list_saes(session)
    saes = [entry for entry in entries if entry.sparsifier != "dim"]
    axes = [entry for entry in entries if entry.sparsifier == "dim"]
    runs = list_runs(session, limit=MOST_FAILED)
    context = LibraryPage(
        saes=saes,
        axes=axes,
        axis_features=axis_links(session, axes, "/sae/{}/feature/{}".format),
        models=list_models(session),
        look_first=look_first(session, [entry.id for entry in saes if entry.state == "ready"]),
        runs=list_active(session)[::-1],
        failed=[run for run in runs if run.state == "failed"],
        demo=any(entry.is_demo for entry in entries),
        commands=COMMANDS,
    )
    return renderer.page(request, "library.html", context, active="Library")
