"""A few named features of several SAEs at once, as a list of starred ones needs them.

Knows the tables; reads published indexes only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.saes import get_sae
from server.store.tables import Feature


@dataclass(frozen=True)
class ListedFeature:
    """One feature with its labels and figures; `density` and `max` per pole, − signed."""

    sae_id: int
    sae_name: str
    feature: int
    label: str
    labels: Mapping[str, str]
    density: Mapping[str, float]
    max: Mapping[str, float]
    pole_balance: float | None
    opposition: float | None


def list_named(
    session: Session, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], ListedFeature]:
    """Those of the (SAE id, feature) pairs that are in a published index."""
    by_sae: dict[int, set[int]] = {}
    for sae_id, feature in wanted:
        by_sae.setdefault(sae_id, set()).add(feature)
    found: dict[tuple[int, int], ListedFeature] = {}
    for sae_id, features in by_sae.items():
        sae = get_sae(session, sae_id)
        if sae is None or sae.published_index_id is None:
            continue
        rows = session.scalars(
            select(Feature).where(
                Feature.index_id == sae.published_index_id, Feature.feature.in_(sorted(features))
            )
        )
        for row in rows:
            found[sae_id, row.feature] = ListedFeature(
                sae_id,
                sae.name,
                row.feature,
                row.label,
                {"+": row.label_pos, "-": row.label_neg},
                {"+": row.density_pos, "-": row.density_neg},
                {"+": row.max_pos, "-": row.max_neg},
                row.pole_balance,
                row.opposition,
            )
    return found
