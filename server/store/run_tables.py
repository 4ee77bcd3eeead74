"""The table of a run's points: what was measured while it worked.

Knows columns and keys; no query.
"""

from sqlalchemy import ForeignKey, PrimaryKeyConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from server.store.base import Base


class RunPoint(Base):
    """Figures of one moment of a run, a JSON object; `done` is the run's progress then."""

    __tablename__ = "run_point"
    __table_args__ = (PrimaryKeyConstraint("run_id", "done"),)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), autoincrement=False)
    done: Mapped[float]
    attempt: Mapped[int]
    figures: Mapped[str] = mapped_column(Text)
