"""Concepts on the demo model: the gender axis is found, steering by it moves its words both ways."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.concepts.choose import choose_for_steering
from models.concepts.contrasts import load_contrasts
from models.concepts.effect import cut_prompts, distinctive_words, effect_steps
from models.concepts.safety import Judged, wear_steps
from models.steps import run_to_end
from server.protocol.concepts import ConceptRequest, ConceptResponse
from server.worker import concepts as concepts_module
from server.worker.concepts import Concepts, find_concept
from server.worker.shelf import Shelf
from tests.server.worker.steer_shelf import DEMO_LAYER, demo_shelf


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return demo_shelf()


@pytest.fixture(scope="module")
def gender(shelf: Shelf) -> ConceptResponse:
    return answer_of(shelf, ConceptRequest(sae=1, contrast="gender"))


def answer_of(shelf: Shelf, request: ConceptRequest) -> ConceptResponse:
    return run_to_end(find_concept(shelf, request))


def test_gender_is_found_above_chance_and_dim_is_above_the_feature(gender: ConceptResponse) -> None:
    assert gender.null_95 < gender.single.auc.low < gender.single.auc.value
    assert gender.single.auc.value < gender.dim.auc.value


def test_one_feature_chosen_on_train_moves_held_out_words_both_ways(
    gender: ConceptResponse,
) -> None:
    rows = {effect.way: effect for effect in gender.effects}
    assert rows["steering"].is_monotonic
    assert rows["steering"].log_odds[0] < -1 < 1 < rows["steering"].log_odds[-1]
    assert rows["dim"].log_odds[-1] > rows["steering"].log_odds[-1] > 0
    assert not all(rows["steering"].safe), "the band must end within what is measured"


def judge(shelf: Shelf, name: str) -> Judged:
    """The feature chosen on train prompts, judged on held-out ones."""
    contrast, lm, (_, sae) = load_contrasts()[name], shelf.model(1), shelf.sae(1)
    train, test = contrast.pairs("train"), contrast.pairs("test")
    words = distinctive_words(lm, [pair.a for pair in train], [pair.b for pair in train])
    known, held_out = (
        cut_prompts(
            lm, [text for side in ("a", "b") for text in (getattr(p, side) for p in pairs)], words
        )
        for pairs in (train, test)
    )
    chosen = run_to_end(choose_for_steering(lm, sae, DEMO_LAYER, known, words))
    ways = {"steering": chosen.sign * sae.W_dec[chosen.feature]}
    (effect,) = run_to_end(effect_steps(lm, DEMO_LAYER, ways, held_out, words))
    wear = run_to_end(wear_steps(lm, DEMO_LAYER, ways, held_out))
    return Judged(effect, wear["steering"])


def test_one_feature_moves_at_least_five_of_the_seven_concepts_over_its_safe_band(
    shelf: Shelf,
) -> None:
    """Monotonic between the edges of that feature's own band, opposite at ±c, on held-out prompts."""
    contrasts = load_contrasts()
    assert len(contrasts) == 7
    assert all(len(c.pairs("train")) + len(c.pairs("test")) >= 200 for c in contrasts.values())
    judged = {name: judge(shelf, name) for name in contrasts}
    assert all(sum(each.safe) < len(each.safe) for each in judged.values()), "edges are measured"
    assert sum(each.is_monotonic for each in judged.values()) >= 5


def test_texts_of_ones_own_are_halved_and_without_words_to_steer_by_it_says_why(
    shelf: Shelf,
) -> None:
    a, b = ([f"{name} {word} ran home." for word in "abcdefgh"] for name in ("Tim", "Lily"))
    answer = answer_of(shelf, ConceptRequest(sae=1, a=a, b=b))
    assert (answer.texts, answer.train_texts) == (16, 8)
    assert answer.problem
    assert answer.effects == []


def test_where_the_cost_cannot_be_measured_no_effect_is_shown_and_it_says_why(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def effects(*_: object) -> Iterator[None]:
        yield
        return [SimpleNamespace(name="single")]

    def wear(*_: object) -> Iterator[None]:
        yield
        raise ValueError("the prompts leave no room to write")

    monkeypatch.setattr(concepts_module, "choose_for_steering", lambda *_: iter(()))
    monkeypatch.setattr(concepts_module, "directions_of", lambda *_: {})
    monkeypatch.setattr(concepts_module, "effect_steps", effects)
    monkeypatch.setattr(concepts_module, "wear_steps", wear)
    a, b = ([f"{name} {word} ran home." for word in "abcdefgh"] for name in ("Tim", "Lily"))
    answer = answer_of(shelf, ConceptRequest(sae=1, a=a, b=b))
    assert answer.problem == "the prompts leave no room to write"
    assert answer.effects == []


def own_texts(sae: int = 1) -> ConceptRequest:
    a, b = ([f"{name} {word} ran home." for word in "abcdefgh"] for name in ("Tim", "Lily"))
    return ConceptRequest(sae=sae, a=a, b=b)


def test_a_question_is_worked_on_once_and_another_sae_is_asked_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | str] = []

    def count(shelf: Shelf, request: ConceptRequest):
        asked.append(request.sae)
        return find_concept(shelf, request)

    monkeypatch.setattr(concepts_module, "find_concept", count)
    concepts = Concepts()
    first, again, axes = (run_to_end(concepts.steps(shelf, own_texts(sae))) for sae in (1, 1, 2))
    assert again == first
    assert axes.sae == 2
    assert asked == [1, 2]


def test_an_answer_outlives_the_process_that_gave_it_but_not_the_weights(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_to_end(Concepts(tmp_path).steps(shelf, own_texts()))
    monkeypatch.setattr(concepts_module, "find_concept", None)  # not to be called
    assert run_to_end(Concepts(tmp_path).steps(shelf, own_texts())) == first
    monkeypatch.setattr(concepts_module, "weights_mark", lambda _: "others")
    with pytest.raises(TypeError):
        run_to_end(Concepts(tmp_path).steps(shelf, own_texts()))


def test_an_unknown_contrast_is_refused_with_those_there_are(shelf: Shelf) -> None:
    with pytest.raises(ValueError, match="gender, sentiment"):
        answer_of(shelf, ConceptRequest(sae=1, contrast="colour"))


def test_neither_contrast_nor_lists_is_refused() -> None:
    with pytest.raises(ValueError, match="one of the two"):
        ConceptRequest(sae=1)
