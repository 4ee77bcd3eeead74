"""The autoencoder's forward pass, scale, and the variational forms of science §2."""

import pytest
import torch
from torch.testing import assert_close

from models.sae import SAEConfig, SparseAutoencoder
from models.sae.sparsifiers import topk


def make(sparsifier: str, k: int | None = 4, **options: object) -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(8, 20, sparsifier, k, **options))  # type: ignore[arg-type]
    sae.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        sae.b_enc.normal_(std=0.1)
        sae.b_dec.normal_(std=0.1)
    return sae


@pytest.mark.parametrize("sparsifier", ["relu", "jumprelu", "topk", "abstopk", "vsae", "dim"])
def test_forward_is_the_written_formula(sparsifier: str) -> None:
    k = 4 if sparsifier in ("topk", "abstopk", "vsae") else None
    sae = make(sparsifier, k, threshold=0.3, input_scale=1.7).eval()
    x = torch.randn(11, 8)
    z = sae.encode(x)
    u = (1.7 * x - sae.b_dec) @ sae.W_enc + sae.b_enc
    assert_close(z[z != 0], (u - (0.3 if sparsifier == "relu" else 0))[z != 0])
    assert_close(sae.decode(z), (z @ sae.W_dec + sae.b_dec) / 1.7)
    assert_close(sae(x).reconstruction / 1.7, sae.decode(z))


@pytest.mark.parametrize("sparsifier", ["relu", "jumprelu", "topk", "abstopk", "vsae", "dim"])
def test_sparse_and_dense_codes_agree(sparsifier: str) -> None:
    k = 4 if sparsifier in ("topk", "abstopk", "vsae") else None
    sae = make(sparsifier, k, threshold=0.3).eval()
    x = torch.randn(11, 8)
    assert_close(sae.encode_sparse(x).dense(20), sae.encode(x))


def test_only_signed_sparsifiers_give_negative_codes() -> None:
    x = torch.randn(200, 8)
    assert (make("abstopk").encode(x) < 0).any()
    assert (make("vsae", by_magnitude=True).eval().encode(x) < 0).any()
    for sparsifier, k in (("relu", None), ("jumprelu", None), ("topk", 4), ("vsae", 4)):
        assert (make(sparsifier, k, threshold=0.1).eval().encode(x) >= 0).all()


def test_vsae_draws_in_training_only() -> None:
    sae, x = make("vsae"), torch.randn(6, 8)
    sae.train()
    assert not torch.equal(sae(x).reconstruction, sae(x).reconstruction)
    sae.eval()
    assert torch.equal(sae(x).reconstruction, sae(x).reconstruction)


def test_vsae_with_fixed_sigma_has_half_the_squared_mean_as_kl() -> None:
    sae, x = make("vsae", sigma="fixed").eval(), torch.randn(6, 8)
    output = sae(x)
    assert_close(output.penalty, 0.5 * output.pre_activation.square().sum(-1))


def test_vsae_with_learned_sigma_has_the_gaussian_kl() -> None:
    sae, x = make("vsae"), torch.randn(6, 8)
    with torch.no_grad():
        sae.W_var.normal_(std=0.1)
    output = sae(x)
    log_variance = ((x - sae.b_dec) @ sae.W_var + sae.b_var).clamp(-6, 2)
    mean = torch.distributions.Normal(output.pre_activation, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(0.0, 1.0)
    assert_close(output.penalty, torch.distributions.kl_divergence(mean, standard).sum(-1))


def test_the_evaluated_vsae_is_topk_with_a_penalty_on_the_squared_mean() -> None:
    beta, x = 0.1, torch.randn(16, 8)
    evaluated = make("vsae", sample=False, rectify=True, sigma="fixed").train()
    output = evaluated(x)
    ours = (output.target - output.reconstruction).square().sum(-1) + beta * output.penalty
    mu = torch.relu((x - evaluated.b_dec) @ evaluated.W_enc + evaluated.b_enc)
    plain = topk(mu, 4).dense(20) @ evaluated.W_dec + evaluated.b_dec
    assert_close(ours, (x - plain).square().sum(-1) + 0.5 * beta * mu.square().sum(-1))


@pytest.mark.parametrize("sparsifier", ["topk", "abstopk"])
def test_gradients_match_finite_differences(sparsifier: str) -> None:
    sae = make(sparsifier).double()
    x = torch.randn(5, 8, dtype=torch.float64)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        output = torch.func.functional_call(sae, {"W_enc": weights}, (x,))
        return (output.target - output.reconstruction).square().sum()

    assert torch.autograd.gradcheck(
        loss, sae.W_enc.detach().clone().requires_grad_(), eps=1e-7, atol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sparsifier": "topk", "k": 30}, "d_sae = 20"),
        ({"sparsifier": "abstopk", "k": None}, "needs 1 ≤ k"),
        ({"sparsifier": "relu", "k": 3}, "no meaning"),
        ({"sparsifier": "gelu"}, "unknown"),
        ({"sparsifier": "jumprelu"}, "initial threshold"),
        ({"sparsifier": "topk", "k": 3, "input_scale": float("nan")}, "input_scale"),
        ({"sparsifier": "vsae", "k": 3, "rectify": True, "by_magnitude": True}, "no negative code"),
    ],
)
def test_impossible_settings_are_refused_with_a_sentence(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SAEConfig(8, 20, **options)
