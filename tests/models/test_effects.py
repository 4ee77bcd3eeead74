"""What steering does: shifts, bands, closed loop and contributions, against plain arithmetic."""

import pytest
import torch
from torch.testing import assert_close

from models.effects.band import Band, Limits, band_steps, repetition, written_loss
from models.effects.contributions import contributions
from models.effects.loop import read_again
from models.effects.shift import next_token_shift, oddness
from models.generate import Edit, Row, generate
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.steps import run_to_end
from tests.models.tiny import CONFIGS, tiny_lm

PROMPT = "Once upon a time there was a girl"
FAMILIES = list(CONFIGS)


def measured(*arguments, **options) -> Band:
    return run_to_end(band_steps(*arguments, **options))


def make_sae(d_in: int = 32) -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(d_in, 40, "abstopk", 6, input_scale=0.5))
    sae.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        sae.b_dec.normal_(generator=torch.Generator().manual_seed(2))
    return sae.eval().requires_grad_(False)


def test_nothing_steered_has_no_shift_and_no_divergence(lm: LanguageModel) -> None:
    shift = next_token_shift(lm, lm.tokenize(PROMPT), [(), (Edit(make_sae(), 1, 3, "add", 0.0),)])
    assert torch.equal(shift.change, torch.zeros_like(shift.change))
    assert torch.equal(shift.kl, torch.zeros(2))


def test_the_shift_is_the_difference_of_two_plain_runs(lm: LanguageModel) -> None:
    sae, ids = make_sae(), torch.tensor([lm.tokenize(PROMPT)])
    edit = Edit(sae, 1, 3, "add", 9.0)
    with torch.inference_mode():
        plain = lm.model(ids).logits[0, -1].log_softmax(-1)
        with lm.intervene({1: lambda h: torch.cat([h[:, :1], h[:, 1:] + edit.shift], 1)}):
            steered = lm.model(ids).logits[0, -1].log_softmax(-1)
    shift = next_token_shift(lm, ids[0].tolist(), [(edit,)])
    assert_close(shift.change[0], steered - plain, atol=1e-4, rtol=1e-4)
    expected = (steered.exp() * (steered - plain)).sum()
    assert_close(shift.kl[0], expected, atol=1e-4, rtol=1e-3)


def test_oddness_is_one_for_a_linear_and_minus_one_for_an_even_effect() -> None:
    change = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert oddness(change, -change) == pytest.approx(1.0, abs=1e-5)
    assert oddness(change, change + 3.0) == pytest.approx(-1.0, abs=1e-5)
    assert torch.isnan(oddness(change, torch.zeros(50)))


def test_repetition_counts_the_n_grams_that_came_before() -> None:
    assert repetition([1, 2, 3, 4, 5]) == 0
    assert repetition([1, 1, 1, 1, 1]) == pytest.approx(2 / 3)
    assert repetition([1, 2]) == 0


def test_the_written_loss_is_the_models_own(lm: LanguageModel) -> None:
    ids = torch.tensor([lm.tokenize(PROMPT)])
    with torch.inference_mode():
        log_probabilities = lm.model(ids).logits[0].log_softmax(-1)
    expected = [-float(log_probabilities[p - 1, ids[0, p]]) for p in range(4, ids.shape[1])]
    found = written_loss(lm, ids[0, :4].tolist(), ids[0, 4:].tolist())
    assert found == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_a_band_ends_before_the_first_unsafe_strength_and_reproduces(lm: LanguageModel) -> None:
    prompt, edit = lm.tokenize(PROMPT), Edit(make_sae(), 1, 3, "add", 0.0)
    strengths = [-400.0, -2.0, -1.0, 1.0, 2.0, 400.0]
    limits = Limits(kl=3.0, loss=100.0, repetition=1.0)
    band = measured(lm, prompt, edit, strengths, 12, seed=3, limits=limits)
    by_strength = {strain.strength: strain for strain in band.strains}
    assert band.unsteered.kl == 0
    for sign, edge in ((-1, band.low), (1, band.high)):
        side = [by_strength[sign * size] for size in (1.0, 2.0, 400.0)]
        safe = [strain.kl <= 3.0 for strain in side]
        assert [strain.is_safe for strain in side] == safe
        expected = 0.0
        for strain, is_safe in zip(side, safe, strict=True):
            if not is_safe:
                break
            expected = strain.strength
        assert edge == expected
    assert measured(lm, prompt, edit, strengths, 12, seed=3, limits=limits) == band


