from types import SimpleNamespace
from typing import cast

import pytest

from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae
from server.protocol import ContrastRequest
from server.worker.contrast import contrast
from server.worker.library import DEMO_MODEL, DEMO_SAES
from server.worker.shelf import Shelf

GENDER = 0
SHE, HE = "She was a happy little girl.", "He was a happy little boy."


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """The demo model with its Difference-in-Mean axes; gender is the first of them."""
    lm = LanguageModel.load(str(DEMO_MODEL), name="demo")
    axes = load_sae(DEMO_SAES / "axes")
    record = SimpleNamespace(id=1, model_id=1, layer=4, name="axes", d_sae=axes.config.d_sae)
    return cast(Shelf, SimpleNamespace(sae=lambda _key: (record, axes), model=lambda _key: lm))


def ask(shelf: Shelf, a: list[str], b: list[str], mode: str = "pair"):
    return contrast(shelf, ContrastRequest.model_validate({"sae": 1, "mode": mode, "a": a, "b": b}))


def test_identical_texts_give_no_feature(shelf: Shelf):
    answer = ask(shelf, [SHE], [SHE])
    assert (answer.flipped, answer.changed) == ([], [])


@pytest.mark.parametrize(("a", "b"), [(SHE, HE), ("She was happy.", "He was happy.")])
def test_the_gender_axis_comes_first_on_a_minimal_pair_and_its_sign_flips(
    shelf: Shelf, a: str, b: str
):
    first = ask(shelf, [a], [b]).flipped[0]
    assert first.feature == GENDER
    assert first.mean_a * first.mean_b < 0


def test_a_pair_is_compared_from_its_first_differing_token_on(shelf: Shelf):
    answer = ask(shelf, ["Then she ran."], ["Then he ran."])
    assert (
        answer.tokens_a[1 : answer.first_difference] == answer.tokens_b[1 : answer.first_difference]
    )
    place = answer.first_difference
    assert answer.tokens_a[place] != answer.tokens_b[place]
    for entry in (*answer.flipped, *answer.changed):
        values = entry.activations_a[place:]
        assert entry.mean_a == pytest.approx(sum(values) / len(values), rel=1e-4)


def test_swapping_the_ends_reverses_the_order(shelf: Shelf):
    girls = ["The girl smiled at her mother.", "She was a princess."]
    boys = ["The boy smiled at his father.", "He was a prince."]
    forward, backward = ask(shelf, girls, boys, "ends"), ask(shelf, boys, girls, "ends")
    order = [entry.feature for entry in forward.flipped]
    assert order == [entry.feature for entry in reversed(backward.flipped)]
    assert [entry.score for entry in forward.flipped] == pytest.approx(
        [-entry.score for entry in reversed(backward.flipped)]
    )
    assert GENDER in order


def test_a_pair_of_lists_is_refused():
    with pytest.raises(ValueError, match="use mode ends"):
        ContrastRequest(sae=1, mode="pair", a=["x", "y"], b=["z"])
