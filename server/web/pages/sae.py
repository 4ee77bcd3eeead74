"""One SAE: its facts, what to look at first, and its feature table."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from frontend.filters import count, number, percent, short_count, sparsifier_name
from server.store.maps import get_map, list_map_points
from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.api.features import read_page
from server.web.contexts import Fact, SaePage
from server.web.deps import RendererDep, SaeDep, SessionDep
from server.web.look_first import look_first
from server.web.mini_map import MOST, MiniMap, mini_map
from server.web.table_query import TableQuery, columns_of
from server.web.table_view import rows_of

router = APIRouter(include_in_schema=False)


@router.get("/sae/{sae}")
def get_sae_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    sae: SaeDep,
    query: Annotated[TableQuery, Query()],
) -> HTMLResponse:
    """The table of its features, in the state the address names."""
    path = f"/sae/{sae.id}"
    summary = next(entry for entry in list_saes(session) if entry.id == sae.id)
    page = read_page(session, sae, query)
    context = SaePage(
        sae=summary,
        kind=kind_of(sae.sparsifier),
        facts=facts_of(summary),
        look_first=look_first(session, [sae.id]),
        has_map=summary.has_map,
        mini_map=read_mini_map(session, sae),
        indexing=summary.state == "indexing",
        query=query,
        columns=columns_of(query, path),
        rows=rows_of(sae.id, page.rows),
        start=query.start,
        total=page.total,
        first_url=query.address(path, after=None, start=1) if query.after else None,
        next_url=query.address(path, after=page.next, start=query.start + len(page.rows))
        if page.next
        else None,
        json_url=query.address(f"{path}/features.json"),
        csv_url=query.address(f"{path}/features.csv"),
    )
    return renderer.page(request, "sae.html", context, active="Library", sae_id=sae.id)


def read_mini_map(session: Session, sae: SaeRecord) -> MiniMap | None:
    """The map in small, if there is one that can be drawn whole."""
    record = get_map(session, sae)
    if record is None or len(record.features) > MOST:
        return None
    return mini_map(list_map_points(session, sae, record))


def kind_of(sparsifier: str) -> str:
    """What a dictionary of this sparsifier is called."""
    if sparsifier == "dim":
        return "Difference-in-Mean axes"
    return f"{sparsifier_name(sparsifier)} sparse autoencoder"


def facts_of(sae: SaeSummary) -> list[Fact]:
    """The figures of the page's head; those an SAE does not have are left out."""
    facts = [
        Fact("width", count(sae.width)),
        Fact("k", count(sae.k)) if sae.k is not None else None,
        Fact("nMSE", number(sae.nmse)) if sae.nmse is not None else None,
        Fact("loss recovered", percent(sae.loss_recovered))
        if sae.loss_recovered is not None
        else None,
        Fact("live", percent(sae.live)) if sae.live is not None else None,
        Fact("two-sided", percent(sae.two_sided)) if sae.two_sided is not None else None,
        Fact("tokens indexed", short_count(sae.tokens)) if sae.tokens else None,
    ]
    return [fact for fact in facts if fact is not None]