def test_a_band_is_measured_at_the_positions_that_are_steered(lm: LanguageModel) -> None:
    prompt, edit = lm.tokenize(PROMPT), Edit(make_sae(), 1, 3, "add", 0.0)
    everywhere = measured(lm, prompt, edit, [400.0], 12)
    written = measured(lm, prompt, edit, [400.0], 12, positions="generated")
    far = written.strains[-1]
    row = Row(prompt, (Edit(edit.sae, 1, 3, "add", 400.0),), 12, positions="generated")
    list(generate(lm, [row]))
    assert everywhere.strains[-1].kl > 0 == far.kl, "the prompt is read unsteered"
    assert far.tokens == row.written != everywhere.strains[-1].tokens


def test_a_band_of_an_operation_without_zero_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="'clamp'"):
        measured(lm, [1], Edit(make_sae(), 1, 3, "clamp", 1.0), [1.0])


@pytest.mark.parametrize(
    ("operation", "strength"), [("clamp", -7.0), ("add", 5.0), ("scale", -2.0)]
)
def test_the_activation_in_effect_is_what_the_operation_promises(
    lm: LanguageModel, operation: str, strength: float
) -> None:
    sae, prompt = make_sae(), lm.tokenize(PROMPT)
    edit = Edit(sae, 1, 3, operation, strength)  # type: ignore[arg-type]
    row = Row(prompt, (edit,), 10, temperature=0.7)
    list(generate(lm, [row]))
    reading = read_again(lm, prompt, row.written, [edit], edit)
    ids = torch.tensor([[*prompt, *row.written]])
    z = sae.encode(lm.residual(ids, 1)[0].float())[:, 3]
    promised = {"clamp": torch.full_like(z, strength), "add": z + strength, "scale": strength * z}
    assert_close(reading.in_effect[1:], promised[operation][1:], atol=1e-2, rtol=1e-3)
    assert_close(reading.reread[1:], z[1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("operation", ["clamp", "add"])
def test_the_activation_in_effect_is_in_the_latents_units_whatever_its_rows_length(
    lm: LanguageModel, operation: str
) -> None:
    sae, prompt = make_sae(), lm.tokenize(PROMPT)
    with torch.no_grad():
        sae.W_dec.mul_(3)
    edit = Edit(sae, 1, 3, operation, 4.0)  # type: ignore[arg-type]
    reading = read_again(lm, prompt, [5, 6], [edit], edit)
    z = sae.encode(lm.residual(torch.tensor([[*prompt, 5, 6]]), 1)[0].float())[:, 3]
    promised = {"clamp": torch.full_like(z, 4.0), "add": z + 4.0}[operation]
    assert_close(reading.in_effect[1:], promised[1:], atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", [0, 2])
def test_contributions_add_up_to_the_logit_difference(family: str, layer: int) -> None:
    lm, sae = tiny_lm(family), make_sae()
    ids = lm.tokenize(PROMPT)
    parts = contributions(lm, sae, layer, ids, 40, 77, position=-2)
    total = float(parts.features.sum()) + parts.error + parts.bias + parts.later
    assert total == pytest.approx(parts.total, rel=1e-3, abs=1e-3)
    with torch.inference_mode():
        logits = lm.model(torch.tensor([ids])).logits[0, -2].double()
    cap = getattr(lm.model.config, "final_logit_softcapping", None)
    if cap:
        logits = cap * torch.atanh(logits / cap)
    assert parts.total == pytest.approx(float(logits[40] - logits[77]), rel=1e-2, abs=1e-2)


def test_only_latents_that_fire_contribute(lm: LanguageModel) -> None:
    sae, ids = make_sae(), lm.tokenize(PROMPT)
    code = sae.encode(lm.residual(torch.tensor([ids]), 1)[0, -1:].float())[0]
    parts = contributions(lm, sae, 1, ids, 40, 77)
    assert torch.equal(parts.features != 0, code != 0)


def test_a_token_outside_the_vocabulary_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="0 to"):
        contributions(lm, make_sae(), 1, lm.tokenize(PROMPT), 1, 10**6)
