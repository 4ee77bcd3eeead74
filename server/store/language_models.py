"""Language models: their shape, and the exact string of every token they know.

Knows the table `model`; loads no weights. Called language_models because `models` is the package
that does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.bulk import insert_for
from server.store.encoding import dump_json, load_json, now
from server.store.named import Named
from server.store.tables import Model


@dataclass(frozen=True)
class ModelRecord:
    """A language model, without its vocabulary (see `vocabulary_of`)."""

    id: int
    name: str
    source: str
    family: str
    d_in: int
    layers: int
    parameters: int
    vocabulary_sha256: str
    bos_token_id: int | None
    is_demo: bool
    created_at: str


_COLUMNS = [Model.__table__.c[name] for name in ModelRecord.__dataclass_fields__]
_MODEL = Named.of(select(*_COLUMNS), Model)


def upsert_model(
    session: Session,
    *,
    name: str,
    source: str,
    family: str,
    d_in: int,
    layers: int,
    parameters: int,
    vocabulary: Sequence[str],
    bos_token_id: int | None = None,
    is_demo: bool = False,
) -> int:
    """The id of the model of this name, added or brought up to date."""
    text = dump_json(list(vocabulary))
    values = {
        "source": source,
        "family": family,
        "d_in": d_in,
        "layers": layers,
        "parameters": parameters,
        "vocabulary": text,
        "vocabulary_sha256": hashlib.sha256(text.encode("ascii")).hexdigest(),
        "bos_token_id": bos_token_id,
        "is_demo": is_demo,
    }
    insert = insert_for(session, Model).values(name=name, created_at=now(), **values)
    upsert = insert.on_conflict_do_update(index_elements=["name"], set_=values)
    return session.execute(upsert.returning(Model.id)).scalar_one()


def get_model(session: Session, key: int | str) -> ModelRecord | None:
    """The model of this id or name; a string of digits is a name first, then an id."""
    row = _MODEL.find(session, key)
    return None if row is None else ModelRecord(**row._mapping)


def list_models(session: Session) -> list[ModelRecord]:
    """Every model, by name."""
    rows = session.execute(select(*_COLUMNS).order_by(Model.name))
    return [ModelRecord(**row._mapping) for row in rows]


def vocabulary_of(session: Session, model_id: int) -> list[str]:
    """The exact string of each token id; raises ValueError if there is no such model."""
    text = session.execute(select(Model.vocabulary).where(Model.id == model_id)).scalar()
    if text is None:
        raise ValueError(f"no model has the id {model_id}")
    return load_json(text)


class Vocabularies:
    """The vocabularies read last, so that a page need not parse one: make one per process.

    A vocabulary that was changed in the database is read again.
    """

    def __init__(self, most: int = 4) -> None:
        self._most = most
        self._held: dict[tuple[int, str], list[str]] = {}
        self._lock = Lock()

    def of(self, session: Session, model_id: int) -> list[str]:
        """What `vocabulary_of` returns; not to be changed by the caller."""
        query = select(Model.vocabulary_sha256).where(Model.id == model_id)
        key = (model_id, session.execute(query).scalar() or "")
        with self._lock:
            held = self._held.pop(key, None)
            if held is not None:
                self._held[key] = held  # now the most recent one
                return held
        vocabulary = vocabulary_of(session, model_id)
        with self._lock:
            self._held[key] = vocabulary
            while len(self._held) > self._most:
                del self._held[next(iter(self._held))]
        return vocabulary
