"""From the arrays of an index to rows of the store, published in one step.

A half-written index stays invisible and is removed. Knows nothing of how the arrays came about.
"""

from collections.abc import Iterator

import numpy as np

from models.concepts.score import ConceptScore
from models.concepts.word_sets import load_word_sets
from models.index.details import (
    Neighbours,
    TokenLogits,
    extreme_tokens,
    find_neighbours,
    firings_of,
    label_pole,
    slice_of,
    token_logits,
)
from models.index.indexer import KINDS, POLES, Indexer
from models.language_model import LanguageModel
from server.store.concept_scores import ConceptScoreRow, write_concept_scores
from server.store.encoding import encode_activations
from server.store.index_rows import ExampleRow, FeatureRow
from server.store.indexes import (
    begin_index,
    delete_index,
    list_indexes,
    publish_index,
    write_examples,
    write_features,
)
from server.store.session import Database
from server.worker.library import Corpus

FEATURES_AT_ONCE = 512
TWO_SIDED = 20  # firings on each pole


def publish(
    database: Database,
    lm: LanguageModel,
    sae_id: int,
    indexer: Indexer,
    corpus: Corpus,
    windows: int,
    scores: list[ConceptScore],
    axis_labels: list[tuple[str, str]] | None = None,
) -> int:
    """Write one index and make it the one that is shown; returns its id.

    `axis_labels` names the (−, +) poles of Difference-in-Mean axes.
    """
    with database.write() as session:
        index_id = begin_index(session, sae_id, corpus.id)
    _delete_others(database, sae_id, index_id, "building")  # left by a process that was killed
    try:
        rows = _Rows(lm, indexer, corpus, axis_labels)
        for start in range(0, indexer.sae.config.d_sae, FEATURES_AT_ONCE):
            features = range(start, min(start + FEATURES_AT_ONCE, indexer.sae.config.d_sae))
            feature_rows = list(rows.features(features))
            example_rows = list(rows.examples(features))
            with database.write() as session:
                write_features(session, index_id, feature_rows)
                write_examples(session, index_id, example_rows)
        firings = indexer.statistics.firings
        with database.write() as session:
            write_concept_scores(session, index_id, _concept_rows(scores))
            publish_index(
                session,
                index_id,
                indexer.statistics.tokens,
                windows,
                int((firings.sum(0) > 0).sum()),
                int((firings >= TWO_SIDED).all(0).sum()),
            )
    except BaseException:
        with database.write() as session:
            delete_index(session, index_id)
        raise
    _delete_others(database, sae_id, index_id, "replaced")
    return index_id


def _delete_others(database: Database, sae_id: int, index_id: int, state: str) -> None:
    """Remove the SAE's other indexes in this state, a few features at a time."""
    with database.read() as session:
        old = [index.id for index in list_indexes(session, sae_id) if index.state == state]
    for other in old:
        is_gone = other == index_id
        while not is_gone:
            with database.write() as session:
                is_gone = delete_index(session, other, FEATURES_AT_ONCE)


