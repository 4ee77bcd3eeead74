"""The map of one SAE's decoder rows."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from frontend.filters import number
from server.store.feature_table import LONGEST_SEARCH
from server.store.maps import MapRecord, get_map
from server.store.runs import list_runs
from server.web.contexts import Choice, MapFacts, MapPage
from server.web.deps import RendererDep, SaeDep, SessionDep
from server.web.plotly import plotly_url
from server.web.policies import MAP_POLICY

router = APIRouter(include_in_schema=False)

Colour = Literal["balance", "opposition", "density"]
COLOURS = (
    Choice("balance", "pole balance"),
    Choice("opposition", "opposition"),
    Choice("density", "density, + less −"),
)
METRICS = {
    "axis": "a feature and its negation fall on the same place (|cosine|)",
    "directed": "a feature and its negation lie apart (cosine)",
}


@router.get("/sae/{sae}/map")
def get_map_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    sae: SaeDep,
    colour: Colour = "balance",
    search: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    feature: Annotated[int | None, Query(ge=0)] = None,
) -> HTMLResponse:
    """The frame of the map; its points come from map.json."""
    record = get_map(session, sae)
    running = any(run.kind == "map" for run in list_runs(session, states=("queued", "running")))
    context = MapPage(
        sae=sae,
        map=None if record is None else MapFacts(describe(record), len(record.features)),
        running=running,
        colour=colour,
        colours=COLOURS,
        search=search,
        feature=feature,
        data_url=f"/sae/{sae.id}/map.json",
        csv_url=f"/sae/{sae.id}/map.csv",
        plotly_url=plotly_url(),
    )
    response = renderer.page(request, "map.html", context, active="Library", sae_id=sae.id)
    response.headers["content-security-policy"] = MAP_POLICY
    return response


def describe(record: MapRecord) -> str:
    """What the map embeds and how, and how far to trust it."""
    trust = (
        f" Trustworthiness {number(record.trustworthiness, 2)}: the share of neighbours that are real ones."
        if record.trustworthiness is not None
        else ""
    )
    return (
        f"{record.method} of {len(record.features):,} decoder rows; {METRICS.get(record.metric, record.metric)};"
        f" perplexity {number(record.perplexity)}, seed {record.seed}.{trust}"
        " A map is qualitative: near means similar, far means little."
    )
