"""A feature as a card: labels, histogram, a few contexts of each pole or of one.

Knows how a card is put together from the parts of the feature page; no route.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from frontend.filters import axis_name
from server.store.index_rows import EXTREME
from server.store.language_models import Vocabularies, get_model
from server.store.saes import SaeRecord
from server.web.contexts import Half
from server.web.feature_parts import half_of
from server.web.feature_source import Pole, read_feature
from server.web.histogram import HistogramView, histogram_view


@dataclass(frozen=True)
class Card:
    """One feature in short; `halves` holds both poles, or the one that is asked for."""

    sae: SaeRecord
    feature: int
    name: str
    minus_label: str
    plus_label: str
    histogram: HistogramView | None
    halves: Sequence[Half]
    shown: int
    """How many contexts of each pole."""
    url: str


def card_of(
    session: Session,
    vocabularies: Vocabularies,
    sae: SaeRecord,
    feature: int,
    *,
    pole: Pole = "+",
    poles: Sequence[str] = ("-", "+"),
    contexts: int = 5,
) -> Card:
    """The card of a feature, flipped with pole "-". Raises HTTPException 404 where there is none."""
    view = read_feature(session, sae, feature, pole, vocabularies, {EXTREME})
    model = get_model(session, sae.model_id)
    special_ids = set() if model is None or model.bos_token_id is None else {model.bos_token_id}
    halves = {side: half_of(view, side, sae, special_ids, is_whole=True) for side in ("-", "+")}
    suffix = "?pole=-" if view["pole"] == "-" else ""
    return Card(
        sae=sae,
        feature=feature,
        name=axis_name(view["label"], *(view["poles"][side]["label"] for side in ("-", "+"))),
        minus_label=halves["-"].label,
        plus_label=halves["+"].label,
        histogram=histogram_view(view),
        halves=[halves[side] for side in poles],
        shown=contexts,
        url=f"/sae/{sae.id}/feature/{feature}{suffix}",
    )
