"""Questions to an explaining model, its answers, and what the tests of its words score."""

import numpy as np
import pytest

from models.explain.answers import MalformedAnswer, read_judgements, read_words
from models.explain.interview import interview
from models.explain.prompts import Snippet, Words, ask_detection, ask_sign, ask_words, cut, mark
from models.explain.trial import Context, PoleContexts, Trial, divide, make_trial


def snippet(word: str, value: float) -> Snippet:
    return Snippet((" the", f" {word}", " ran"), (0.0, value, 0.0))


def context(word: str, value: float, document: int) -> Context:
    return Context(snippet(word, value), document, value)


def test_the_question_shows_signed_activations_and_the_tests_show_none() -> None:
    plus, minus = [snippet("girl", 8.0)], [snippet("boy", -4.0)]
    asked = ask_words(plus, minus).prompt
    assert " girl{+9} ran" in asked
    assert " boy{-4} ran" in asked  # half of the strongest, rounded to even
    words = Words("girls", "boys", "gender")
    for question in (ask_detection("+", "girls", plus), ask_sign(words, [*plus, *minus])):
        assert "{+" not in question.prompt
        assert "1. <text> the girl ran</text>" in question.prompt


def test_the_axis_is_asked_for_in_a_form_that_can_be_turned() -> None:
    prompt = ask_words([snippet("girl", 8.0)], [snippet("boy", -4.0)]).prompt
    assert "in the form A ↔ B: A in a word or two for the - pole, B for the + pole" in prompt
    assert '"axis": "… ↔ …"' in prompt


def test_an_empty_pole_is_said_to_be_empty() -> None:
    assert "- pole: none, it is empty" in ask_words([snippet("girl", 1.0)], []).prompt


def test_faint_tokens_are_not_marked_and_position_0_is_never_cut_in() -> None:
    assert mark(Snippet((" a", " b"), (0.4, -9.0)), 9.0) == " a b{-9}"
    assert cut(["<bos>", " a", " b"], [0.0, 1.0, 2.0], 2) == Snippet((" a", " b"), (1.0, 2.0))


@pytest.mark.parametrize(
    "answer",
    [
        '{"plus": "girls", "minus": "boys", "axis": "gender"}',
        '```json\n{"plus": " girls ", "minus": "boys",\n "axis": "gender"}\n```',
        '<think>{"plus": "no"} hm</think> {"plus": "girls", "minus": "boys", "axis": "gender"}',
    ],
)
def test_words_are_read_out_of_fences_and_behind_thoughts(answer: str) -> None:
    assert read_words(answer, True, True) == Words("girls", "boys", "gender")


@pytest.mark.parametrize(
    "answer", ["", "girls", "{", '{"plus": "girls"}', '["girls"]', '{"plus": 3}']
)
def test_words_that_are_missing_are_an_error(answer: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_words(answer, True, True)


def test_the_words_of_an_empty_pole_are_dropped() -> None:
    answer = '{"plus": "girls", "minus": "made up", "axis": "made up"}'
    assert read_words(answer, True, False) == Words("girls", "", "")


@pytest.mark.parametrize(
    "answer",
    [
        '{"answers": [1]}',
        '{"answers": [1, 2]}',
        '{"answers": [1, "0"]}',
        '{"answers": "10"}',
        "1, 0",
    ],
)
def test_judgements_of_another_number_or_kind_are_an_error(answer: str) -> None:
    with pytest.raises(MalformedAnswer):
        read_judgements(answer, 2)
    assert read_judgements('{"answers": [1, 0]}', 2) == [True, False]


def test_no_document_is_both_shown_and_tested_and_loud_random_contexts_are_left_out() -> None:
    found = {
        "+": [context("girl", 9.0 - n, n) for n in range(6)],
        "-": [context("boy", n - 9.0, n + 3) for n in range(6)],
    }
    random = [context("dog", 0.0, 20), context("girl", 8.0, 21), context("boy", -8.0, 22)]
    divided = divide(found, random)
    shown = {s for pole in divided.values() for s in pole.shown}
    tested = {s for pole in divided.values() for s in pole.held_out}
    assert shown & tested == set()
    assert [s.text for s in divided["+"].quiet] == [" the dog ran", " the boy ran"]
    assert [s.text for s in divided["-"].quiet] == [" the dog ran", " the girl ran"]


def test_balanced_accuracy_of_true_false_and_constant_answers() -> None:
    trial = make_trial(
        [snippet("girl", 1.0)] * 3, [snippet("boy", -1.0)] * 4, np.random.default_rng(0)
    )
    assert trial is not None
    assert sorted(trial.truth) == [False] * 3 + [True] * 3
    assert trial.balanced_accuracy(trial.truth) == 1
    assert trial.balanced_accuracy([not each for each in trial.truth]) == 0
    assert trial.balanced_accuracy([True] * 6) == 0.5
    assert Trial((), (True, False, False)).balanced_accuracy([True, True, False]) == 0.75
    assert (
        make_trial([snippet("girl", 1.0)], [snippet("boy", 1.0)] * 9, np.random.default_rng(0))
        is None
    )


def test_a_one_sided_feature_has_one_detection_score_and_no_sign_score() -> None:
    plus = PoleContexts(
        (snippet("girl", 1.0),), (snippet("girl", 1.0),) * 2, (snippet("dog", 0.0),) * 2
    )
    answers = iter(['{"plus": "girls", "minus": "", "axis": ""}', '{"answers": [1, 1, 1, 1]}'])
    found = interview({"+": plus, "-": PoleContexts((), (), ())}, lambda _: next(answers), 0)
    assert found == (Words("girls", "", ""), {"+": 0.5, "-": None}, None, None, 4)


def test_a_feature_without_contexts_is_not_asked_about() -> None:
    nothing = PoleContexts((), (), ())
    with pytest.raises(ValueError, match="no contexts"):
        interview({"+": nothing, "-": nothing}, lambda _: "never", 0)
