"""From the arrays of an index to rows of the store, published in one step.

A half-written index stays invisible and is removed. Knows nothing of how the arrays came about.
"""

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from models.concepts.score import ConceptScore
from models.concepts.word_sets import load_word_sets
from models.heap import give_back
from models.index.indexer import Indexer
from models.index.opposition import Opposition
from models.language_model import LanguageModel
from server.store.concept_scores import ConceptScoreRow, write_concept_scores
from server.store.indexes import (
    begin_index,
    delete_index,
    list_indexes,
    publish_index,
    write_example_lists,
    write_features,
)
from server.store.session import Database, StorageFull
from server.worker.example_rows import ExampleRows
from server.worker.feature_facts import FeatureFacts
from server.worker.library import Corpus
from server.worker.opposing import write_opposition
from server.worker.progress import TaskFailed
from server.worker.signs import fix_flips

FEATURES_AT_ONCE = 512  # whose examples go into one short transaction
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
    flips: bytes | None = None,
    opposition: Opposition | None = None,
    is_alone: bool = False,
) -> int:
    """Write one index and make it the one that is shown; returns its id.

    `axis_labels` names the (−, +) poles of Difference-in-Mean axes; `flips` are the signs that the
    indexer's SAE has been given, stored with the SAE's first index (see `signs`). With `is_alone`, no
    other run is at work, and what killed ones left half-written is removed. Raises TaskFailed, with
    the old index still shown, when the disk is full.
    """
    with _named_failure():
        with database.write() as session:
            index_id = begin_index(session, sae_id, corpus.id)
        if is_alone:
            _delete_others(database, sae_id, index_id, "building")  # left by a killed process
        try:
            with _without_collector():
                _write_rows(database, lm, index_id, indexer, axis_labels)
                if opposition is not None:
                    write_opposition(database, index_id, opposition)
            firings = indexer.statistics.firings
            with _without_collector(), database.write() as session:
                write_concept_scores(session, index_id, _concept_rows(scores))
                publish_index(
                    session,
                    index_id,
                    indexer.statistics.tokens,
                    windows,
                    int((firings.sum(0) > 0).sum()),
                    int((firings >= TWO_SIDED).all(0).sum()),
                )
                fix_flips(session, sae_id, flips)
        except BaseException:
            with suppress(Exception):
                _delete(database, index_id)  # else the next run does
            raise
    _delete_others(database, sae_id, index_id, "replaced")
    return index_id


def _write_rows(
    database: Database,
    lm: LanguageModel,
    index_id: int,
    indexer: Indexer,
    axis_labels: list[tuple[str, str]] | None,
) -> None:
    count = indexer.sae.config.d_sae
    facts, examples = FeatureFacts(lm, indexer, axis_labels), ExampleRows(indexer)
    give_back()
    for part in _ranges(count, facts.at_once):
        rows = list(facts.rows(part))
        with database.write() as session:
            write_features(session, index_id, rows)
    for part in _ranges(count, FEATURES_AT_ONCE):
        lists = list(examples.lists(part))
        with database.write() as session:
            write_example_lists(session, index_id, lists)


def _ranges(count: int, step: int) -> Iterator[range]:
    return (range(start, min(start + step, count)) for start in range(0, count, step))


def _delete_others(database: Database, sae_id: int, index_id: int, state: str) -> None:
    """Remove the SAE's other indexes in this state, a few features at a time."""
    with database.read() as session:
        old = [index.id for index in list_indexes(session, sae_id) if index.state == state]
    for other in old:
        if other != index_id:
            _delete(database, other)


def _delete(database: Database, index_id: int) -> None:
    """Remove one index in transactions as short as those that wrote it."""
    is_gone = False
    while not is_gone:
        with database.write() as session:
            is_gone = delete_index(session, index_id, FEATURES_AT_ONCE)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the search for cycles: rows have none, and each search walks all that the model holds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _named_failure() -> Iterator[None]:
    """A full disk in words."""
    try:
        yield
    except StorageFull as error:
        raise TaskFailed(f"{error}; what was shown before is still shown") from error


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
            None if math.isnan(score.null_95) else score.null_95,
            score.p_value,
            score.pairs,
        )
        for score in scores
    ]
