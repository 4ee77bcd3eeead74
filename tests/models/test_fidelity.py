"""Fidelity: the identity recovers everything, nothing recovers nothing, the rest is its formula."""

import numpy as np
import pytest
import torch

from models.corpus import Window
from models.evaluate.fidelity import measure_fidelity
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder


def linear_sae(decoder: torch.Tensor) -> SparseAutoencoder:
    """x̂ = x @ decoder, every latent a coordinate."""
    sae = SparseAutoencoder(SAEConfig(32, 32, "dim"))
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(32))
        sae.W_dec.copy_(decoder)
    return sae.eval().requires_grad_(False)


def residuals(lm: LanguageModel, windows: list[Window]) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations and token ids of all positions but the first, window by window."""
    ids = [torch.from_numpy(window.tokens.astype(np.int64)) for window in windows]
    x = torch.cat([lm.residual(one[None], 1)[0, 1:] for one in ids])
    return x, torch.cat([one[1:] for one in ids])


def test_the_identity_recovers_the_loss_and_zero_recovers_none(lm: LanguageModel, windows) -> None:
    identity = measure_fidelity(lm, 1, linear_sae(torch.eye(32)), windows[:20])
    assert identity.loss_recovered == pytest.approx(1, abs=1e-5)
    assert identity.nmse == pytest.approx(0, abs=1e-9)
    assert identity.cosine == pytest.approx(1, abs=1e-5)
    nothing = measure_fidelity(lm, 1, linear_sae(torch.zeros(32, 32)), windows[:20])
    assert nothing.loss_recovered == pytest.approx(0, abs=1e-5)
    assert nothing.nmse_raw == pytest.approx(1, abs=1e-5)
    assert nothing.tokens == sum(len(window.tokens) - 1 for window in windows[:20])


@pytest.mark.parametrize("token_bias", [False, True])
def test_errors_and_l0_are_those_of_the_codes(lm: LanguageModel, windows, token_bias: bool) -> None:
    chosen = windows[:20]
    x, tokens = residuals(lm, chosen)
    vocabulary = len(lm.vocabulary) if token_bias else None
    config = SAEConfig(32, 24, "abstopk", 4, token_bias=token_bias, vocabulary=vocabulary)
    sae = SparseAutoencoder(config)
    sae.initialise(torch.Generator().manual_seed(0))
    if token_bias:
        means = torch.zeros(len(lm.vocabulary), 32)
        for token in tokens.unique().tolist():
            means[token] = x[tokens == token].mean(0)
        sae.set_token_means(means)
    sae.eval().requires_grad_(False)
    found = measure_fidelity(lm, 1, sae, chosen)
    code = sae.encode(x, tokens)
    error = (x - sae.decode(code, tokens)).square().sum()
    assert found.nmse == pytest.approx(float(error / (x - x.mean(0)).square().sum()), rel=1e-3)
    assert found.nmse_raw == pytest.approx(float(error / x.square().sum()), rel=1e-3)
    if token_bias:  # a token seen once is its own mean: nothing but rounding is left to code
        assert 3 < found.l0 <= 4
    else:
        assert found.l0 == 4
