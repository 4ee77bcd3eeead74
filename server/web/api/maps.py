"""A map's coordinates as JSON by column, and as CSV."""

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy.orm import Session

from server.store.maps import (
    COLUMNS,
    MapRecord,
    get_map,
    index_revision,
    map_columns,
    opposition_null_95,
)
from server.store.saes import SaeRecord
from server.web.deps import SaeDep, SessionDep
from server.web.responses import column_pieces, csv_response

router = APIRouter(tags=["maps"])

Metric = Annotated[
    Literal["axis", "directed"] | None, Query(description="The newest map if left out")
]


Names = Annotated[
    str, Query(max_length=400, description="Names of columns, by commas; all if left out")
]


@router.get("/sae/{sae}/map.json", response_class=StreamingResponse)
def get_map_json(
    request: Request, session: SessionDep, sae: SaeDep, metric: Metric = None, columns: Names = ""
) -> Response:
    """The layout of every decoder row, with what was computed and how; columns of equal length.

    Numbers have six significant digits. Sent piece by piece: there may be a hundred thousand rows.
    """
    record = require_map(session, sae, metric)
    names = _asked(columns)
    # A map never changes under its id; an index does where opposition is added, which raises its revision.
    index = f"{sae.published_index_id}.{index_revision(session, sae)}"
    null_95 = opposition_null_95(session, sae)
    tag = f'"{record.id}-{index}-{null_95}-{record.created_at}-{columns}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match", "").removeprefix("W/") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    head = {
        "sae": sae.id,
        "embeds": "decoder rows",
        "metric": record.metric,
        "method": record.method,
        "perplexity": record.perplexity,
        "seed": record.seed,
        "trustworthiness": record.trustworthiness,
        "items": record.items,
        "opposition_null_95": null_95,
    }
    pieces = column_pieces(head, map_columns(session, sae, record, names))
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


@router.get("/sae/{sae}/map.csv")
def get_map_csv(session: SessionDep, sae: SaeDep, metric: Metric = None) -> Response:
    """The same as a table."""
    columns = map_columns(session, sae, require_map(session, sae, metric))
    name = f"{sae.name}-map" if metric is None else f"{sae.name}-map-{metric}"
    return csv_response(name, list(columns), zip(*columns.values(), strict=True))


def _asked(columns: str) -> tuple[str, ...]:
    """The names of columns; 422 for one that a map does not have."""
    names = tuple(columns.split(",")) if columns else COLUMNS
    for name in names:
        if name not in COLUMNS:
            raise HTTPException(422, f"A map has no column {name}. It has {', '.join(COLUMNS)}.")
    return names


def require_map(session: Session, sae: SaeRecord, metric: str | None = None) -> MapRecord:
    """The map; 404 with what to do if there is none."""
    record = get_map(session, sae, metric)
    if record is None:
        which = "no map yet" if metric is None else f"no {metric} map yet"
        flag = "" if metric is None else f" --metric {metric}"
        raise HTTPException(404, f"{sae.name} has {which}: run dipole map --sae {sae.id}{flag}.")
    return record
