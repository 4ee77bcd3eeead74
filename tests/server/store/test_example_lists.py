"""Packed lists of examples: what goes in comes out, whatever order it came in."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.store.encoding import encode_activations, float32
from server.store.example_lists import pack_lists, unpack_list
from server.store.index_rows import EXTREME, INTERVAL, MEAN, TURN, ExampleRow

REAL = st.floats(0, 2.0**99, width=32, allow_subnormal=False)


@st.composite
def rows_of_one_list(draw: st.DrawFn) -> list[ExampleRow]:
    kind = draw(st.sampled_from((EXTREME, MEAN, INTERVAL, TURN)))
    pole = draw(st.integers(0, 1))
    count = draw(st.integers(1, 30))
    ranks = range(count)
    if kind == INTERVAL:
        ranks = draw(st.lists(st.integers(0, 999), min_size=1, max_size=30, unique=True))
    rows = []
    for rank in sorted(ranks):
        value = draw(REAL) * (-1 if pole else 1)
        places = draw(st.sets(st.integers(0, 65_535), max_size=5))
        blob = encode_activations((place, value) for place in sorted(places))
        where = (draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 65_535)))
        rows.append(ExampleRow(7, kind, pole, rank, *where, value, draw(REAL), blob))
    return rows


@settings(max_examples=60, deadline=None)
@given(rows_of_one_list(), st.randoms(use_true_random=False))
def test_a_list_is_read_back_as_it_was_written_in_any_order(
    rows: list[ExampleRow], order: random.Random
) -> None:
    shuffled = order.sample(rows, len(rows))
    (packed,) = pack_lists(shuffled)
    found = unpack_list(packed.kind, packed.pole, packed.packed)
    expected = [
        (
            r.kind,
            r.pole,
            r.rank,
            r.seq,
            r.position,
            float32(r.value),
            float32(r.mean),
            r.activations,
        )
        for r in rows
    ]
    assert [tuple(each) for each in found] == expected
    assert unpack_list(packed.kind, packed.pole, packed.packed, most=2) == found[:2]


def test_rows_of_several_lists_are_told_apart() -> None:
    rows = [
        ExampleRow(feature, kind, pole, 0, feature, 0, 0.0, 0.0, b"")
        for feature in (3, 1)
        for kind in (TURN, EXTREME)
        for pole in (1, 0)
    ]
    found = [(each.feature, each.kind, each.pole) for each in pack_lists(rows)]
    assert found == [(f, k, p) for f in (1, 3) for k in (EXTREME, TURN) for p in (0, 1)]


def test_a_list_with_a_missing_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="feature 4: an example of rank 0 is missing"):
        list(pack_lists([ExampleRow(4, EXTREME, 0, 1, 0, 0, 1.0, 0.0, b"")]))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="an example of feature 4"):
        list(pack_lists([ExampleRow(4, EXTREME, 0, 0, 0, 0, 1.0, number, b"")]))