class _Rows:
    """The rows of one index, made feature range by feature range."""

    def __init__(
        self,
        lm: LanguageModel,
        indexer: Indexer,
        corpus: Corpus,
        axis_labels: list[tuple[str, str]] | None,
    ) -> None:
        self.lm = lm
        self.indexer = indexer
        self.axis_labels = axis_labels
        self.background = corpus.background(len(lm.vocabulary))
        self.top = {key: top.result() for key, top in indexer.top.items()}
        count = indexer.sae.config.d_sae
        self.slices = {key: slice_of(examples, count) for key, examples in self.top.items()}
        self.starts = {
            key: np.cumsum(examples.length) - examples.length for key, examples in self.top.items()
        }
        tokens = [window.tokens for window in corpus.windows]
        self.extremes = {pole: extreme_tokens(self.top["extreme", pole], tokens) for pole in POLES}
        statistics = indexer.statistics
        self.density, self.balance = statistics.density(), statistics.pole_balance()
        self.quantile, self.consistency = statistics.quantile(), statistics.consistency().kappa

    def features(self, features: range) -> Iterator[FeatureRow]:
        """One row per feature, the silent ones included."""
        W_dec = self.indexer.sae.W_dec
        logits = token_logits(self.lm.logit_effect(W_dec[features.start : features.stop]))
        neighbours = find_neighbours(W_dec, features) if len(W_dec) > 1 else None
        statistics = self.indexer.statistics
        for place, feature in enumerate(features):
            words = {pole: self._words(pole, feature) for pole in POLES}
            labels = {pole: ", ".join(words[pole]) for pole in POLES}
            if self.axis_labels is not None:
                labels["-"], labels["+"] = self.axis_labels[feature]
            yield FeatureRow(
                feature=feature,
                label=_axis_label(labels),
                label_pos=labels["+"],
                label_neg=labels["-"],
                firings_pos=int(statistics.firings[0, feature]),
                firings_neg=int(statistics.firings[1, feature]),
                density_pos=float(self.density[0, feature]),
                density_neg=float(self.density[1, feature]),
                sum_pos=float(statistics.sums[0, feature]),
                sum_neg=float(statistics.sums[1, feature]),
                max_pos=float(statistics.extremes[0, feature]),
                max_neg=float(statistics.extremes[1, feature]),
                quantile_pos=float(self.quantile[0, feature]),
                quantile_neg=float(self.quantile[1, feature]),
                pole_balance=_number(self.balance[feature]),
                consistency=_number(self.consistency[feature]),
                details=self._details(feature, place, logits, neighbours),
                tokens_pos=words["+"],
                tokens_neg=words["-"],
            )

    def examples(self, features: range) -> Iterator[ExampleRow]:
        """The examples of both kinds and poles, best first."""
        for (kind, pole), examples in self.top.items():
            for feature in features:
                chosen = self.slices[kind, pole][feature]
                for rank, row in enumerate(range(chosen.start, chosen.stop)):
                    offsets, values = firings_of(examples, row, self.starts[kind, pole])
                    yield ExampleRow(
                        feature,
                        KINDS.index(kind),
                        POLES.index(pole),
                        rank,
                        int(examples.window[row]),
                        int(examples.position[row]),
                        float(examples.value[row]),
                        float(examples.mean[row]),
                        encode_activations(zip(offsets.tolist(), values.tolist(), strict=True)),
                    )

    def _words(self, pole: str, feature: int) -> tuple[str, ...]:
        chosen = self.slices["extreme", pole][feature]
        return label_pole(self.extremes[pole][chosen].tolist(), self.lm.vocabulary, self.background)

    def _details(
        self, feature: int, place: int, logits: TokenLogits, neighbours: Neighbours | None
    ) -> dict[str, object]:
        statistics = self.indexer.statistics
        edges, counts = statistics.display_histogram(feature)
        vocabulary = self.lm.vocabulary
        near = [] if neighbours is None else [array[place].tolist() for array in neighbours]
        return {
            "histogram": {
                "edges": edges,
                "counts": counts,
                "zeros": int(statistics.tokens - statistics.firings[:, feature].sum()),
                "tokens": int(statistics.tokens),
            },
            "promoted": _named(logits.promoted[place], logits.promoted_logits[place], vocabulary),
            "suppressed": _named(
                logits.suppressed[place], logits.suppressed_logits[place], vocabulary
            ),
            "neighbours": {
                "aligned": [list(pair) for pair in zip(*near[:2], strict=True)] if near else [],
                "opposed": [list(pair) for pair in zip(*near[2:], strict=True)] if near else [],
            },
        }


def _named(token_ids: np.ndarray, logits: np.ndarray, vocabulary: list[str]) -> list[list[object]]:
    return [
        [vocabulary[token_id], logit]
        for token_id, logit in zip(token_ids.tolist(), logits.tolist(), strict=True)
    ]


def _axis_label(labels: dict[str, str]) -> str:
    """`− label ↔ + label`; one label alone for a one-sided feature, nothing for a silent one."""
    sides = [labels[pole] for pole in ("-", "+") if labels[pole]]
    return " ↔ ".join(sides)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _concept_rows(scores: list[ConceptScore]) -> list[ConceptScoreRow]:
    sides = {item.name: item for item in load_word_sets()}
    return [
        ConceptScoreRow(
            score.concept,
            score.feature,
            score.sign,
            sides[score.concept].side_a,
            sides[score.concept].side_b,
            score.auc,
            score.both_signs,
            _number(score.null_95),
            score.p_value,
            score.pairs,
        )
        for score in scores
    ]
