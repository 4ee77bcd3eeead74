from typing import NamedTuple

from bs4 import BeautifulSoup

from frontend.token_strip import token_strip


class Part(NamedTuple):
    text: str
    value: float = 0.0
    css: str = "pos-0"
    special: bool = False
    is_extreme: bool = False


def strip(*parts: Part) -> BeautifulSoup:
    return BeautifulSoup(str(token_strip(parts)), "html.parser")


def test_a_value_is_a_colour_a_text_and_a_word():
    token = strip(Part(" she", -3.2, "neg-10", is_extreme=True)).span
    assert token["class"] == ["tok", "neg-10", "extreme"]
    assert token["data-value"] == "−3.20"
    assert token.select_one(".sr").text.strip() == "(minus 3.2)"


def test_zero_has_neither():
    token = strip(Part(" the cat")).span
    assert token["class"] == ["tok"]
    assert "data-value" not in token.attrs


def test_a_special_token_is_shown_as_one():
    assert strip(Part("<|endoftext|>", special=True)).span["class"] == ["tok", "special"]


def test_markup_in_a_token_stays_text():
    soup = strip(Part("<script>alert(1)</script>", 1.0, "pos-10"), Part("&amp;"))
    assert soup.script is None
    assert "&amp;" in soup.text
