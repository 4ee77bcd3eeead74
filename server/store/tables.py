"""The tables of models, texts, SAEs, maps and runs, and a name for every table.

Knows columns, keys and the conditions a row must meet; no query. What is seen of features has its
tables in `index_tables`.
"""

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from server.store.base import Base, Count, Small
from server.store.explanation_tables import Explanation
from server.store.index_tables import (
    ConceptScore,
    Example,
    Feature,
    FeatureColumn,
    FeatureIndex,
)
from server.store.run_tables import RunPoint

__all__ = [
    "Base",
    "ConceptScore",
    "Corpus",
    "Example",
    "Explanation",
    "Feature",
    "FeatureColumn",
    "FeatureIndex",
    "Map",
    "Model",
    "Run",
    "RunPoint",
    "Sae",
    "Sequence",
]


SEARCH = "feature_search"
"""The full-text index has a table too, of each database's own kind: made by the migrations, used
by `search`, and not described here."""


def is_described(name: str | None, kind: str, parents: object) -> bool:
    """Whether a table found in a database should be compared with those described here."""
    return kind != "table" or name is None or not name.startswith(SEARCH)


class Model(Base):
    """A language model; `vocabulary` is a JSON list with the exact string of every token id."""

    __tablename__ = "model"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    family: Mapped[str]
    d_in: Mapped[int]
    layers: Mapped[int]
    parameters: Mapped[int] = mapped_column(Count)
    vocabulary: Mapped[str] = mapped_column(Text)
    vocabulary_sha256: Mapped[str]
    bos_token_id: Mapped[int | None]
    is_demo: Mapped[bool]
    created_at: Mapped[str]


class Corpus(Base):
    """A text, cut into windows of one model's tokens."""

    __tablename__ = "corpus"
    __table_args__ = (UniqueConstraint("model_id", "fingerprint"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    source: Mapped[str]
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"))
    fingerprint: Mapped[str]
    windows: Mapped[int]
    tokens: Mapped[int] = mapped_column(Count)
    context: Mapped[int]
    bos_policy: Mapped[str]
    packing: Mapped[str | None]
    created_at: Mapped[str]


class Sequence(Base):
    """One window of a corpus, stored once; `tokens` are little-endian unsigned integers."""

    __tablename__ = "seq"
    __table_args__ = (
        PrimaryKeyConstraint("corpus_id", "seq"),
        CheckConstraint("token_bytes IN (2, 4)", name="token_bytes"),
        {"sqlite_strict": True},
    )

    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpus.id"), autoincrement=False)
    seq: Mapped[int] = mapped_column(autoincrement=False)
    document: Mapped[int]
    start: Mapped[int]
    token_bytes: Mapped[int] = mapped_column(Small)
    tokens: Mapped[bytes]


class Sae(Base):
    """A sparse autoencoder, or (sparsifier "dim") a set of difference-in-mean axes.

    `flips`: one bit per feature, in the order of `numpy.packbits`: whether its stored weights are
    negated when they are loaded. Set once, so that the sign of a feature never changes again.
    """

    __tablename__ = "sae"
    __table_args__ = (
        ForeignKeyConstraint(["published_index_id"], ["feature_index.id"], use_alter=True),
        ForeignKeyConstraint(["published_map_id"], ["map.id"], use_alter=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"))
    layer: Mapped[int]
    hook: Mapped[str]
    sparsifier: Mapped[str]
    d_in: Mapped[int]
    d_sae: Mapped[int]
    k: Mapped[int | None]
    path: Mapped[str]
    sha256: Mapped[str]
    config: Mapped[str] = mapped_column(Text)
    nmse: Mapped[float | None]
    loss_recovered: Mapped[float | None]
    l0: Mapped[float | None]
    cosine: Mapped[float | None]
    evaluated_tokens: Mapped[int] = mapped_column(Count)
    published_index_id: Mapped[int | None]
    published_map_id: Mapped[int | None]
    flips: Mapped[bytes | None]
    is_demo: Mapped[bool]
    created_at: Mapped[str]


class Map(Base):
    """A layout of one SAE's decoder rows in two dimensions."""

    __tablename__ = "map"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    sae_id: Mapped[int] = mapped_column(ForeignKey("sae.id"), index=True)
    metric: Mapped[str]
    method: Mapped[str]
    perplexity: Mapped[float]
    seed: Mapped[int]
    trustworthiness: Mapped[float | None]
    items: Mapped[int]
    coordinates: Mapped[bytes]
    features: Mapped[bytes]
    created_at: Mapped[str]


class Run(Base):
    """One piece of long work; this row, not the process that does it, is the truth about it."""

    __tablename__ = "run"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="state"
        ),
        Index("ix_run_state", "state", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    attempt: Mapped[int]
    payload: Mapped[str] = mapped_column(Text)
    done: Mapped[float]
    total: Mapped[float]
    message: Mapped[str]
    error: Mapped[str | None]
    result: Mapped[str | None] = mapped_column(Text)
    cancel_requested: Mapped[bool]
    created_at: Mapped[str]
    started_at: Mapped[str | None]
    finished_at: Mapped[str | None]
    heartbeat_at: Mapped[str | None]
