"""One feature of an SAE's published index, with its examples, and labels of several.

Knows how rows of `feature`, `example` and `seq` make one dashboard; nothing of unpublished
indexes is ever returned.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from server.store.corpora import get_sequences
from server.store.encoding import LARGEST_ID, load_json, unpack_json
from server.store.example_lists import unpack_list
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
from server.store.index_rows import EXTREME, INTERVAL, MEAN, SAMPLES, TURN
from server.store.language_models import vocabulary_of
from server.store.saes import SaeRecord
from server.store.tables import Example, Feature, FeatureIndex

ALL_KINDS = (EXTREME, MEAN, INTERVAL, TURN)

# Made once: building a statement takes longer than a database takes to answer it.
_IS_SHOWN = (FeatureIndex.id == Feature.index_id) & (FeatureIndex.state == "published")
_FEATURE = (
    select(
        *Feature.__table__.c, FeatureIndex.corpus_id, FeatureIndex.tokens, FeatureIndex.null_summary
    )
    .join(FeatureIndex, _IS_SHOWN)
    .where(Feature.index_id == bindparam("index"), Feature.feature == bindparam("feature"))
)
_LABELS = (
    select(Feature.feature, Feature.label)
    .join(FeatureIndex, _IS_SHOWN)
    .where(
        Feature.index_id == bindparam("index"),
        Feature.feature.in_(bindparam("features", expanding=True)),
    )
)
_EXAMPLES = (
    select(Example.kind, Example.pole, Example.packed)
    .where(Example.index_id == bindparam("index"), Example.feature == bindparam("feature"))
    .order_by(Example.kind, Example.pole)
)


def get_feature(
    session: Session,
    sae: SaeRecord,
    feature: int,
    *,
    contexts: int = 20,
    radius: int | None = None,
    vocabulary: Sequence[str] | None = None,
    kinds: Container[int] = ALL_KINDS,
) -> FeatureRecord | None:
    """One feature with at most `contexts` contexts per pole and kind; None if it is not indexed.

    `radius` cuts contexts to so many tokens on either side of the extreme one. `vocabulary` saves
    reading the model's (see `language_models.Vocabularies`). Lists of other `kinds` stay empty.
    """
    if not 0 <= feature <= LARGEST_ID:
        return None
    asked = {"index": sae.published_index_id, "feature": feature}
    row = session.execute(_FEATURE, asked).one_or_none()
    if row is None:
        return None
    if vocabulary is None:
        vocabulary = vocabulary_of(session, sae.model_id)
    details = unpack_json(row.details)
    examples = _read_contexts(session, row, contexts, radius, vocabulary, kinds)
    return FeatureRecord(
        sae_id=sae.id,
        index_id=row.index_id,
        feature=feature,
        label=row.label,
        tokens=row.tokens,
        pole_balance=row.pole_balance,
        opposition=row.opposition,
        consistency=row.consistency,
        null_summary=None if row.null_summary is None else load_json(row.null_summary),
        histogram=read_histogram(details),
        neighbours=_read_neighbours(session, row.index_id, details),
        details=details,
        poles={pole: _read_pole(row, pole, details, examples) for pole in POLES},
    )


def labels_of(session: Session, index_id: int, features: Iterable[int]) -> dict[int, str]:
    """The labels of features of a published index; those it does not have are left out."""
    asked = {"index": index_id, "features": sorted({int(feature) for feature in features})}
    if not asked["features"]:
        return {}
    return {row.feature: row.label for row in session.execute(_LABELS, asked)}


_Contexts = dict[tuple[int, int], list[tuple[int, ContextRecord]]]


def _read_contexts(
    session: Session,
    row: Any,
    most: int,
    radius: int | None,
    vocabulary: Sequence[str],
    kinds: Container[int],
) -> _Contexts:
    """Contexts with their ranks, in their order, by (kind, pole)."""
    asked = {"index": row.index_id, "feature": row.feature}
    examples = [
        example
        for kind, pole, packed in session.execute(_EXAMPLES, asked).all()
        if kind in kinds
        for example in unpack_list(kind, pole, packed, None if kind == INTERVAL else most)
    ]
    sequences = get_sequences(session, row.corpus_id, {example.seq for example in examples})
    contexts: _Contexts = {}
    for example in examples:
        window = sequences[example.seq]
        context = read_context(
            example, window.token_ids, vocabulary, window.document, window.start, radius
        )
        contexts.setdefault((example.kind, example.pole), []).append((example.rank, context))
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
    row: Any,
    pole: str,
    details: dict[str, Any],
    examples: _Contexts,
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
        contexts=_unranked(examples.get((EXTREME, number), ())),
        contexts_by_mean=_unranked(examples.get((MEAN, number), ())),
        samples=_samples(examples.get((INTERVAL, number), ())),
        turns=_unranked(examples.get((TURN, number), ())),
    )


def _samples(
    ranked: Sequence[tuple[int, ContextRecord]],
) -> dict[int, tuple[ContextRecord, ...]]:
    intervals: dict[int, list[ContextRecord]] = {}
    for rank, context in ranked:
        intervals.setdefault(rank // SAMPLES, []).append(context)
    return {interval: tuple(contexts) for interval, contexts in intervals.items()}


def _unranked(ranked: Sequence[tuple[int, ContextRecord]]) -> tuple[ContextRecord, ...]:
    return tuple(context for _, context in ranked)
