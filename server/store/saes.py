"""Sparse autoencoders and sets of axes: what they are, how good they are, what the library lists.

Knows the tables `sae`, `model` and `feature_index` (published ones only); opens no checkpoint.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import and_, exists, select, update
from sqlalchemy.orm import Session, aliased

from server.store.bulk import changed_rows, insert_for
from server.store.encoding import dump_json, finite_or_none, load_json, now
from server.store.named import Named
from server.store.tables import FeatureIndex, Model, Run, Sae


@dataclass(frozen=True)
class SaeRecord:
    """One SAE; sparsifier "dim" is a set of difference-in-mean axes. `model` is its model's name.

    `flips`: a bit per feature (order of `numpy.packbits`): the ones whose stored sign is turned
    round; None until the first index of a signed SAE.
    """

    id: int
    name: str
    model_id: int
    model: str
    layer: int
    hook: str
    sparsifier: str
    d_in: int
    d_sae: int
    k: int | None
    path: str
    sha256: str
    config: dict[str, Any]
    nmse: float | None
    loss_recovered: float | None
    l0: float | None
    cosine: float | None
    evaluated_tokens: int
    published_index_id: int | None
    published_map_id: int | None
    flips: bytes | None
    is_demo: bool
    created_at: str


@dataclass(frozen=True)
class SaeSummary:
    """A row of the library. `live` is a share of the width, `two_sided` a share of the live ones.

    Both are None, and `tokens` 0, until an index is published.
    """

    id: int
    name: str
    model: str
    model_id: int
    layer: int
    sparsifier: str
    width: int
    k: int | None
    state: Literal["new", "indexing", "ready"]
    nmse: float | None
    loss_recovered: float | None
    l0: float | None
    live: float | None
    two_sided: float | None
    tokens: int
    has_map: bool
    is_demo: bool


_OWN_COLUMNS = [Sae.__table__.c[name] for name in SaeRecord.__dataclass_fields__ if name != "model"]
_SAE = Named.of(
    select(*_OWN_COLUMNS, Model.name.label("model")).join(Model, Model.id == Sae.model_id), Sae
)
_METRICS = ("nmse", "loss_recovered", "l0", "cosine")
_CHANGEABLE = {*_METRICS, "evaluated_tokens", "path", "sha256", "config", "flips"}


def create_sae(
    session: Session,
    *,
    name: str,
    model_id: int,
    layer: int,
    hook: str,
    sparsifier: str,
    d_in: int,
    d_sae: int,
    path: str,
    sha256: str,
    config: dict[str, Any],
    k: int | None = None,
    is_demo: bool = False,
    **metrics: float | None,
) -> int:
    """Add an SAE; raises ValueError if the name is taken. For `metrics` see `update_sae`."""
    values = {
        "name": name,
        "model_id": model_id,
        "layer": layer,
        "hook": hook,
        "sparsifier": sparsifier,
        "d_in": d_in,
        "d_sae": d_sae,
        "k": k,
        "path": path,
        "sha256": sha256,
        "is_demo": is_demo,
        "created_at": now(),
        "evaluated_tokens": 0,
        **_changes({**metrics, "config": config}),
    }
    insert = insert_for(session, Sae).values(**values)
    insert = insert.on_conflict_do_nothing(index_elements=["name"]).returning(Sae.id)
    created = session.execute(insert).scalar()
    if created is None:
        raise ValueError(f"an SAE named {name} is already there: choose another name")
    return created


def update_sae(session: Session, sae_id: int, **changes: Any) -> None:
    """Set nmse, loss_recovered, l0, cosine (NaN: none), evaluated_tokens, path, sha256, config, flips."""
    statement = update(Sae).where(Sae.id == sae_id).values(**_changes(changes))
    if changed_rows(session, statement) != 1:
        raise ValueError(f"no SAE has the id {sae_id}")


def get_sae(session: Session, key: int | str) -> SaeRecord | None:
    """The SAE of this id or name; a string of digits is a name first, then an id."""
    row = _SAE.find(session, key)
    if row is None:
        return None
    return SaeRecord(**{**row._mapping, "config": load_json(row.config)})


def list_saes(session: Session) -> list[SaeSummary]:
    """Every SAE, oldest first."""
    building = aliased(FeatureIndex)
    # What a killed run left half-written is nobody's work.
    is_building = and_(
        exists().where(building.sae_id == Sae.id, building.state == "building"),
        exists().where(Run.state == "running"),
    )
    query = (
        select(
            Sae.id,
            Sae.name,
            Model.name.label("model"),
            Sae.model_id,
            Sae.layer,
            Sae.sparsifier,
            Sae.d_sae,
            Sae.k,
            Sae.nmse,
            Sae.loss_recovered,
            Sae.l0,
            Sae.published_map_id,
            Sae.is_demo,
            FeatureIndex.id.label("index_id"),
            FeatureIndex.live,
            FeatureIndex.two_sided,
            FeatureIndex.tokens,
            is_building.label("is_building"),
        )
        .join(Model, Model.id == Sae.model_id)
        .outerjoin(
            FeatureIndex,
            and_(FeatureIndex.id == Sae.published_index_id, FeatureIndex.state == "published"),
        )
        .order_by(Sae.id)
    )
    return [_summary(row) for row in session.execute(query)]


def _summary(row: Any) -> SaeSummary:
    is_ready = row.index_id is not None
    return SaeSummary(
        id=row.id,
        name=row.name,
        model=row.model,
        model_id=row.model_id,
        layer=row.layer,
        sparsifier=row.sparsifier,
        width=row.d_sae,
        k=row.k,
        state="ready" if is_ready else "indexing" if row.is_building else "new",
        nmse=row.nmse,
        loss_recovered=row.loss_recovered,
        l0=row.l0,
        live=row.live / row.d_sae if is_ready else None,
        two_sided=row.two_sided / max(row.live, 1) if is_ready else None,
        tokens=row.tokens or 0,
        has_map=row.published_map_id is not None,
        is_demo=row.is_demo,
    )


def _changes(changes: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(changes.keys() - _CHANGEABLE)
    if unknown:
        raise ValueError(f"an SAE has no changeable {unknown[0]}: {', '.join(sorted(_CHANGEABLE))}")
    values = {
        name: finite_or_none(value) if name in _METRICS else value
        for name, value in changes.items()
    }
    if "config" in values:
        values["config"] = dump_json(values["config"])
    return values
