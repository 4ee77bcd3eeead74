"""Steering at equal ‖Δh‖ on the demo model: a known axis moves its words, a random one does not."""

from collections import Counter

import pytest
import torch

from models.concepts.choose import Chosen, choose_for_steering
from models.concepts.contrasts import load_contrasts
from models.concepts.effect import (
    MOST_PROMPTS,
    TOKENS,
    Effect,
    Words,
    cut_prompts,
    distinctive_words,
    effect_steps,
    pad_prompts,
    prompts_at_once,
)
from models.concepts.safety import wear_steps
from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae
from models.steps import run_to_end
from server.worker.library import DEMO_MODEL, DEMO_SAES

A = ["The girl ran to her mother.", "She was a good girl.", "Her mother smiled and she sang."] * 2
B = ["The boy ran to his father.", "He was a good boy.", "His father smiled and he sang."] * 2


def measured(*arguments) -> list[Effect]:
    return run_to_end(effect_steps(*arguments))


@pytest.fixture(scope="module")
def demo() -> LanguageModel:
    return LanguageModel.load(str(DEMO_MODEL), name="demo")


def test_distinctive_words_are_those_of_one_side_only(demo: LanguageModel) -> None:
    words = distinctive_words(demo, A, B)
    texts = [{demo.vocabulary[token].strip() for token in side} for side in words]
    assert {"girl", "her", "She"} <= texts[0]
    assert {"boy", "his", "He"} <= texts[1]
    assert not (texts[0] | texts[1]) & {"ran", "good", ".", "smiled"}


def test_prompts_end_before_the_first_word_that_tells(demo: LanguageModel) -> None:
    words = distinctive_words(demo, A, B)
    prompts = cut_prompts(demo, ["Once there was a girl who ran.", "She ran."], words)
    assert [demo.tokenizer.decode(prompt[1:]) for prompt in prompts] == ["Once there was a"]


def test_of_too_many_prompts_both_sides_keep_their_share(demo: LanguageModel) -> None:
    names = [f"{first}{last}" for first in "abcdefghij" for last in "klmnopqrst"]
    texts = [f"{side} {name} was" for side in ("The big", "A small") for name in names]
    prompts = cut_prompts(
        demo, [f"{text} a girl." for text in texts], distinctive_words(demo, A, B)
    )
    assert len(prompts) == MOST_PROMPTS
    sides = Counter(demo.tokenizer.decode(prompt[1:]).split()[0] for prompt in prompts)
    assert sides == {"The": MOST_PROMPTS // 2, "A": MOST_PROMPTS // 2}


def test_texts_longer_than_the_context_give_prompts_that_leave_room(lm: LanguageModel) -> None:
    words = Words([lm.tokenize("girl")[-1]], [lm.tokenize("boy")[-1]])
    filler = [f"{number} " + "x" * length for number, length in enumerate((20, 60, 90, 500))]
    prompts = cut_prompts(lm, [f"{text} girl" for text in filler], words)
    assert prompts
    assert max(map(len, prompts)) <= lm.context - TOKENS
    wear = run_to_end(wear_steps(lm, 1, {"x": torch.ones(lm.d_in)}, prompts, (-0.1, 0.0, 0.1)))
    assert len(wear["x"]) == 3


def test_prompts_in_parts_give_what_all_at_once_give(
    demo: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = distinctive_words(demo, A, B)
    texts = ["Once there was a girl.", "One day, the old boy ran.", "In the house sat her mother."]
    prompts = cut_prompts(demo, texts, words)
    sae = load_sae(DEMO_SAES / "abstopk")

    def both() -> tuple[list[Effect], Chosen]:
        ways = {"first": sae.W_dec[0]}
        effects = measured(demo, 4, ways, prompts, words, (-0.2, 0.0, 0.2))
        return effects, run_to_end(choose_for_steering(demo, sae, 4, prompts, words))

    (whole,), chosen = both()
    monkeypatch.setattr("models.concepts.effect.LOGITS", 1)
    (parts,), again = both()
    assert len(list(prompts_at_once(demo, pad_prompts(prompts, demo.device)[0]))) == 3
    for name in ("log_odds", "loss_rise", "kl"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-4)
    assert (again.feature, again.sign) == (chosen.feature, chosen.sign)


def test_a_gender_axis_moves_gender_words_both_ways_and_a_random_one_does_not(
    demo: LanguageModel,
) -> None:
    contrast = load_contrasts()["gender"]
    train, test = contrast.pairs("train"), contrast.pairs("test")
    words = distinctive_words(demo, [p.a for p in train], [p.b for p in train])
    prompts = cut_prompts(demo, [text for p in test for text in (p.a, p.b)], words)
    axis = load_sae(DEMO_SAES / "axes").W_dec[0]
    noise = torch.randn(len(axis), generator=torch.Generator().manual_seed(0))
    shares = (-0.15, -0.05, 0.0, 0.05, 0.15)
    known, random = measured(demo, 4, {"axis": axis, "random": noise}, prompts, words, shares)
    assert known.log_odds == sorted(known.log_odds)
    assert known.log_odds[2] == random.log_odds[2] == 0
    assert known.log_odds[-1] - known.log_odds[0] > 3 * abs(
        random.log_odds[-1] - random.log_odds[0]
    )
    assert known.kl[2] == pytest.approx(0, abs=1e-6)
    assert known.loss_rise[2] == 0


def test_equal_shares_push_equally_hard_whatever_the_length_given(demo: LanguageModel) -> None:
    words = distinctive_words(demo, A, B)
    prompts = cut_prompts(demo, ["Once there was a girl who ran."], words)
    axis = load_sae(DEMO_SAES / "axes").W_dec[0]
    one, ten = measured(demo, 4, {"1": axis, "10": 10 * axis}, prompts, words, (0.0, 0.1))
    assert one.log_odds == pytest.approx(ten.log_odds, abs=1e-4)


def test_without_words_or_prompts_it_says_what_to_give(demo: LanguageModel) -> None:
    words = distinctive_words(demo, ["a b"] * 3, ["a b"] * 3)
    with pytest.raises(ValueError, match="give longer texts"):
        measured(demo, 4, {}, [], words)
