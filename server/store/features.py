"""One feature of an SAE's published index, with its examples, and labels of several.

Knows how rows of `feature`, `example` and `seq` make one dashboard; nothing of unpublished
indexes is ever returned.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.corpora import get_sequences
from server.store.encoding import LARGEST_ID, load_json
from server.store.feature_records import (
    POLES,
    ContextRecord,
    FeatureRecord,
    Neighbour,
    Neighbours,
    PoleRecord,
    read_context,
    read_histogram,
    read_logits,
)
from server.store.index_rows import EXTREME, MEAN
from server.store.language_models import vocabulary_of
from server.store.saes import SaeRecord
from server.store.tables import Example, Feature, FeatureIndex


def get_feature(
    session: Session,
    sae: SaeRecord,
    feature: int,
    *,
    contexts: int = 20,
    radius: int | None = None,
    vocabulary: Sequence[str] | None = None,
) -> FeatureRecord | None:
    """One feature with at most `contexts` contexts per pole and kind; None if it is not indexed.

    `radius` cuts contexts to so many tokens on either side of the extreme one. `vocabulary` saves
    reading the model's (see `language_models.Vocabularies`).
    """
    if not 0 <= feature <= LARGEST_ID:
        return None
    query = (
        select(Feature, FeatureIndex)
        .join(FeatureIndex, FeatureIndex.id == Feature.index_id)
        .where(
            Feature.index_id == sae.published_index_id,
            Feature.feature == feature,
            FeatureIndex.state == "published",
        )
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return None
    row, index = found
    if vocabulary is None:
        vocabulary = vocabulary_of(session, sae.model_id)
    details = load_json(row.details)
    examples = _read_contexts(session, index, feature, contexts, radius, vocabulary)
    return FeatureRecord(
        sae_id=sae.id,
        index_id=index.id,
        feature=feature,
        label=row.label,
        tokens=index.tokens,
        pole_balance=row.pole_balance,
        opposition=row.opposition,
        consistency=row.consistency,
        null_summary=None if index.null_summary is None else load_json(index.null_summary),
        histogram=read_histogram(details),
        neighbours=_read_neighbours(session, index.id, details),
        poles={pole: _read_pole(row, pole, details, examples) for pole in POLES},
    )


def labels_of(session: Session, index_id: int, features: Iterable[int]) -> dict[int, str]:
    """The labels of features of a published index; those it does not have are left out."""
    wanted = sorted({int(feature) for feature in features})
    query = (
        select(Feature.feature, Feature.label)
        .join(FeatureIndex, FeatureIndex.id == Feature.index_id)
        .where(
            Feature.index_id == index_id,
            Feature.feature.in_(wanted),
            FeatureIndex.state == "published",
        )
    )
    return {row.feature: row.label for row in session.execute(query)} if wanted else {}


_EXAMPLE_COLUMNS = (
    Example.kind,
    Example.pole,
    Example.seq,
    Example.position,
    Example.value,
    Example.mean,
    Example.activations,
)


def _read_contexts(
    session: Session,
    index: FeatureIndex,
    feature: int,
    most: int,
    radius: int | None,
    vocabulary: Sequence[str],
) -> dict[tuple[int, int], list[ContextRecord]]:
    """Contexts in rank order by (kind, pole)."""
    query = (
        select(*_EXAMPLE_COLUMNS)
        .where(Example.index_id == index.id, Example.feature == feature, Example.rank < most)
        .order_by(Example.kind, Example.pole, Example.rank)
    )
    examples = session.execute(query).all()
    sequences = get_sequences(session, index.corpus_id, {example.seq for example in examples})
    contexts: dict[tuple[int, int], list[ContextRecord]] = {}
    for example in examples:
        window = sequences[example.seq]
        contexts.setdefault((example.kind, example.pole), []).append(
            read_context(
                example, window.token_ids, vocabulary, window.document, window.start, radius
            )
        )
    return contexts


def _read_neighbours(session: Session, index_id: int, details: dict[str, Any]) -> Neighbours:
    stored = details.get("neighbours", {})
    pairs = {side: stored.get(side, ()) for side in ("aligned", "opposed")}
    labels = labels_of(session, index_id, (pair[0] for side in pairs.values() for pair in side))
    return Neighbours(
        **{
            side: tuple(
                Neighbour(feature, cosine, labels.get(feature, "")) for feature, cosine in found
            )
            for side, found in pairs.items()
        }
    )


def _read_pole(
    row: Feature,
    pole: str,
    details: dict[str, Any],
    examples: dict[tuple[int, int], list[ContextRecord]],
) -> PoleRecord:
    suffix, number = ("pos", 0) if pole == "+" else ("neg", 1)
    promoted, suppressed = read_logits(details, pole)
    return PoleRecord(
        pole=pole,
        label=getattr(row, f"label_{suffix}"),
        firings=getattr(row, f"firings_{suffix}"),
        density=getattr(row, f"density_{suffix}"),
        sum=getattr(row, f"sum_{suffix}"),
        max=getattr(row, f"max_{suffix}"),
        quantile_999=getattr(row, f"quantile_{suffix}"),
        promoted=promoted,
        suppressed=suppressed,
        contexts=tuple(examples.get((EXTREME, number), ())),
        contexts_by_mean=tuple(examples.get((MEAN, number), ())),
    )
