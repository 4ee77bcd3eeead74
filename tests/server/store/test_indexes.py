import math
from dataclasses import replace

import numpy
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from server.store.concept_scores import list_concept_scores
from server.store.encoding import encode_activations
from server.store.feature_table import list_features
from server.store.features import get_feature, labels_of
from server.store.index_rows import EXTREME, NEGATIVE, POSITIVE, ExampleRow
from server.store.indexes import (
    begin_index,
    delete_index,
    list_indexes,
    publish_index,
    update_opposition,
    write_features,
)
from server.store.saes import get_sae
from server.store.tables import Example, Feature
from tests.builders import example_rows, feature_row, write_examples


def new_index(session, world, features=range(4), sae: int | None = None) -> int:
    index = begin_index(session, sae or world.abstopk, world.corpus)
    write_features(session, index, [replace(feature_row(f), label=f"new {f}") for f in features])
    write_examples(session, index, [row for f in features for row in example_rows(f)])
    return index


def rows_of(session, index: int) -> tuple[int, int]:
    counts = [
        session.execute(select(func.count()).select_from(t).where(t.index_id == index)).scalar()
        for t in (Feature, Example)
    ]
    return counts[0], counts[1]


def test_a_half_written_index_is_invisible(database, world):
    with database.read() as session:
        sae = get_sae(session, world.topk)
        assert sae.published_index_id is None
        assert get_feature(session, sae, 0) is None
        assert list_features(session, sae).total == 0
        assert labels_of(session, world.building_index, [0]) == {}


def test_a_half_written_index_is_invisible_even_to_someone_who_points_at_it(database, world):
    with database.read() as session:
        sae = replace(get_sae(session, world.topk), published_index_id=world.building_index)
        assert get_feature(session, sae, 0) is None
        assert list_features(session, sae).rows == ()


def test_an_sae_shows_its_old_index_while_the_new_one_is_written(database, world):
    with database.write() as session:
        new_index(session, world)
    with database.read() as session:
        sae = get_sae(session, world.abstopk)
        assert sae.published_index_id == world.index
        assert get_feature(session, sae, 0).label == "king ↔ queen"


def test_publishing_swaps_the_index_at_once(database, world):
    with database.write() as session:
        index = new_index(session, world)
        publish_index(session, index, 10**10, 24, 3, 1)
    with database.read() as session:
        sae = get_sae(session, world.abstopk)
        page = list_features(session, sae)
        states = {record.id: record.state for record in list_indexes(session, world.abstopk)}
    assert [row.label for row in page.rows] == ["new 0", "new 1", "new 2", "new 3"]
    assert states == {world.index: "replaced", index: "published"}


def test_a_reader_keeps_the_old_index_while_the_new_one_is_published(database, world):
    with database.read() as reader:
        before = get_sae(reader, world.abstopk)
        with database.write() as session:
            publish_index(session, new_index(session, world), 10, 1, 3, 1)
        with database.write() as session:
            delete_index(session, world.index)
        after = get_sae(reader, world.abstopk)
        assert after.published_index_id == before.published_index_id == world.index
        assert list_features(reader, after).total == world.width
        assert get_feature(reader, after, 0).label == "king ↔ queen"


def test_a_publication_that_fails_leaves_the_old_index(database, world):
    def fail_half_way() -> None:
        with database.write() as session:
            publish_index(session, new_index(session, world), 10, 1, 3, 1)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    with database.read() as session:
        assert list_features(session, get_sae(session, world.abstopk)).total == world.width


def test_a_published_index_cannot_be_written_published_or_deleted_again(database, world):
    with database.write() as session:
        for attempt in (
            lambda: write_features(session, world.index, [feature_row(40)]),
            lambda: write_examples(session, world.index, example_rows(40)),
            lambda: publish_index(session, world.index, 1, 1, 1, 1),
            lambda: delete_index(session, world.index),
        ):
            with pytest.raises(ValueError, match="is published"):
                attempt()


def test_an_index_that_does_not_exist_is_an_error(database, world):
    with database.write() as session, pytest.raises(ValueError, match="no index has the id 99"):
        write_features(session, 99, [])


