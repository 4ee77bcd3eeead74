"""What models said of features: one row per feature and model, the newest is shown."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from server.store.explanations import (
    ExplanationRecord,
    explained_features,
    get_explanation,
    write_explanation,
)
from server.store.session import Database
from tests.builders import World


def record(world: World, **changes: object) -> ExplanationRecord:
    values = ExplanationRecord(
        world.abstopk, 4, "rule", "she\x00", "he \ud800", "gender", 0.9, 0.75, 1.0, 0.0, 48
    )
    return replace(values, **changes)


def test_an_explanation_is_read_as_it_was_written(database: Database, world: World) -> None:
    with database.write() as session:
        write_explanation(session, record(world))
    with database.read() as session:
        found = get_explanation(session, world.abstopk, 4)
        nothing = get_explanation(session, world.abstopk, 5), get_explanation(session, 99, 2**70)
    assert found is not None
    assert replace(found, created_at="") == record(world, text_pos="she␀", text_neg="he �")
    assert found.created_at
    assert nothing == (None, None)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cold ↔ hot", "cold ↔ hot"),
        ("cold↔hot ", "cold ↔ hot"),
        ("from cold to hot", "frost ↔ heat"),
        ("temperature", "frost ↔ heat"),
        ("↔ hot", "frost ↔ heat"),
        ("cold ↔ hot ↔", "frost ↔ heat"),
        ("", "frost ↔ heat"),
    ],
)
def test_an_axis_that_cannot_be_turned_is_named_by_its_poles(said: str, shown: str) -> None:
    found = ExplanationRecord(1, 4, "m", "heat", "frost", said, None, None, None, None, 0)
    assert found.axis == shown
    assert replace(found, text_neg="").axis == ""


def test_the_same_model_replaces_what_it_said_and_another_is_newer(
    database: Database, world: World
) -> None:
    for changes in ({}, {"sign": None, "detection_neg": float("nan")}, {"model": "other"}):
        with database.write() as session:
            write_explanation(session, record(world, **changes))
        with database.read() as session:
            found = get_explanation(session, world.abstopk, 4)
            assert found is not None
            assert found.model == changes.get("model", "rule")
            assert found.sign == changes.get("sign", 1.0)
    with database.read() as session:
        assert explained_features(session, world.abstopk, "rule") == {4}
        assert explained_features(session, world.abstopk, "nobody") == set()
        assert explained_features(session, world.topk, "rule") == set()


def test_a_score_outside_0_to_1_is_refused(database: Database, world: World) -> None:
    with pytest.raises(IntegrityError), database.write() as session:
        write_explanation(session, record(world, sign=1.5))
