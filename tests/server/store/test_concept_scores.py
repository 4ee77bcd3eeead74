import math

import pytest

from server.store.concept_scores import (
    ConceptScoreRow,
    list_concept_scores,
    write_concept_scores,
)

ROW = ConceptScoreRow("plural", 7, -1, "many", "one", 0.9, 0.7, 0.6, 0.01, 50)


def test_scores_read_back_best_first(database, world):
    with database.read() as session:
        scores = list_concept_scores(session, world.index)
    assert [(score.concept, score.auc) for score in scores] == [
        ("gender", 0.97),
        ("sentiment", 0.84),
        ("tense", 0.58),
    ]
    assert scores[0] == ConceptScoreRow(
        "gender", 0, 1, "female", "male", 0.97, 0.8, 0.61, 0.001, 120
    )


def test_writing_again_replaces_the_scores(database, world):
    with database.write() as session:
        write_concept_scores(session, world.index, [ROW])
        assert list_concept_scores(session, world.index) == [ROW]
        write_concept_scores(session, world.index, [])
        assert list_concept_scores(session, world.index) == []


def test_scores_of_an_unpublished_index_are_not_shown(database, world):
    with database.write() as session:
        write_concept_scores(session, world.building_index, [ROW])
        assert list_concept_scores(session, world.building_index) == []


def test_a_score_that_is_no_number_is_refused(database, world):
    with database.write() as session, pytest.raises(ValueError, match="auc of plural"):
        write_concept_scores(
            session, world.index, [ConceptScoreRow(**{**ROW.__dict__, "auc": math.nan})]
        )