def test_numpy_numbers_are_stored_as_numbers(database, world):
    row = replace(
        feature_row(0),
        feature=numpy.int64(0),
        firings_pos=numpy.int32(3 * 10**8),
        density_pos=numpy.float32(0.25),
        max_neg=numpy.float64(-2.5),
    )
    blob = encode_activations([(numpy.int64(3), numpy.float32(-2.5))])
    examples = [
        ExampleRow(
            numpy.int64(0), 0, 1, numpy.int16(0), numpy.int64(2), 3, numpy.float32(-2.5), -0.1, blob
        )
    ]
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [row])
        write_examples(session, index, examples)
        publish_index(session, index, 10**9, 1, 1, 0)
        feature = get_feature(session, get_sae(session, world.abstopk), 0)
    assert (feature.poles["+"].firings, feature.poles["+"].density) == (3 * 10**8, 0.25)
    assert feature.poles["-"].contexts[0].value == -2.5


@pytest.mark.parametrize("column", ["max_neg", "sum_neg", "quantile_neg"])
def test_the_negative_pole_cannot_be_stored_without_its_sign(database, world, column):
    row = replace(feature_row(40), **{column: 1.0})
    with pytest.raises(IntegrityError), database.write() as session:
        write_features(session, world.building_index, [row])


@pytest.mark.parametrize(("pole", "value"), [(POSITIVE, -0.5), (NEGATIVE, 0.5)])
def test_an_example_has_the_sign_of_its_pole(database, world, pole, value):
    row = ExampleRow(40, EXTREME, pole, 0, 0, 0, value, 0.0, b"")
    with pytest.raises(ValueError, match="other pole"), database.write() as session:
        write_examples(session, world.building_index, [row])


@pytest.mark.parametrize("column", ["density_pos", "max_neg", "sum_pos"])
def test_a_number_that_is_none_is_refused(database, world, column):
    row = replace(feature_row(40), **{column: math.nan})
    with pytest.raises(ValueError, match="feature 40 must be"), database.write() as session:
        write_features(session, world.building_index, [row])


def test_a_score_that_is_no_number_is_left_out(database, world):
    with database.write() as session:
        index = begin_index(session, world.abstopk, world.corpus)
        write_features(session, index, [replace(feature_row(0), opposition=math.nan)])
        publish_index(session, index, 1, 1, 1, 1)
        page = list_features(session, get_sae(session, world.abstopk))
    assert page.rows[0].opposition is None


def test_opposition_can_be_added_later_with_its_null(database, world):
    with database.write() as session:
        values = [(0, 0.75), (1, None), (2, math.nan), (numpy.int64(4), numpy.float32(-0.5))]
        update_opposition(session, world.index, values, {"mean": 0.01, "p95": 0.2})
    with database.read() as session:
        sae = get_sae(session, world.abstopk)
        found = [get_feature(session, sae, feature).opposition for feature in (0, 1, 2, 4)]
        assert found == [0.75, None, None, -0.5]
        assert get_feature(session, sae, 0).null_summary == {"mean": 0.01, "p95": 0.2}


def test_opposition_of_one_index_leaves_the_others_alone(database, world):
    with database.write() as session:
        update_opposition(session, world.building_index, [(0, 0.75)], {})
    with database.read() as session:
        assert get_feature(session, get_sae(session, world.abstopk), 0).opposition is None


def test_deleting_an_index_deletes_all_that_belongs_to_it(database, world):
    with database.write() as session:
        publish_index(session, new_index(session, world), 10, 1, 3, 1)
        assert delete_index(session, world.index)
        assert rows_of(session, world.index) == (0, 0)
        assert list_concept_scores(session, world.index) == []
        assert world.index not in [record.id for record in list_indexes(session)]


def test_a_large_index_can_be_deleted_in_short_transactions(database, world):
    with database.write() as session:
        before = rows_of(session, world.building_index)
        gone = delete_index(session, world.building_index, features=3)
        after = rows_of(session, world.building_index)
    assert not gone
    assert 0 < after[1] < before[1]
    calls = 0
    while not gone:
        with database.write() as session:
            gone = delete_index(session, world.building_index, features=3)
        calls += 1
    assert calls < 10
    with database.read() as session:
        assert rows_of(session, world.building_index) == (0, 0)


def test_the_id_of_a_deleted_index_is_not_given_again(database, world):
    with database.write() as session:
        last = begin_index(session, world.topk, world.corpus)
        delete_index(session, last)
        assert begin_index(session, world.topk, world.corpus) > last


def test_a_feature_written_twice_is_an_error(database, world):
    with pytest.raises(IntegrityError), database.write() as session:
        write_features(session, world.building_index, [feature_row(0)])
