"""The library: every model and SAE, what to look at first, what is being made."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from server.store.feature_table import list_features
from server.store.language_models import list_models
from server.store.runs import list_runs
from server.store.saes import SaeSummary, get_sae, list_saes
from server.web.contexts import AxisLink, LibraryPage
from server.web.deps import RendererDep, SessionDep
from server.web.look_first import look_first

router = APIRouter(include_in_schema=False)

MOST_FAILED = 3
COMMANDS = """\
dipole train --model demo --text FILE --sae abstopk --width 256 --k 32
dipole train --model NAME|DIR --layer 6 --text FILE --sae abstopk --width 16384 --k 32 --tokens 10000000
dipole index --sae NAME --text FILE
dipole map   --sae NAME"""
MOST_AXES = 12


@router.get("/")
def get_library(request: Request, session: SessionDep, renderer: RendererDep) -> HTMLResponse:
    """Everything there is."""
    entries = list_saes(session)
    saes = [entry for entry in entries if entry.sparsifier != "dim"]
    axes = [entry for entry in entries if entry.sparsifier == "dim"]
    runs = list_runs(session)
    context = LibraryPage(
        saes=saes,
        axes=axes,
        axis_features=[feature for entry in axes for feature in _features(session, entry)],
        models=list_models(session),
        look_first=look_first(session, [entry.id for entry in saes if entry.state == "ready"]),
        runs=[run for run in reversed(runs) if run.is_active],
        failed=[run for run in runs[:MOST_FAILED] if run.state == "failed"],
        demo=any(entry.is_demo for entry in entries),
        commands=COMMANDS,
    )
    return renderer.page(request, "library.html", context, active="Library")


def _features(session: Session, entry: SaeSummary) -> list[AxisLink]:
    """The axes of one dictionary, ready to be opened."""
    sae = get_sae(session, entry.id)
    if sae is None:
        return []
    rows = list_features(session, sae, limit=MOST_AXES).rows
    return [
        AxisLink(f"/sae/{sae.id}/feature/{row.feature}", row.label_neg, row.label_pos)
        for row in rows
    ]
