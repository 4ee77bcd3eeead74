"""Maps: layouts of an SAE's decoder rows, and what a map says about each of its points.

Knows the tables `map` and `feature`; computes no layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from server.store.encoding import decode_numbers, encode_numbers, finite, finite_or_none, now
from server.store.saes import SaeRecord
from server.store.tables import Feature, FeatureIndex, Map, Sae


@dataclass(frozen=True)
class MapRecord:
    """A layout: `coordinates[i]` is the place (float32) of `features[i]`."""

    id: int
    sae_id: int
    metric: str
    method: str
    perplexity: float
    seed: int
    trustworthiness: float | None
    features: tuple[int, ...]
    coordinates: tuple[tuple[float, float], ...]
    created_at: str


@dataclass(frozen=True)
class MapPoint:
    """One point of a map; without a published index only its place and number are known."""

    feature: int
    x: float
    y: float
    label: str = ""
    label_pos: str = ""
    label_neg: str = ""
    density_pos: float = 0.0
    density_neg: float = 0.0
    max_pos: float = 0.0
    max_neg: float = 0.0
    pole_balance: float | None = None
    opposition: float | None = None


_POINT_COLUMNS = [Feature.__table__.c[name] for name in list(MapPoint.__dataclass_fields__)[3:]]


def create_map(
    session: Session,
    sae_id: int,
    *,
    metric: str,
    method: str,
    perplexity: float,
    seed: int,
    trustworthiness: float | None,
    features: Sequence[int],
    coordinates: Sequence[Sequence[float]],
) -> int:
    """Store a layout, one (x, y) per feature, and show it for its SAE from now on.

    Raises ValueError if the lengths differ or a coordinate is no finite number.
    """
    if len(features) != len(coordinates):
        raise ValueError(f"{len(features)} features but {len(coordinates)} coordinates")
    flat = [finite(number, "a coordinate of the map") for x, y in coordinates for number in (x, y)]
    statement = insert(Map).values(
        sae_id=sae_id,
        metric=metric,
        method=method,
        perplexity=perplexity,
        seed=seed,
        trustworthiness=finite_or_none(trustworthiness),
        items=len(features),
        coordinates=encode_numbers(flat, "f"),
        features=encode_numbers([int(feature) for feature in features], "i"),
        created_at=now(),
    )
    map_id = session.execute(statement.returning(Map.id)).scalar_one()
    session.execute(update(Sae).where(Sae.id == sae_id).values(published_map_id=map_id))
    return map_id


def get_map(session: Session, sae: SaeRecord) -> MapRecord | None:
    """The map shown for an SAE, if it has one."""
    row = session.get(Map, sae.published_map_id) if sae.published_map_id is not None else None
    if row is None:
        return None
    numbers = decode_numbers(row.coordinates, "f")
    return MapRecord(
        id=row.id,
        sae_id=row.sae_id,
        metric=row.metric,
        method=row.method,
        perplexity=row.perplexity,
        seed=row.seed,
        trustworthiness=row.trustworthiness,
        features=decode_numbers(row.features, "i"),
        coordinates=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        created_at=row.created_at,
    )


def list_map_points(session: Session, sae: SaeRecord, record: MapRecord) -> list[MapPoint]:
    """The points of a map in its order, with what the SAE's published index says of each."""
    query = (
        select(Feature.feature, *_POINT_COLUMNS)
        .join(FeatureIndex, FeatureIndex.id == Feature.index_id)
        .where(Feature.index_id == sae.published_index_id, FeatureIndex.state == "published")
    )
    known = {row.feature: row._mapping for row in session.execute(query)}
    return [
        MapPoint(**{**known.get(feature, {}), "feature": feature, "x": x, "y": y})
        for feature, (x, y) in zip(record.features, record.coordinates, strict=True)
    ]


def live_features(session: Session, sae_id: int) -> list[int]:
    """The features that fired at least once in the published index, in order; [] without an index."""
    query = (
        select(Feature.feature)
        .join(Sae, Sae.published_index_id == Feature.index_id)
        .where(Sae.id == sae_id, Feature.firings_pos + Feature.firings_neg > 0)
        .order_by(Feature.feature)
    )
    return list(session.scalars(query))
