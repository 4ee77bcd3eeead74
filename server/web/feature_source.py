"""Reads one feature for a page or a script, flipped if asked.

Knows the store and the flip; 404 says what to do next.
"""

from collections.abc import Container
from typing import Literal

from fastapi import HTTPException
from sqlalchemy.orm import Session

from server.store.explanations import get_explanation
from server.store.features import ALL_KINDS, get_feature, labels_of
from server.store.language_models import Vocabularies
from server.store.saes import SaeRecord
from server.web.feature_view import View, feature_view, partners_of
from server.web.flip import flip_feature

Pole = Literal["+", "-", " "]
"""A plus sign in an address is often sent as it is, and then means a space."""


def read_feature(
    session: Session,
    sae: SaeRecord,
    feature: int,
    pole: Pole,
    vocabularies: Vocabularies,
    kinds: Container[int] = ALL_KINDS,
) -> View:
    """The JSON of one feature; with pole "-", seen from its other side.

    Lists of contexts of other `kinds` stay empty.
    """
    vocabulary = vocabularies.of(session, sae.model_id)
    record = get_feature(session, sae, feature, vocabulary=vocabulary, kinds=kinds)
    if record is None:
        raise HTTPException(404, _why_missing(sae, feature))
    labels = labels_of(session, record.index_id, partners_of(record))
    view = feature_view(record, sae, get_explanation(session, sae.id, feature), labels)
    return flip_feature(view) if pole == "-" else view


def _why_missing(sae: SaeRecord, feature: int) -> str:
    if not 0 <= feature < sae.d_sae:
        return (
            f"{sae.name} has the features 0 to {sae.d_sae - 1}, so there is no feature {feature}."
        )
    if sae.published_index_id is None:
        return (
            f"{sae.name} is not indexed yet, so its features cannot be shown."
            f" Run dipole index --sae {sae.id} --text FILE, or wait for the run in the library."
        )
    return f"The index of {sae.name} does not hold feature {feature}. Its table at /sae/{sae.id} lists those it does."
