"""Maps: layouts of an SAE's decoder rows, and what a map says about each of its points.

Knows the tables `map` and `feature`; computes no layout. Of each metric the newest is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from server.store.encoding import (
    decode_numbers,
    encode_numbers,
    finite,
    finite_or_none,
    load_json,
    now,
)
from server.store.saes import SaeRecord
from server.store.tables import Feature, FeatureIndex, Map, Sae

_UNKNOWN: dict[str, Any] = {
    "label": "", "label_neg": "", "label_pos": "", "density_neg": 0.0, "density_pos": 0.0,
    "max_neg": 0.0, "max_pos": 0.0, "pole_balance": None, "opposition": None,
}  # fmt: skip
"""What the map says of a feature that no published index knows."""
_COLUMNS = {name: Feature.__table__.c[name] for name in _UNKNOWN}
COLUMNS = ("feature", "x", "y", *_UNKNOWN)
"""All that a map can say of a point."""
_AT_ONCE = 4_096

Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class MapRecord:
    """A layout of `items` features, packed: a map can have a hundred thousand."""

    id: int
    sae_id: int
    metric: str
    method: str
    perplexity: float
    seed: int
    trustworthiness: float | None
    items: int
    created_at: str
    packed_features: bytes
    packed_coordinates: bytes

    @property
    def features(self) -> tuple[int, ...]:
        """The features in the map's order."""
        return decode_numbers(self.packed_features, "i")

    @property
    def coordinates(self) -> tuple[tuple[float, float], ...]:
        """`coordinates[i]` is the place (float32) of `features[i]`."""
        numbers = decode_numbers(self.packed_coordinates, "f")
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))


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

    It takes the place of the one of the same metric. Raises ValueError if the lengths differ or a
    coordinate is no finite number.
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
    older = (Map.sae_id == sae_id, Map.metric == metric, Map.id != map_id)
    session.execute(delete(Map).where(*older))
    return map_id


def delete_map(session: Session, sae_id: int, metric: str) -> None:
    """Remove the map of this metric; the newest of another is then the one that is shown."""
    gone = select(Map.id).where(Map.sae_id == sae_id, Map.metric == metric)
    newest = select(func.max(Map.id)).where(Map.sae_id == sae_id, Map.metric != metric)
    session.execute(
        update(Sae)
        .where(Sae.id == sae_id, Sae.published_map_id.in_(gone))
        .values(published_map_id=newest.scalar_subquery())
    )
    session.execute(delete(Map).where(Map.sae_id == sae_id, Map.metric == metric))


def index_revision(session: Session, sae: SaeRecord) -> int:
    """How often a column of the published index has changed since; 0 where there is none."""
    query = select(FeatureIndex.revision).where(FeatureIndex.id == sae.published_index_id)
    return session.scalars(query).one_or_none() or 0


def opposition_null_95(session: Session, sae: SaeRecord) -> float | None:
    """What 95 % of the poles of strangers stay below; None where opposition was not measured."""
    query = select(FeatureIndex.null_summary).where(FeatureIndex.id == sae.published_index_id)
    summary = session.scalars(query).one_or_none()
    return load_json(summary).get("null_95") if summary else None


def get_map(session: Session, sae: SaeRecord, metric: str | None = None) -> MapRecord | None:
    """The map of this metric, or else the newest one; None if there is none."""
    query = select(Map).where(Map.sae_id == sae.id)
    if metric is None:
        query = query.where(Map.id == sae.published_map_id)
    else:
        query = query.where(Map.metric == metric).order_by(Map.id.desc()).limit(1)
    row = session.scalars(query).one_or_none()
    if row is None:
        return None
    return MapRecord(
        id=row.id,
        sae_id=row.sae_id,
        metric=row.metric,
        method=row.method,
        perplexity=row.perplexity,
        seed=row.seed,
        trustworthiness=row.trustworthiness,
        items=row.items,
        created_at=row.created_at,
        packed_features=row.features,
        packed_coordinates=row.coordinates,
    )


def list_metrics(session: Session, sae: SaeRecord) -> list[str]:
    """The metrics an SAE has maps of, by name."""
    query = select(Map.metric).where(Map.sae_id == sae.id).distinct().order_by(Map.metric)
    return list(session.scalars(query))


def map_columns(
    session: Session, sae: SaeRecord, record: MapRecord, names: Sequence[str] = COLUMNS
) -> Columns:
    """The points of a map in its order, as the columns of these names.

    `feature`, `x`, `y`, then what the published index says: labels, densities, extremes, scores.
    Columns and not one object a point, because there may be a hundred thousand.
    """
    features = record.features
    numbers = decode_numbers(record.packed_coordinates, "f")
    places: Columns = {
        "feature": list(features),
        "x": list(numbers[::2]),
        "y": list(numbers[1::2]),
    }
    known = {name: [_UNKNOWN[name]] * record.items for name in names if name in _UNKNOWN}
    if known:
        query = (
            select(Feature.feature, *(_COLUMNS[name] for name in known))
            .join(FeatureIndex, FeatureIndex.id == Feature.index_id)
            .where(Feature.index_id == sae.published_index_id, FeatureIndex.state == "published")
            .execution_options(yield_per=_AT_ONCE)
        )
        place_of = {feature: place for place, feature in enumerate(features)}
        for rows in session.execute(query).partitions():
            found, *values = zip(*rows, strict=True)
            at = [place_of.get(feature) for feature in found]
            for column, those in zip(known.values(), values, strict=True):
                for place, value in zip(at, those, strict=True):
                    if place is not None:
                        column[place] = value
    return {name: (places | known)[name] for name in names}


def live_features(session: Session, sae_id: int) -> list[int]:
    """The features that fired at least once in the published index, in order; [] without an index."""
    query = (
        select(Feature.feature)
        .join(Sae, Sae.published_index_id == Feature.index_id)
        .where(Sae.id == sae_id, Feature.firings_pos + Feature.firings_neg > 0)
        .order_by(Feature.feature)
    )
    return list(session.scalars(query))
