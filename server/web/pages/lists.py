"""The list page: starred features with notes, shared by their address."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from server.store.language_models import Vocabularies
from server.web.api.lists import ItemsQuery, TitleQuery, read_list
from server.web.card import Card, card_of
from server.web.contexts_reading import ListPage
from server.web.deps import RendererDep, SessionDep, VocabulariesDep, find_sae
from server.web.list_view import Item, list_address

router = APIRouter(include_in_schema=False)

View = Literal["table", "cards"]
MOST_CARDS = 12
CONTEXTS = 4
"""Of each pole on a card."""


@router.get("/list")
def get_list_page(
    request: Request,
    session: SessionDep,
    renderer: RendererDep,
    vocabularies: VocabulariesDep,
    item: ItemsQuery = [],  # noqa: B006 - FastAPI copies it
    title: TitleQuery = "",
    view: View = "table",
) -> HTMLResponse:
    """The list of the address; a bare address is filled by the browser with its own list."""
    items, rows, left_out = read_list(session, item)
    known = [row.item for row in rows if row.is_known] if view == "cards" else []
    table_url = list_address("/list", items, title)
    context = ListPage(
        title=title,
        rows=rows,
        left_out=left_out,
        view=view,
        cards=[_card(session, vocabularies, entry) for entry in known[:MOST_CARDS]],
        cards_left_out=max(0, len(known) - MOST_CARDS),
        view_urls={"table": table_url, "cards": f"{table_url}&view=cards"},
        json_url=list_address("/list.json", items, title),
        csv_url=list_address("/list.csv", items, title),
    )
    return renderer.page(request, "list.html", context, active="List")


def _card(session: Session, vocabularies: Vocabularies, item: Item) -> Card:
    """Both poles, or the one that the item names; always with the stored sign."""
    sae = find_sae(session, str(item.sae))
    poles = ("-", "+") if item.pole is None else (item.pole,)
    return card_of(session, vocabularies, sae, item.feature, poles=poles, contexts=CONTEXTS)
