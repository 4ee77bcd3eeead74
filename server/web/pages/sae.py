"""One SAE: its facts, what to look at first, and its feature table."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from frontend.filters import count, fixed, percent, short_count, sparsifier_name
from server.store.corpora import corpus_of_index
from server.store.feature_table import FeaturePage
from server.store.maps import get_map, map_columns
from server.store.saes import SaeRecord, SaeSummary, list_saes
from server.web.api.features import read_page
from server.web.api.saes import text_facts
from server.web.contexts import Fact, SaePage
from server.web.deps import RendererDep, SaeDep, SessionDep
from server.web.look_first import look_first
from server.web.mini_map import MOST, MiniMap, mini_map
from server.web.table_query import TABLE, TableQuery, columns_of
from server.web.table_ranges import is_narrowed, ranges_of
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
    page, ranges = read_page(session, sae, query), ranges_of(query)
    context = SaePage(
        sae=summary,
        kind=kind_of(sae.sparsifier),
        facts=facts_of(summary),
        text=text_facts(corpus_of_index(session, sae.published_index_id)),
        look_first=look_first(session, [sae.id]),
        has_map=summary.has_map,
        mini_map=read_mini_map(session, sae),
        indexing=summary.state == "indexing",
        query=query,
        ranges=ranges,
        more_open=is_narrowed(ranges[1:]),
        columns=columns_of(query, path),
        rows=rows_of(sae.id, page.rows),
        found=found_of(page, summary.width),
        start=query.start,
        total=page.total,
        is_total_exact=page.is_total_exact,
        **_pager(query, path, page),
        json_url=query.address(f"{path}/features.json"),
        csv_url=query.address(f"{path}/features.csv"),
    )
    return renderer.page(request, "sae.html", context, active="Library", sae_id=sae.id)


def _pager(query: TableQuery, path: str, page: FeaturePage) -> dict[str, str | None]:
    """Where the first page is, the one ahead, the next and the last; None for this one."""

    def address(is_there: object, start: int, **place: str | None) -> str | None:
        state = {"after": None, "before": None, "start": max(1, start), **place}
        return query.address(path, **state) + TABLE if is_there else None

    has_moved = query.after is not None or query.before is not None
    return {
        "first_url": address(has_moved, 1),
        "previous_url": address(page.previous, query.start - query.limit, before=page.previous),
        "next_url": address(page.next, query.start + len(page.rows), after=page.next),
        "last_url": address(
            page.next and page.is_total_exact, page.total - query.limit + 1, before=""
        ),
    }


def found_of(page: FeaturePage, width: int) -> str:
    """How many features the filters leave, of how many: `32`, `3 of 32 match`."""
    if page.is_total_exact and page.total == width:
        return count(width)
    return (
        f"{'' if page.is_total_exact else 'more than '}{count(page.total)} of {count(width)} match"
    )


def read_mini_map(session: Session, sae: SaeRecord) -> MiniMap | None:
    """The map in small, if there is one that can be drawn whole."""
    record = get_map(session, sae)
    if record is None or record.items > MOST:
        return None
    return mini_map(map_columns(session, sae, record))


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
        Fact("nMSE", fixed(sae.nmse)) if sae.nmse is not None else None,
        Fact("loss recovered", percent(sae.loss_recovered))
        if sae.loss_recovered is not None
        else None,
        Fact("live", percent(sae.live)) if sae.live is not None else None,
        Fact("two-sided", percent(sae.two_sided)) if sae.two_sided is not None else None,
        Fact("tokens indexed", short_count(sae.tokens)) if sae.tokens else None,
    ]
    return [fact for fact in facts if fact is not None]
