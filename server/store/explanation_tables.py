"""The table of explanations: what a language model says of a feature's poles, and how well it fits.

Knows columns, keys and the conditions a row must meet; no query.
"""

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from server.store.base import Base


class Explanation(Base):
    """One model's words for one feature, with the stored sign; scores are balanced accuracies.

    It belongs to the SAE, not to an index: a re-indexed feature keeps what was said of it.
    """

    __tablename__ = "explanation"
    __table_args__ = (
        UniqueConstraint("sae_id", "feature", "model"),
        CheckConstraint(
            "coalesce(detection_pos, 0) BETWEEN 0 AND 1"
            " AND coalesce(detection_neg, 0) BETWEEN 0 AND 1"
            " AND coalesce(sign, 0) BETWEEN 0 AND 1"
            " AND coalesce(sign_swapped, 0) BETWEEN 0 AND 1",
            name="scores",
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sae_id: Mapped[int] = mapped_column(ForeignKey("sae.id"))
    feature: Mapped[int]
    model: Mapped[str]
    text_pos: Mapped[str]
    text_neg: Mapped[str]
    text_axis: Mapped[str]
    detection_pos: Mapped[float | None]
    detection_neg: Mapped[float | None]
    sign: Mapped[float | None]
    sign_swapped: Mapped[float | None]
    contexts: Mapped[int]
    created_at: Mapped[str]
