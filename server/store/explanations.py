"""What language models said of features: written once per feature and model, read by the page.

Knows the table `explanation`; texts and scores come from elsewhere.
"""

from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.bulk import insert_for
from server.store.encoding import LARGEST_ID, finite_or_none, now
from server.store.explanation_tables import Explanation


@dataclass(frozen=True)
class ExplanationRecord:
    """One model's words for both poles and the axis between them; a text is "" for an empty pole.

    `detection_*`: balanced accuracy in telling held-out contexts of that pole from random ones by
    its text. `sign`: in telling + from − contexts by both texts; `sign_swapped`: the same with the
    texts exchanged, which a text that carries the sign takes below one half. None: not scored.
    `contexts`: how many were judged.
    """

    sae_id: int
    feature: int
    model: str
    text_pos: str
    text_neg: str
    text_axis: str
    detection_pos: float | None
    detection_neg: float | None
    sign: float | None
    sign_swapped: float | None
    contexts: int
    created_at: str = ""
    """Set when it is written."""

    @property
    def axis(self) -> str:
        """The axis from − to + as "A ↔ B", which can be turned round; "" if a pole is empty.

        Where the model named it otherwise ("from A to B", "B-ness"), the words of both poles.
        """
        if not (self.text_neg and self.text_pos):
            return ""
        said = [end.strip() for end in self.text_axis.split("↔")]
        poles = [text.replace("↔", "").strip() for text in (self.text_neg, self.text_pos)]
        return " ↔ ".join(said if len(said) > 1 and all(said) else poles)


_COLUMNS = [Explanation.__table__.c[name] for name in ExplanationRecord.__dataclass_fields__]
_SCORES = ("detection_pos", "detection_neg", "sign", "sign_swapped")


def write_explanation(session: Session, record: ExplanationRecord) -> None:
    """Store one explanation; what the same model said of the same feature before is replaced."""
    values = asdict(record) | {name: finite_or_none(getattr(record, name)) for name in _SCORES}
    values["created_at"] = now()
    insert = insert_for(session, Explanation).values(values)
    keys = ("sae_id", "feature", "model")
    changed = {name: value for name, value in values.items() if name not in keys}
    session.execute(insert.on_conflict_do_update(index_elements=list(keys), set_=changed))


def get_explanation(session: Session, sae_id: int, feature: int) -> ExplanationRecord | None:
    """The newest explanation of a feature, whichever model's it is."""
    if not 0 <= feature <= LARGEST_ID:
        return None
    query = (
        select(*_COLUMNS)
        .where(Explanation.sae_id == sae_id, Explanation.feature == feature)
        .order_by(Explanation.created_at.desc(), Explanation.id.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else ExplanationRecord(**row._mapping)


def explained_features(session: Session, sae_id: int, model: str) -> set[int]:
    """The features of an SAE that this model has explained already."""
    query = select(Explanation.feature).where(
        Explanation.sae_id == sae_id, Explanation.model == model
    )
    return set(session.execute(query).scalars())
