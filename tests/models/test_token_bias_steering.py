"""Steering with a token bias: each position's code is read with that position's own token."""

import pytest
import torch

from models.generate import Edit, GenerationBatch, Row, apply_edit
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from tests.models.small_sae import draw

PROMPTS = ("Once upon a time there was a girl", "The boy saw a big dog")


def make_tokenized(lm: LanguageModel) -> SparseAutoencoder:
    vocabulary = len(lm.vocabulary)
    config = SAEConfig(32, 40, "abstopk", 6, token_bias=True, vocabulary=vocabulary)
    sae = SparseAutoencoder(config)
    sae.initialise(torch.Generator().manual_seed(1))
    sae.set_token_means(3 * draw(vocabulary, 32, seed=2))
    return sae.eval().requires_grad_(False)


def write_plainly(
    lm: LanguageModel, sae: SparseAutoencoder, prompt: str, operation: str, strength: float
) -> list[int]:
    """Greedy, without cache or batch: the whole text through the model again at every token."""
    ids = lm.tokenize(prompt)
    start = len(ids)

    def edit(hidden: torch.Tensor) -> torch.Tensor:
        z = sae.encode(hidden[0, 1:].float(), torch.tensor(ids[1:]))[:, 3:4].to(hidden)
        change = strength - z if operation == "clamp" else (strength - 1) * z
        return torch.cat([hidden[:, :1], hidden[:, 1:] + change * sae.W_dec[3]], dim=1)

    with torch.inference_mode(), lm.intervene({1: edit}):
        while len(ids) < start + 6 and ids[-1] != 0:
            ids.append(int(lm.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[start:]


@pytest.mark.parametrize("operation", ["clamp", "scale"])
def test_generation_reads_each_position_with_its_own_token(
    lm: LanguageModel, operation: str
) -> None:
    sae, strengths = make_tokenized(lm), (9.0, -4.0)
    rows = [
        Row(
            lm.tokenize(prompt),
            [Edit(sae, 1, 3, operation, strength)],  # type: ignore[arg-type]
            6,
            temperature=0.0,
        )
        for prompt, strength in zip(PROMPTS, strengths, strict=True)
    ]
    batch = GenerationBatch(lm)
    for row in rows:
        batch.admit([row])
    while batch.rows:
        batch.step()
    for row, prompt, strength in zip(rows, PROMPTS, strengths, strict=True):
        assert row.written == write_plainly(lm, sae, prompt, operation, strength)


def test_the_tokens_are_needed_only_where_the_code_is_read(lm: LanguageModel) -> None:
    sae, hidden = make_tokenized(lm), draw(1, 5, 32)
    for operation in ("add", "project"):
        edit = Edit(sae, 0, 3, operation, 2.0)  # type: ignore[arg-type]
        assert apply_edit(hidden, edit).shape == hidden.shape
    with pytest.raises(ValueError, match="token_bias needs the token id"):
        apply_edit(hidden, Edit(sae, 0, 3, "clamp", 2.0))
