"""The safe band of a direction: where texts break, and what is asked of the words within it."""

import pytest
import torch
from torch.testing import assert_close

from models.concepts.effect import Effect
from models.concepts.safety import Judged, Wear, directions_as_sae, wear_steps
from models.generate import Edit, Row, generate
from models.language_model import LanguageModel
from models.steps import run_to_end

SHARES = (-2.0, -1.0, 0.0, 1.0, 2.0)


def judged(
    log_odds: list[float],
    kl: list[float] | None = None,
    loss: list[float] | None = None,
    repetition: list[float] | None = None,
) -> Judged:
    none = [0.0] * 5
    effect = Effect("x", SHARES, log_odds, none, kl or none)
    wear = [Wear(*each) for each in zip(loss or none, repetition or none, strict=True)]
    return Judged(effect, wear)


@pytest.mark.parametrize("broken", ["kl", "loss", "repetition"])
def test_each_measure_alone_ends_the_band(broken: str) -> None:
    found = judged([-2, -1, 0, 1, 2], **{broken: [9.0, 0.0, 0.0, 0.0, 9.0]})
    assert found.safe == [False, True, True, True, False]
    assert found.is_monotonic


def test_a_safe_strength_beyond_a_broken_one_does_not_widen_the_band() -> None:
    found = judged([-2, -1, 0, 1, 2], loss=[0.0, 9.0, 0.0, 0.0, 0.0])
    assert found.safe == [False, False, True, True, True]
    assert not found.is_monotonic, "one side has no safe strength"


@pytest.mark.parametrize(
    ("log_odds", "answer"),
    [
        ([-2, -1, 0, 1, 2], True),
        ([-1, -1.5, 0, 1, 2], False),
        ([2, 1, 0, -1, -2], False),
        ([2, 1, 0, 1, 2], False),
    ],
)
def test_moving_both_ways_means_rising_at_every_step(log_odds: list[float], answer: bool) -> None:
    assert judged(log_odds).is_monotonic is answer


def test_what_happens_beyond_the_band_does_not_count() -> None:
    found = judged([5, -1, 0, 1, -7], kl=[9.0, 1.0, 0.0, 1.0, 9.0])
    assert found.is_monotonic


def test_the_unsteered_text_is_not_worn_and_a_hard_push_breaks_it(lm: LanguageModel) -> None:
    direction = torch.randn(lm.d_in, generator=torch.Generator().manual_seed(0))
    prompts = [lm.tokenize(text) for text in ("Once upon a time", "The boy saw", "It was a cold")]
    steps = wear_steps(lm, 1, {"x": direction}, prompts, (0.0, 50.0))
    plain, pushed = run_to_end(steps)["x"]
    assert plain == Wear(0.0, 0.0)
    assert pushed.loss > 0.1


def test_directions_steer_like_unit_latents(lm: LanguageModel) -> None:

    direction = 5 * torch.randn(lm.d_in, generator=torch.Generator().manual_seed(0))
    axes = directions_as_sae([direction])
    edit = Edit(axes, 1, 0, "add", 3.0)
    assert_close(edit.shift, 3 * direction / direction.norm())
    row = Row(lm.tokenize("The boy"), [edit], 4)
    assert len(list(generate(lm, [row]))) == len(row.written)
