"""What to look at first: features whose mean sign tells two kinds of held-out text apart, beyond their null.

Knows the stored concept scores and which of them count; computes no score.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from server.store.concept_scores import ConceptScoreRow, list_concept_scores
from server.store.saes import SaeRecord, get_sae


@dataclass(frozen=True)
class Card:
    """One concept on one SAE; `minus` and `plus` are what the poles stand for."""

    concept: str
    sae: int
    sae_name: str
    feature: int
    url: str
    minus: str
    plus: str
    auc: float
    both_signs: float | None
    null_95: float | None
    p_text: str
    pairs: int


@dataclass(frozen=True)
class LookFirst:
    """Those that beat their null, best first, and those that did not."""

    cards: Sequence[Card]
    unbeaten: Sequence[Card]


def look_first(session: Session, sae_ids: Iterable[int]) -> LookFirst:
    """The cards of these SAEs."""
    cards: list[Card] = []
    unbeaten: list[Card] = []
    for sae_id in sae_ids:
        sae = get_sae(session, sae_id)
        if sae is None or sae.published_index_id is None:
            continue
        for row in list_concept_scores(session, sae.published_index_id):
            (cards if beats_null(row) else unbeaten).append(_card(sae.id, sae.name, row))
    return LookFirst(
        sorted(cards, key=lambda card: (-(card.both_signs or 0), card.concept)),
        sorted(unbeaten, key=lambda card: (card.concept, card.sae_name)),
    )


def concepts_read(session: Session, sae: SaeRecord, feature: int) -> list[str]:
    """The concepts this feature was found for by reading, which says nothing of steering by it.

    Axes made from lists of texts are not found: they are the difference itself.
    """
    if sae.published_index_id is None or sae.sparsifier == "dim":
        return []
    rows = list_concept_scores(session, sae.published_index_id)
    return [row.concept for row in rows if row.feature == feature and beats_null(row)]


def beats_null(row: ConceptScoreRow) -> bool:
    """Whether both signs are right more often than for 95 % of word sets drawn at random.

    Above chance is not enough: the search finds something for any two sets of words, and features
    whose poles are strangers pass (docs/opposition.md).
    """
    if row.both_signs is None or row.null_95 is None:
        return False
    return row.both_signs > row.null_95


def _card(sae_id: int, sae_name: str, row: ConceptScoreRow) -> Card:
    plus, minus = (row.side_a, row.side_b) if row.sign > 0 else (row.side_b, row.side_a)
    return Card(
        concept=row.concept,
        sae=sae_id,
        sae_name=sae_name,
        feature=row.feature,
        url=f"/sae/{sae_id}/feature/{row.feature}?by=mean",
        minus=minus,
        plus=plus,
        auc=row.auc,
        both_signs=row.both_signs,
        null_95=row.null_95,
        p_text=_p_text(row.p_value),
        pairs=row.pairs,
    )


def _p_text(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
