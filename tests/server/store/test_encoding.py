import json
import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.encoding import (
    clean_text,
    decode_activations,
    decode_numbers,
    decode_tokens,
    dump_json,
    encode_activations,
    encode_numbers,
    encode_tokens,
    finite,
    finite_or_none,
    load_json,
    pack_json,
    unpack_json,
)

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
normal_float32s = st.floats(
    width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False
).filter(bool)


@given(st.lists(st.integers(0, 2**16 - 1)))
def test_short_token_ids_read_back(token_ids):
    assert decode_tokens(encode_tokens(token_ids, 2), 2) == token_ids


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_long_token_ids_read_back(token_ids):
    assert decode_tokens(encode_tokens(token_ids, 4), 4) == token_ids


@given(st.dictionaries(st.integers(0, 2**16 - 1), normal_float32s, max_size=40))
def test_sparse_activations_read_back_with_their_signs_to_sixteen_bits(activations):
    dense = decode_activations(encode_activations(activations.items()), 2**16)
    found = {place: value for place, value in enumerate(dense) if value}
    assert found.keys() == activations.keys()
    for place, value in activations.items():
        assert abs(found[place] - value) <= abs(value) * 2**-16


@given(st.lists(st.integers(-(2**15), 2**15 - 1).filter(bool), max_size=40), st.integers(-20, 20))
def test_activations_of_sixteen_bits_read_back_exactly(whole, exponent):
    pairs = [(place, number * 2.0**exponent) for place, number in enumerate(whole)]
    assert decode_activations(encode_activations(pairs), 40)[: len(whole)] == [v for _, v in pairs]


def test_activations_take_four_bytes_each_and_five_in_long_windows():
    assert len(encode_activations([(3, -0.5), (255, 2.25)])) == 1 + 2 * 4
    assert len(encode_activations([(3, -0.5), (256, 2.25)])) == 1 + 2 * 5
    assert encode_activations([]) == b""


@given(st.lists(float32s))
def test_float32_numbers_read_back(numbers):
    assert list(decode_numbers(encode_numbers(numbers, "f"), "f")) == numbers


@given(st.lists(st.text() | st.sampled_from(["\x00", "\ud800", "\udfff", "</script>"])))
def test_json_is_ascii_and_reads_back_exactly(strings):
    text = dump_json(strings)
    assert text.isascii()
    assert load_json(text) == strings


@given(st.lists(st.text() | float32s | st.sampled_from(["\x00", "\ud800"])))
def test_packed_json_reads_back_exactly(values):
    assert unpack_json(pack_json(values)) == values


def test_json_without_a_meaning_for_nan_refuses_it():
    with pytest.raises(ValueError, match="JSON"):
        dump_json([math.nan])


def test_json_is_what_others_read_too():
    assert json.loads(dump_json({"±": [1, -2.5, None]})) == {"±": [1, -2.5, None]}


@given(st.text(st.characters() | st.sampled_from("\x00\ud800")))
def test_clean_text_can_be_encoded_and_cleaning_it_again_changes_nothing(text):
    cleaned = clean_text(text)
    assert b"\x00" not in cleaned.encode()
    assert clean_text(cleaned) == cleaned


@pytest.mark.parametrize("text", ["", "plain", "müde", "\u202eevil", "😀", "<b>", "a\nb\tc"])
def test_clean_text_leaves_ordinary_text_alone(text):
    assert clean_text(text) == text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused_or_dropped(number):
    assert finite_or_none(number) is None
    with pytest.raises(ValueError, match="the auc must be a finite number"):
        finite(number, "the auc")


@given(st.integers(1, 8).flatmap(lambda n: st.lists(st.integers(0, 99), min_size=n, max_size=n)))
def test_numpy_numbers_become_plain_ones(values):
    assert type(finite(numpy.float32(values[0]), "it")) is float
