"""The tables of one index: its features, their examples, what the features say of concepts.

Knows columns, keys and the conditions a row must meet; no query. Each pole has its own columns
(`_pos`, `_neg`); what belongs to the − pole is stored signed, so never above 0.
"""

from sqlalchemy import CheckConstraint, ForeignKey, PrimaryKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from server.store.base import Base, Count, Small


class FeatureIndex(Base):
    """Everything seen of one SAE over one corpus; read only once `state` is published.

    `features` counts its rows; `revision` rises whenever one of its columns changes.
    """

    __tablename__ = "feature_index"
    __table_args__ = (
        CheckConstraint("state IN ('building', 'published', 'replaced')", name="state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sae_id: Mapped[int] = mapped_column(ForeignKey("sae.id"), index=True)
    corpus_id: Mapped[int] = mapped_column(ForeignKey("corpus.id"))
    tokens: Mapped[int] = mapped_column(Count)
    windows: Mapped[int]
    state: Mapped[str]
    live: Mapped[int]
    two_sided: Mapped[int]
    features: Mapped[int]
    revision: Mapped[int]
    null_summary: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[str]
    published_at: Mapped[str | None]


class Feature(Base):
    """One feature of one index; tables are sorted and filtered by `FeatureColumn`, not by these.

    `words` holds what finds the + pole, a line break, and what finds the − pole, besides their
    labels. `details` is compressed JSON. Long columns come last: a table page never reads them.
    """

    __tablename__ = "feature"

    index_id: Mapped[int] = mapped_column(ForeignKey("feature_index.id"), autoincrement=False)
    feature: Mapped[int] = mapped_column(autoincrement=False)
    label: Mapped[str]
    label_pos: Mapped[str]
    label_neg: Mapped[str]
    firings_pos: Mapped[int] = mapped_column(Count)
    firings_neg: Mapped[int] = mapped_column(Count)
    density_pos: Mapped[float]
    density_neg: Mapped[float]
    sum_pos: Mapped[float]
    sum_neg: Mapped[float]
    max_pos: Mapped[float]
    max_neg: Mapped[float]
    quantile_pos: Mapped[float]
    quantile_neg: Mapped[float]
    pole_balance: Mapped[float | None]
    opposition: Mapped[float | None]
    consistency: Mapped[float | None]
    words: Mapped[str]
    details: Mapped[bytes]

    __table_args__ = (
        PrimaryKeyConstraint("index_id", "feature"),
        CheckConstraint("firings_pos >= 0 AND firings_neg >= 0", name="firings"),
        CheckConstraint("sum_pos >= 0 AND max_pos >= 0 AND quantile_pos >= 0", name="positive"),
        CheckConstraint("sum_neg <= 0 AND max_neg <= 0 AND quantile_neg <= 0", name="negative"),
        {"sqlite_strict": True},
    )


class FeatureColumn(Base):
    """About a thousand numbers of one column of an index, packed; see `server.store.columns`.

    `first` is the feature that the block begins with.
    """

    __tablename__ = "feature_column"
    __table_args__ = (
        PrimaryKeyConstraint("index_id", "name", "first"),
        {"sqlite_strict": True},
    )

    index_id: Mapped[int] = mapped_column(ForeignKey("feature_index.id"), autoincrement=False)
    name: Mapped[str]
    first: Mapped[int] = mapped_column(autoincrement=False)
    numbers: Mapped[bytes]


class Example(Base):
    """The examples of one kind and pole of one feature, packed; see `server.store.example_lists`.

    No foreign key: rows are written and deleted only together with their index.
    """

    __tablename__ = "example"
    __table_args__ = (
        PrimaryKeyConstraint("index_id", "feature", "kind", "pole"),
        CheckConstraint("kind BETWEEN 0 AND 3", name="kind"),
        CheckConstraint("pole IN (0, 1)", name="pole"),
        {"sqlite_strict": True},
    )

    index_id: Mapped[int] = mapped_column(autoincrement=False)
    feature: Mapped[int] = mapped_column(autoincrement=False)
    kind: Mapped[int] = mapped_column(Small, autoincrement=False)
    pole: Mapped[int] = mapped_column(Small, autoincrement=False)
    packed: Mapped[bytes]


class ConceptScore(Base):
    """How well one signed feature, chosen on train sentences, tells a concept's sides apart."""

    __tablename__ = "concept_score"
    __table_args__ = (
        PrimaryKeyConstraint("index_id", "concept"),
        CheckConstraint("sign IN (-1, 1)", name="sign"),
    )

    index_id: Mapped[int] = mapped_column(ForeignKey("feature_index.id"), autoincrement=False)
    concept: Mapped[str]
    feature: Mapped[int]
    sign: Mapped[int]
    side_a: Mapped[str]
    side_b: Mapped[str]
    auc: Mapped[float]
    both_signs: Mapped[float | None]
    null_95: Mapped[float | None]
    p_value: Mapped[float | None]
    pairs: Mapped[int]
