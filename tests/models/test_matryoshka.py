"""Nested prefixes: each equals the SAE cut to its first latents, for every sparsifier."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.sae import SAEConfig, SparseAutoencoder, SparseCode
from tests.models.small_sae import D_IN, D_SAE, LEARNS_FROM_ROWS, draw, draw_tokens, make_sae

WIDTHS = (3, 9, D_SAE)


def dense(code: SparseCode | torch.Tensor) -> torch.Tensor:
    return code.dense(D_SAE) if isinstance(code, SparseCode) else code


@pytest.mark.parametrize("kind", LEARNS_FROM_ROWS)
@pytest.mark.parametrize("is_training", [False, True])
def test_each_prefix_decodes_the_code_cut_to_its_first_latents(
    kind: str, is_training: bool
) -> None:
    sae = make_sae(kind, prefixes=WIDTHS).train(is_training)
    output = sae(draw(11, D_IN), noise=torch.Generator().manual_seed(0))
    assert len(output.prefixes) == len(WIDTHS)
    for width, x_hat in zip(WIDTHS, output.prefixes, strict=True):
        z = dense(output.code)[:, :width]
        assert_close(x_hat, z @ sae.W_dec[:width] + sae.b_dec)
    assert output.prefixes[-1] is output.reconstruction


@pytest.mark.parametrize("kind", ["relu", "soft_threshold", "jumprelu", "hard_threshold"])
def test_a_prefix_of_a_thresholded_sae_is_the_truncated_sae(kind: str) -> None:
    sae, x = make_sae(kind, prefixes=WIDTHS), draw(11, D_IN)
    for width, x_hat in zip(WIDTHS, sae(x).prefixes, strict=True):
        cut = SparseAutoencoder(SAEConfig(D_IN, width, kind, threshold=0.3))  # type: ignore[arg-type]
        with torch.no_grad():
            cut.W_enc.copy_(sae.W_enc[:, :width])
            cut.b_enc.copy_(sae.b_enc[:width])
            cut.W_dec.copy_(sae.W_dec[:width])
            cut.b_dec.copy_(sae.b_dec)
        assert_close(x_hat, cut(x).reconstruction)


@pytest.mark.parametrize("kind", ["batchtopk", "batchabstopk"])
def test_a_prefix_of_a_batched_sae_is_the_truncated_sae_in_evaluation(kind: str) -> None:
    sae, x = make_sae(kind, prefixes=WIDTHS), draw(11, D_IN)
    for width, x_hat in zip(WIDTHS, sae(x).prefixes, strict=True):
        cut = SparseAutoencoder(SAEConfig(D_IN, width, kind, 1)).eval()  # type: ignore[arg-type]
        with torch.no_grad():
            cut.W_enc.copy_(sae.W_enc[:, :width])
            cut.b_enc.copy_(sae.b_enc[:width])
            cut.W_dec.copy_(sae.W_dec[:width])
            cut.b_dec.copy_(sae.b_dec)
            cut.threshold.copy_(sae.threshold)
        assert_close(x_hat, cut(x).reconstruction)


@given(st.sets(st.integers(1, D_SAE - 1), max_size=5), st.sampled_from(LEARNS_FROM_ROWS))
@settings(max_examples=12, deadline=None)
def test_prefixes_change_neither_code_nor_reconstruction(widths: set[int], kind: str) -> None:
    nested, x = make_sae(kind, prefixes=(*sorted(widths), D_SAE)), draw(7, D_IN)
    plain = make_sae(kind)
    assert_close(dense(nested(x).code), dense(plain(x).code))
    assert_close(nested(x).reconstruction, plain(x).reconstruction)


@pytest.mark.parametrize("kind", ["abstopk", "hard_threshold", "batchabstopk"])
def test_prefixes_of_signed_saes_survive_a_flip(kind: str) -> None:
    sae, x = make_sae(kind, prefixes=WIDTHS), draw(11, D_IN)
    before = sae(x).prefixes
    sae.flip(torch.arange(D_SAE) % 2 == 0)
    for old, new in zip(before, sae(x).prefixes, strict=True):
        assert_close(new, old)


def test_prefixes_compose_with_a_token_bias() -> None:
    sae = make_sae("abstopk", prefixes=WIDTHS, token_bias=True, vocabulary=11)
    x, tokens = draw(11, D_IN), draw_tokens(11)
    output = sae(x, tokens)
    z = dense(output.code)[:, :9]
    assert_close(output.prefixes[1], z @ sae.W_dec[:9] + sae.b_dec)
    assert_close(output.target, x - sae.token_means[tokens])
