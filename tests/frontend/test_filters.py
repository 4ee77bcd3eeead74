import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontend import filters

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.16, "0.160"), (-0.16, "−0.160"), (1234.5, "1,234.500"), (-1e-9, "0.000"), (None, "–")],
)
def test_a_column_has_the_same_decimals_throughout(value: float | None, text: str):
    assert filters.fixed(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.2, "+3.20"), (-3.2, "−3.20"), (0, "0"), (-0.0, "0"), (None, "–"), (math.nan, "–")],
)
def test_a_signed_number_always_shows_its_sign(value: float | None, text: str):
    assert filters.signed(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.004, 2, "0.00"), (0.04, 1, "0.0"), (-0.4, 0, "0"), (-0.006, 2, "−0.01")],
)
def test_what_rounds_to_zero_has_no_sign(value: float, digits: int, text: str):
    assert filters.signed(value, digits) == text
    assert (filters.spoken(value, digits) == "zero") == ("−" not in text)


@pytest.mark.parametrize(
    ("value", "text"), [(-3.2, "minus 3.2"), (4.0, "plus 4"), (0, "zero"), (None, "zero")]
)
def test_numbers_are_spoken(value: float | None, text: str):
    assert filters.spoken(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"),
        (1, "100.0 %"),
        (0.25, "25.0 %"),
        (0.0002, "0.020 %"),
        (1e-9, "< 0.001 %"),
        (None, "–"),
    ],
)
def test_small_shares_never_read_as_zero(value: float | None, text: str):
    assert filters.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(950, "950"), (12_345, "12.3k"), (1_204_000, "1.2M"), (2e11, "200G"), (None, "–")],
)
def test_long_counts_are_short(value: float | None, text: str):
    assert filters.short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.128, "0.128"), (2.5, "2.5"), (-1200.0, "−1,200"), (0, "0"), (None, "–")]
)
def test_plain_numbers_drop_trailing_zeros(value: float | None, text: str):
    assert filters.number(value) == text


@settings(deadline=None)
@given(finite, st.floats(1e-6, 1e6))
def test_the_ladder_is_odd_and_transparent_only_at_zero(value: float, scale: float):
    sign, step = filters.ladder(value, scale).split("-")
    if value == 0:
        assert (sign, step) == ("pos", "0")
    else:
        assert 1 <= int(step) <= filters.LADDER
        assert sign == ("pos" if value > 0 else "neg")
        assert filters.ladder(-value, scale).split("-")[1] == step


def test_the_largest_magnitude_has_the_fullest_colour():
    assert filters.ladder(-4.0, filters.largest([1.0, -4.0, 3.0])) == "neg-10"


@pytest.mark.parametrize(
    ("token", "text"),
    [
        (" word", " word"),
        ("\n\n", "↵↵"),
        ("\t", "⇥"),
        ("   ", "···"),
        ("\x00", "␀"),
        ("\u202eevil", "⟨U+202E⟩evil"),
        ("\u200b", "⟨U+200B⟩"),
        ("\ud800", "⟨U+D800⟩"),
        ("", ""),
        ("é", "é"),
    ],
)
def test_invisible_characters_are_made_visible(token: str, text: str):
    assert filters.visible(token) == text


def test_a_pole_without_a_label_says_whether_it_fires():
    assert filters.pole_name("", 0.0) == "never fires"
    assert filters.pole_name("", -1.5) == "unlabelled"
    assert filters.pole_name("king", 0.0) == "king"


def test_an_axis_has_a_name_of_its_own_only_if_it_is_not_its_poles():
    assert filters.axis_name("gender", "male", "female") == "gender"
    assert filters.axis_name("male ↔ female", "male", "female") == ""
    assert filters.axis_name("male", "male", "") == ""
