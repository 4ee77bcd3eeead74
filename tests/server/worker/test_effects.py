"""What the worker says about steering, on the demo model: against plain arithmetic on the same model."""

from collections.abc import Generator
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from server.protocol import Edit
from server.protocol.effects import (
    BandRequest,
    ContributionsRequest,
    RereadRequest,
    ShiftRequest,
    SizesRequest,
)
from server.worker.effects import band, contribute, reread, shift, sizes
from server.worker.shelf import Shelf
from tests.server.worker.steer_shelf import DEMO_LAYER, demo_shelf

PROMPT = "Once upon a time there was a little"
GENDER = Edit(sae=2, feature=0)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return demo_shelf()


def finish(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    """What long work returns, and in how many steps it was done."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def test_pushing_towards_either_pole_moves_the_next_word_that_way(shelf: Shelf) -> None:
    answer = shift(
        shelf, ShiftRequest(model=1, prompt=PROMPT, edits=[GENDER], strengths=[-9, 0, 9], limit=4)
    )
    minus, zero, plus = answer.rows
    assert (zero.kl, zero.promoted, zero.suppressed) == (0.0, [], [])
    assert " boy" in [word.token for word in minus.promoted]
    assert " girl" in [word.token for word in plus.promoted]
    assert " girl" in [word.token for word in minus.suppressed]
    assert all(word.change < 0 for word in plus.suppressed)
    assert [entry.size for entry in answer.oddness] == [9]
    assert 0 < (answer.oddness[0].value or 0) <= 1


def test_only_the_first_edit_takes_the_strengths(shelf: Shelf) -> None:
    other = Edit(sae=1, feature=3, strength=30.0)
    request = ShiftRequest(model=1, prompt=PROMPT, edits=[GENDER, other], strengths=[0.0])
    assert shift(shelf, request).rows[0].kl > 0


def test_the_band_is_the_same_again_and_leaves_room_between_tokens(shelf: Shelf) -> None:
    request = BandRequest(
        model=1, prompt=PROMPT, edit=GENDER, strengths=[-400, -4, 4, 400], tokens=12, seed=3
    )
    first, steps = finish(band(shelf, request))
    assert first == finish(band(shelf, request))[0]
    assert steps >= 12
    assert -400 < first.low <= 0 <= first.high < 400
    assert [row.strength for row in first.rows] == [-400, -4, 0, 4, 400]
    assert not first.rows[0].is_safe
    assert first.rows[2].loss_rise == 0.0
    assert all(row.text for row in first.rows)


@pytest.mark.parametrize("strength", [-20.0, 20.0])
def test_a_clamped_activation_is_in_effect_at_every_written_token(
    shelf: Shelf, strength: float
) -> None:
    lm = shelf.model(1)
    written = lm.tokenize("girl who was happy.")[1:]
    clamp = Edit(sae=1, feature=3, operation="clamp", strength=strength)
    answer = reread(shelf, RereadRequest(model=1, prompt=PROMPT, token_ids=written, edits=[clamp]))
    assert "".join(answer.tokens[answer.written_from :]) == "girl who was happy."
    assert answer.special == [True] + [False] * (len(answer.tokens) - 1)
    effect = torch.tensor(answer.in_effect[1:])
    assert_close(effect, torch.full_like(effect, strength), atol=0.02, rtol=1e-3)
    assert answer.reread != answer.in_effect


def test_a_token_id_the_model_lacks_is_refused(shelf: Shelf) -> None:
    request = RereadRequest(model=1, prompt=PROMPT, token_ids=[10**6], edits=[GENDER])
    with pytest.raises(ValueError, match="token_ids must be 0 to"):
        reread(shelf, request)


def test_sizes_are_those_of_the_residual_stream_of_this_prompt(shelf: Shelf) -> None:
    answer = sizes(
        shelf, SizesRequest(model=1, prompt=PROMPT, edits=[GENDER, Edit(sae=1, feature=3)])
    )
    lm, (_, sae) = shelf.model(1), shelf.sae(1)
    ids = torch.tensor([lm.tokenize(PROMPT)])
    norms = lm.residual(ids, DEMO_LAYER)[0, 1:].norm(dim=-1)
    assert answer.tokens == ids.shape[1] - 1
    assert [size.layer for size in answer.sizes] == [DEMO_LAYER] * 2
    assert answer.sizes[1].median_norm == pytest.approx(float(norms.median()), rel=1e-5)
    assert answer.sizes[1].unit_norm == pytest.approx(1 / sae.config.input_scale, rel=1e-4)


def test_contributions_add_up_and_name_the_words(shelf: Shelf) -> None:
    request = ContributionsRequest(sae=1, text=PROMPT, wanted="girl", other="boy", limit=5)
    answer = contribute(shelf, request)
    parts = [bar.contribution for bar in answer.bars]
    total = sum(parts) + answer.rest + answer.error + answer.bias + answer.later
    assert total == pytest.approx(answer.total, abs=1e-3)
    assert (answer.wanted, answer.other) == (" girl", " boy")
    assert sorted(parts, key=abs, reverse=True) == parts
    assert len(parts) == 5


def test_a_word_of_several_tokens_is_refused_with_an_example(shelf: Shelf) -> None:
    request = ContributionsRequest(sae=1, text=PROMPT, wanted="electromagnetism", other="boy")
    with pytest.raises(ValueError, match="tokens to demo: give a word that is one"):
        contribute(shelf, request)
