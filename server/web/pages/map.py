"""The map of one SAE's decoder rows."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from frontend.filters import number
from server.store.feature_table import LONGEST_SEARCH
from server.store.maps import COLUMNS, MapRecord, get_map, list_metrics
from server.store.runs import list_runs
from server.store.saes import SaeRecord, list_saes
from server.web.api.maps import Metric, require_map
from server.web.contexts import Choice, Link, MapFacts, MapPage, MapPane
from server.web.deps import RendererDep, SaeDep, SessionDep, find_sae
from server.web.plotly import plotly_url
from server.web.policies import MAP_POLICY

router = APIRouter(include_in_schema=False)

Colour = Literal["balance", "opposition", "density"]
COLOURS = (
    Choice("balance", "pole balance"),
    Choice("opposition", "opposition"),
    Choice("density", "density, + less −"),
)
NEIGHBOURS = 15
"""Trustworthiness is measured on so many nearest neighbours."""
METRICS = {
    "axis": Choice("a feature and its negation fall on the same place (|cosine|)", "by axis"),
    "directed": Choice("a feature and its negation lie apart (cosine)", "by direction"),
}


@router.get("/sae/{sae}/map")
def get_map_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    sae: SaeDep,
    metric: Metric = None,
    colour: Colour = "balance",
    search: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    feature: Annotated[int | None, Query(ge=0)] = None,
    beside: Annotated[str, Query(alias="with", max_length=200)] = "",
) -> HTMLResponse:
    """The frame of the map; its points come from map.json."""
    record = get_map(session, sae, metric)
    metrics = list_metrics(session, sae)
    if record is None and metrics:
        record = require_map(session, sae, metric)
    running = any(run.kind == "map" for run in list_runs(session, states=("queued", "running")))
    context = MapPage(
        sae=sae,
        map=None if record is None else MapFacts(describe(record, sae.d_sae), record.items),
        metric="" if record is None else record.metric,
        metrics=[
            Choice(f"/sae/{sae.id}/map?metric={name}", METRICS[name].name) for name in metrics
        ],
        panes=[] if record is None else panes_of(session, sae, record, beside),
        others=[] if record is None else others_of(session, sae),
        running=running,
        colour=colour,
        colours=COLOURS,
        search=search,
        feature=feature,
        data_url=f"/sae/{sae.id}/map.json{'' if metric is None else f'?metric={metric}'}",
        csv_url=f"/sae/{sae.id}/map.csv{'' if metric is None else f'?metric={metric}'}",
        plotly_url=plotly_url(),
    )
    response = renderer.page(request, "map.html", context, active="Library", sae_id=sae.id)
    response.headers["content-security-policy"] = MAP_POLICY
    return response


def panes_of(session: Session, sae: SaeRecord, record: MapRecord, beside: str) -> list[MapPane]:
    """The map asked for, and the one beside it; 404 if that one is not laid out yet."""
    shown = [(sae, record)]
    if beside:
        other = find_sae(session, beside)
        # By the same metric if there is such a map: two metrics side by side compare nothing.
        other_record = get_map(session, other, record.metric) or require_map(session, other)
        shown.append((other, other_record))
    # A label is its poles' labels once more, and weighs as much: only linked maps need it.
    columns = ",".join(name for name in COLUMNS if beside or name != "label")
    pairs_url = f"/compare.json?a={sae.id}&b={shown[-1][0].id}&limit=1000"
    return [
        MapPane(
            each.id,
            each.name,
            side,
            found.items,
            f"/sae/{each.id}/map.json?metric={found.metric}&columns={columns}",
            pairs_url,
        )
        for side, (each, found) in zip("ab", shown, strict=False)
    ]


def others_of(session: Session, sae: SaeRecord) -> list[Link]:
    """Maps of other SAEs of the same model and layer: what can be compared with this one."""
    same = (sae.model_id, sae.layer)
    return [
        Link(entry.name, f"/sae/{sae.id}/map?with={entry.id}")
        for entry in list_saes(session)
        if entry.has_map and entry.id != sae.id and (entry.model_id, entry.layer) == same
    ]


def describe(record: MapRecord, width: int) -> str:
    """What the map embeds and how, whether all of it, and how far to trust it."""
    trust = (
        f" Trustworthiness {number(record.trustworthiness, 2)}: 1 if the {NEIGHBOURS} nearest points of"
        " each point are its nearest in truth too, less the further off the intruders really are."
        if record.trustworthiness is not None
        else ""
    )
    rows = "decoder rows" if record.items == width else f"of {width:,} decoder rows"
    perplexity = f" perplexity {number(record.perplexity)}," if record.perplexity else ""
    return (
        f"{record.items:,} {rows}, each a point: {record.method}; {METRICS[record.metric].value};"
        f"{perplexity} seed {record.seed}.{trust}"
        " A map is qualitative: near means similar, far means little."
    )
