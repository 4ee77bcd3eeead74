"""What the head of a feature's page says of the concepts it is an axis of.

Knows the stored concept scores and which of them count; computes no score.
"""

from sqlalchemy.orm import Session

from frontend.filters import percent
from server.store.concept_scores import ConceptScoreRow, list_concept_scores
from server.store.saes import SaeRecord
from server.web.contexts import Fact
from server.web.look_first import beats_null


def concept_facts(session: Session, sae: SaeRecord, feature: int, pole: str) -> list[Fact]:
    """The concepts that this feature is the best single axis of, beyond their null."""
    if sae.published_index_id is None:
        return []
    return [
        _fact(row, row.sign if pole == "+" else -row.sign)
        for row in list_concept_scores(session, sae.published_index_id)
        if row.feature == feature and beats_null(row)
    ]


def _fact(row: ConceptScoreRow, sign: int) -> Fact:
    plus, minus = (row.side_a, row.side_b) if sign > 0 else (row.side_b, row.side_a)
    note = (
        f"by the mean over a passage: right on {percent(row.both_signs, 0)} of held-out ones, "
        f"random words reach {percent(row.null_95, 0)}"
    )
    return Fact(row.concept, f"− {minus} ↔ {plus} +", note)
