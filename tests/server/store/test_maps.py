import math

import numpy
import pytest

from server.store.maps import create_map, get_map, list_metrics, map_columns
from server.store.saes import get_sae

FIELDS = {"metric": "directed", "method": "t-SNE", "perplexity": 5.0, "seed": 3}


def test_a_map_reads_back_to_the_precision_of_float32(database, world):
    with database.read() as session:
        layout = get_map(session, get_sae(session, world.abstopk))
    assert layout.features == tuple(range(32))
    expected = [(math.cos(f) * f, math.sin(f) * f) for f in range(32)]
    numpy.testing.assert_allclose(layout.coordinates, expected, rtol=1e-6)
    assert (layout.metric, layout.trustworthiness) == ("axis", 0.93)


def test_the_newest_map_is_the_one_shown(database, world):
    with database.write() as session:
        coordinates = numpy.array([[0.5, -0.5], [1.5, 2.0]], dtype=numpy.float32)
        created = create_map(
            session, world.abstopk, trustworthiness=math.nan,
            features=numpy.array([3, 4]), coordinates=coordinates, **FIELDS,
        )  # fmt: skip
        layout = get_map(session, get_sae(session, world.abstopk))
    assert (layout.id, layout.features) == (created, (3, 4))
    assert layout.coordinates == ((0.5, -0.5), (1.5, 2.0))
    assert layout.trustworthiness is None


def test_an_sae_without_a_map_has_none(database, world):
    with database.read() as session:
        assert get_map(session, get_sae(session, world.topk)) is None


@pytest.mark.parametrize(
    ("features", "coordinates", "message"),
    [([1, 2], [(0.0, 0.0)], "2 features but 1"), ([1], [(0.0, math.nan)], "finite number")],
)
def test_a_map_that_cannot_be_drawn_is_refused(database, world, features, coordinates, message):
    with database.write() as session, pytest.raises(ValueError, match=message):
        create_map(
            session, world.topk, trustworthiness=None, features=features,
            coordinates=coordinates, **FIELDS,
        )  # fmt: skip


def test_points_carry_what_the_published_index_says(database, world):
    with database.read() as session:
        sae = get_sae(session, world.abstopk)
        columns = map_columns(session, sae, get_map(session, sae))
    assert {len(column) for column in columns.values()} == {32}
    assert columns["feature"] == list(range(32))
    assert columns["label"][0] == "king ↔ queen"
    assert columns["max_neg"][0] < 0 < columns["max_pos"][0]
    assert columns["pole_balance"][world.never] is None


def test_a_map_without_an_index_still_has_its_points(database, world):
    with database.write() as session:
        create_map(
            session,
            world.topk,
            trustworthiness=0.5,
            features=[9],
            coordinates=[(1.0, 2.0)],
            **FIELDS,
        )
        sae = get_sae(session, world.topk)
        columns = map_columns(session, sae, get_map(session, sae))
    assert [columns[name] for name in ("feature", "x", "y", "label")] == [[9], [1.0], [2.0], [""]]


def test_one_map_of_each_metric_is_kept_and_found(database, world):
    with database.write() as session:
        for metric in ("directed", "axis", "directed"):
            newest = create_map(
                session, world.topk, trustworthiness=0.5, features=[1], coordinates=[(0.0, 0.0)],
                **{**FIELDS, "metric": metric},
            )  # fmt: skip
        sae = get_sae(session, world.topk)
        assert list_metrics(session, sae) == ["axis", "directed"]
        assert get_map(session, sae).id == get_map(session, sae, "directed").id == newest
        assert get_map(session, sae, "axis").id == newest - 1
