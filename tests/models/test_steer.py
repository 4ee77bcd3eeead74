"""Steering: each operation against plain arithmetic, rows against single runs, zero against nothing."""

import pytest
import torch
from torch.testing import assert_close

from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.steer import SteerEdit, apply_edit, choose_token, generate
from tests.models.tiny import tiny_lm

PROMPT = "Once upon a time there was a girl"


def make_sae(d_in: int = 32) -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(d_in, 40, "abstopk", 6, input_scale=0.5))
    sae.initialise(torch.Generator().manual_seed(1))
    return sae.eval().requires_grad_(False)


def run(lm: LanguageModel, edits: list[SteerEdit], rows: int, **options: object) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in range(rows)]
    for token in generate(lm, lm.tokenize(PROMPT), edits, rows, 20, **options):  # type: ignore[arg-type]
        texts[token.row].append(token.token_id)
    return texts


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2", "llama", "gemma2", "qwen2"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_strength_zero_is_the_unsteered_text(family: str, temperature: float) -> None:
    lm, sae = tiny_lm(family), make_sae()
    plain = run(lm, [], 1, temperature=temperature)
    assert run(lm, [SteerEdit(sae, 1, 3, "add", (0.0,))], 1, temperature=temperature) == plain
    assert run(lm, [SteerEdit(sae, 1, 3, "scale", (1.0,))], 1, temperature=temperature) == plain


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2", "llama", "gemma2", "qwen2"])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_every_row_of_a_batch_equals_its_single_run(family: str, temperature: float) -> None:
    lm, sae = tiny_lm(family), make_sae()
    strengths = (-60.0, -5.0, 0.0, 5.0, 60.0)
    together = run(lm, [SteerEdit(sae, 1, 3, "add", strengths)], 5, temperature=temperature)
    for strength, text in zip(strengths, together, strict=True):
        assert run(lm, [SteerEdit(sae, 1, 3, "add", (strength,))], 1, temperature=temperature) == [
            text
        ]
    assert len({tuple(text) for text in together}) > 1, "strong strengths must change the text"


def test_neutral_rows_come_back_bit_for_bit() -> None:
    hidden = torch.randn(3, 5, 32)
    edited = apply_edit(hidden, SteerEdit(make_sae(), 0, 3, "add", (0.0, 1.0, 0.0)))
    assert torch.equal(edited[[0, 2]], hidden[[0, 2]])
    assert not torch.equal(edited[1], hidden[1])


@pytest.mark.parametrize("strength", [-2.0, 0.0, 3.0])
def test_each_operation_is_its_formula(strength: float) -> None:
    sae, hidden = make_sae(), torch.randn(1, 5, 32)
    d, s = sae.W_dec[3], sae.config.input_scale
    z = sae.encode(hidden[0])[:, 3:4]
    expected = {
        "add": hidden + strength * d / s,
        "clamp": hidden + (strength - z) * d / s,
        "scale": hidden + (strength - 1) * z * d / s,
        "project": hidden - (hidden @ d)[..., None] * d + strength * d / s,
    }
    for operation, value in expected.items():
        assert_close(apply_edit(hidden, SteerEdit(sae, 0, 3, operation, (strength,))), value)  # type: ignore[arg-type]


def test_edits_leave_position_zero_alone_and_reach_every_later_token(lm: LanguageModel) -> None:
    sae, seen = make_sae(), []
    original = lm.intervene

    def spy(edits):
        return original(
            {
                layer: lambda h, f=edit: seen.append((h, f(h))) or seen[-1][1]
                for layer, edit in edits.items()
            }
        )

    lm.intervene = spy  # type: ignore[method-assign]
    try:
        list(generate(lm, lm.tokenize(PROMPT), [SteerEdit(sae, 1, 3, "add", (4.0,))], 1, 4))
    finally:
        del lm.intervene
    before, after = seen[0]
    assert torch.equal(before[:, 0], after[:, 0])
    change = 4.0 * sae.W_dec[3] / 0.5
    assert_close(
        after[:, 1:] - before[:, 1:], change.expand_as(before[:, 1:]), atol=1e-4, rtol=1e-4
    )
    for before, after in seen[1:]:
        assert_close(after - before, change.expand_as(before), atol=1e-4, rtol=1e-4)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(lm: LanguageModel) -> None:
    assert run(lm, [], 1, seed=1, temperature=1.5) == run(lm, [], 2, seed=1, temperature=1.5)[:1]
    assert run(lm, [], 1, seed=1, temperature=1.5) != run(lm, [], 1, seed=2, temperature=1.5)


def test_drawing_follows_the_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0]]).repeat(3000, 1)
    draws = torch.arange(3000) / 3000
    chosen = torch.stack([choose_token(logits[:1], 1.0, float(draw)) for draw in draws])
    shares = torch.bincount(chosen.flatten(), minlength=3) / 3000
    assert_close(shares, logits[0].softmax(0), atol=1e-3, rtol=0)


def test_too_long_a_text_is_refused_with_both_numbers(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="at most 128"):
        next(generate(lm, list(range(1, 120)), [], 1, 50))


def test_a_feature_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="0 to 39"):
        SteerEdit(make_sae(), 0, 40, "add", (1.0,))
