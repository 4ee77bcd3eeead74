"""A map's coordinates as JSON by column, and as CSV."""

from collections.abc import Sequence

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from sqlalchemy.orm import Session

from server.store.maps import MapPoint, MapRecord, get_map, list_map_points
from server.store.saes import SaeRecord
from server.web.deps import SaeDep, SessionDep
from server.web.responses import Json, csv_response

router = APIRouter(tags=["maps"])

COLUMNS = (
    "feature", "x", "y", "label", "label_neg", "label_pos", "density_neg", "density_pos",
    "max_neg", "max_pos", "pole_balance", "opposition",
)  # fmt: skip


@router.get("/sae/{sae}/map.json")
def get_map_json(session: SessionDep, sae: SaeDep) -> Response:
    """The layout of every decoder row, with what was computed and how; columns of equal length."""
    record, points = read_map(session, sae)
    columns = {name: [getattr(point, name) for point in points] for name in COLUMNS}
    return Json(
        {
            "sae": sae.id,
            "embeds": "decoder rows",
            "metric": record.metric,
            "method": record.method,
            "perplexity": record.perplexity,
            "seed": record.seed,
            "trustworthiness": record.trustworthiness,
            "items": len(points),
            "columns": columns,
        }
    )


@router.get("/sae/{sae}/map.csv")
def get_map_csv(session: SessionDep, sae: SaeDep) -> Response:
    """The same as a table."""
    _, points = read_map(session, sae)
    rows = ([getattr(point, name) for name in COLUMNS] for point in points)
    return csv_response(f"{sae.name}-map", COLUMNS, rows)


def read_map(session: Session, sae: SaeRecord) -> tuple[MapRecord, Sequence[MapPoint]]:
    """The map and its points; 404 with what to do if there is none."""
    record = get_map(session, sae)
    if record is None:
        raise HTTPException(404, f"{sae.name} has no map yet: run dipole map --sae {sae.id}.")
    return record, list_map_points(session, sae, record)
