"""A list of features as JSON and CSV, read from the address alone."""

from typing import Annotated, NamedTuple

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.store.feature_list import list_named
from server.web.deps import SessionDep
from server.web.list_view import LONGEST_TITLE, MOST, Item, ListRow, list_rows, read_items, row_json
from server.web.responses import Json, csv_response

router = APIRouter(tags=["lists"])

ItemsQuery = Annotated[
    list[str], Query(description="SAE.FEATURE, with .pos or .neg for one pole, then ~note")
]
TitleQuery = Annotated[str, Query(max_length=LONGEST_TITLE)]
COLUMNS = (
    "sae", "sae_name", "feature", "pole", "note", "label_neg", "label_pos", "density_neg",
    "density_pos", "max_neg", "max_pos", "pole_balance",
)  # fmt: skip


@router.get("/list.json")
def get_list(session: SessionDep, item: ItemsQuery = [], title: TitleQuery = "") -> Response:  # noqa: B006 - FastAPI copies it
    """What the page shows."""
    _, rows, left_out = read_list(session, item)
    features = [row_json(row) for row in rows]
    return Json({"title": title, "features": features, "left_out": left_out})


@router.get("/list.csv")
def get_list_csv(session: SessionDep, item: ItemsQuery = [], title: TitleQuery = "") -> Response:  # noqa: B006 - FastAPI copies it
    """The rows of the page as a table."""
    rows = read_list(session, item).rows
    table = [
        (
            row.item.sae, row.sae_name, row.item.feature, row.item.pole or "both", row.item.note,
            row.label_minus, row.label_plus, row.density_minus, row.density_plus, row.max_minus,
            row.max_plus, row.pole_balance,
        )
        for row in rows
    ]  # fmt: skip
    return csv_response("list", COLUMNS, table)


class ReadList(NamedTuple):
    """The first items of an address, their rows, and how many more it names."""

    items: list[Item]
    rows: list[ListRow]
    left_out: int


def read_list(session: Session, texts: list[str]) -> ReadList:
    """The items and their rows; 422 with a sentence on an item that cannot be read."""
    try:
        named = read_items(texts)
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    items = named[:MOST]
    found = list_named(session, [(item.sae, item.feature) for item in items])
    return ReadList(items, list_rows(items, found), len(named) - len(items))
