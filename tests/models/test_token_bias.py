"""The token bias: means by token, looked up and added back, in every caller."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from models.concepts.sentences import cut_sentences, mean_activations
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from tests.models.small_sae import (
    D_IN,
    D_SAE,
    LEARNS_FROM_ROWS,
    VOCABULARY,
    draw,
    draw_tokens,
    make_sae,
)


def make_tokenized(kind: str, **options: object) -> SparseAutoencoder:
    return make_sae(kind, token_bias=True, vocabulary=VOCABULARY, **options)


@pytest.mark.parametrize("kind", LEARNS_FROM_ROWS)
def test_the_latents_code_what_the_token_does_not_predict(kind: str) -> None:
    sae, plain = make_tokenized(kind, input_scale=1.7), make_sae(kind)
    x, tokens = draw(12, D_IN), draw_tokens(12)
    rest = 1.7 * x - sae.token_means[tokens]
    assert_close(sae.encode(x, tokens), plain.encode(rest))
    assert_close(sae.encode_sparse(x, tokens).dense(D_SAE), plain.encode(rest))
    x_hat = (plain.decode(plain.encode(rest)) + sae.token_means[tokens]) / 1.7
    assert_close(sae.decode(sae.encode(x, tokens), tokens), x_hat)
    output = sae(x, tokens)
    assert_close(output.target, rest)
    assert_close((output.reconstruction + sae.token_means[tokens]) / 1.7, x_hat)


def test_missing_or_mismatched_token_ids_are_refused() -> None:
    sae, x = make_tokenized("abstopk"), draw(4, D_IN)
    for call in (sae, sae.encode, sae.encode_sparse):
        with pytest.raises(ValueError, match="token_bias needs the token id"):
            call(x)
        with pytest.raises(ValueError, match=r"4 positions, but tokens is \[3\]"):
            call(x, draw_tokens(3))
    with pytest.raises(ValueError, match="token_bias needs the token id"):
        sae.decode(sae.encode(x, draw_tokens(4)))


def test_token_means_are_set_in_residual_units() -> None:
    sae, means = make_tokenized("topk", input_scale=0.5), draw(VOCABULARY, D_IN)
    sae.set_token_means(means)
    assert_close(sae.token_means, means / 2)
    with pytest.raises(ValueError, match="do not fit"):
        sae.set_token_means(means[1:])
    with pytest.raises(ValueError, match="token_bias = False"):
        make_sae("topk").set_token_means(means)


def test_a_token_bias_alone_explains_activations_that_only_depend_on_the_token() -> None:
    tokens, means = draw_tokens(200), draw(VOCABULARY, D_IN)
    x = means[tokens]
    sae = make_tokenized("abstopk", input_scale=2.0)
    sae.set_token_means(means)
    with torch.no_grad():
        sae.b_dec.zero_()
        sae.b_enc.zero_()
    assert_close(sae.decode(sae.encode(x, tokens), tokens), x)
    assert sae.encode(x, tokens).abs().max() < 1e-4


def test_sentence_means_read_the_token_of_each_position(lm: LanguageModel, windows) -> None:
    vocabulary = len(lm.vocabulary)
    config = SAEConfig(32, 24, "abstopk", 4, token_bias=True, vocabulary=vocabulary)
    sae = SparseAutoencoder(config)
    sae.initialise(torch.Generator().manual_seed(0))
    sae.set_token_means(draw(vocabulary, 32))
    sentences = cut_sentences(lm, windows, 10)
    (means,) = mean_activations(lm, 1, [sae.eval()], windows, sentences)
    chosen = sentences[3]
    ids = torch.from_numpy(windows[chosen.window].tokens.astype(np.int64))
    codes = sae.encode(lm.residual(ids[None], 1)[0], ids)[chosen.start : chosen.stop]
    np.testing.assert_allclose(means[3], codes.mean(0).detach().numpy(), atol=1e-4)
