"""What an index's features say of built-in concepts: the best single signed feature of each.

Knows the table `concept_score`; the scores are computed elsewhere.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from server.store.encoding import finite, finite_or_none
from server.store.tables import ConceptScore, FeatureIndex


@dataclass(frozen=True)
class ConceptScoreRow:
    """The single feature chosen on train sentences, scored on held-out ones, beside its null.

    `sign`: +1 if the + pole stands for `side_a`, -1 if the − pole does. `both_signs`: share of the
    held-out pairs whose sides have opposite signs. `null_95`: the 95 % point of `auc` under
    shuffled labels, `p_value` its rank in that null.
    """

    concept: str
    feature: int
    sign: int
    side_a: str
    side_b: str
    auc: float
    both_signs: float | None
    null_95: float | None
    p_value: float | None
    pairs: int


def write_concept_scores(session: Session, index_id: int, rows: Iterable[ConceptScoreRow]) -> None:
    """Replace the scores of an index."""
    session.execute(delete(ConceptScore).where(ConceptScore.index_id == index_id))
    values = [
        {
            **asdict(row),
            "index_id": index_id,
            "feature": int(row.feature),
            "sign": int(row.sign),
            "auc": finite(row.auc, f"the auc of {row.concept}"),
            "both_signs": finite_or_none(row.both_signs),
            "null_95": finite_or_none(row.null_95),
            "p_value": finite_or_none(row.p_value),
        }
        for row in rows
    ]
    if values:
        session.execute(insert(ConceptScore), values)


def list_concept_scores(session: Session, index_id: int) -> list[ConceptScoreRow]:
    """The scores of a published index, best first; none of any other."""
    columns = [ConceptScore.__table__.c[name] for name in ConceptScoreRow.__dataclass_fields__]
    query = (
        select(*columns)
        .join(FeatureIndex, FeatureIndex.id == ConceptScore.index_id)
        .where(ConceptScore.index_id == index_id, FeatureIndex.state == "published")
        .order_by(ConceptScore.auc.desc(), ConceptScore.concept)
    )
    return [ConceptScoreRow(**row._mapping) for row in session.execute(query)]
