"""What the head of a feature's page says of the concepts it is an axis of.

Knows the stored concept scores and which of them count, and what was kept with an axis made from
lists of texts; computes no score.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from frontend.filters import fixed, percent
from server.store.concept_scores import ConceptScoreRow, list_concept_scores
from server.store.saes import SaeRecord
from server.web.contexts import Fact
from server.web.look_first import beats_null


def concept_facts(session: Session, sae: SaeRecord, feature: int, pole: str) -> list[Fact]:
    """How well an axis tells its own texts apart; the concepts it is the best axis of, beyond their null."""
    made = [_made(axis, pole) for axis in sae.config.get("axes", [])[feature : feature + 1]]
    if sae.published_index_id is None:
        return made
    return made + [
        _fact(row, row.sign if pole == "+" else -row.sign)
        for row in list_concept_scores(session, sae.published_index_id)
        if row.feature == feature and beats_null(row)
    ]


def _made(axis: Mapping[str, Any], pole: str) -> Fact:
    """The AUC that was measured when the axis was made; the side that is + in this view projects higher."""
    side = axis["side_a" if pole == "+" else "side_b"] or pole
    note = f"how often a text of the side {side} that did not make the axis projects higher"
    if "auc_low" not in axis:
        return Fact("held-out AUC", fixed(axis["auc"]), note)
    interval = f"[{fixed(axis['auc_low'])}, {fixed(axis['auc_high'])}]"
    return Fact("held-out AUC", f"{fixed(axis['auc'])} {interval}", f"{note}, of {axis['texts']}")


def _fact(row: ConceptScoreRow, sign: int) -> Fact:
    plus, minus = (row.side_a, row.side_b) if sign > 0 else (row.side_b, row.side_a)
    note = (
        f"by the mean over a passage: right on {percent(row.both_signs, 0)} of held-out ones, "
        f"random words reach {percent(row.null_95, 0)}"
    )
    return Fact(row.concept, f"− {minus} ↔ {plus} +", note)
