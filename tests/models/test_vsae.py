"""The two vSAEs of science §2: one that samples, and the one that its authors evaluated."""

import math

import pytest
import torch
from torch.testing import assert_close

from models.sae import SparseAutoencoder
from models.sae.sparsifiers import abstopk, topk
from tests.models.small_sae import D_IN, D_SAE, K, draw, make_sae


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sigma_of(sae: SparseAutoencoder, x: torch.Tensor) -> torch.Tensor:
    if sae.config.sigma == "fixed":
        return torch.ones(len(x), D_SAE)
    log_variance = ((x - sae.b_dec) @ sae.W_var + sae.b_var).clamp(-6, 2)
    return (0.5 * log_variance).exp().detach()


@pytest.mark.parametrize("sigma", ["fixed", "learned"])
def test_training_draws_from_the_stated_gaussian(sigma: str) -> None:
    sae = make_sae("vsae", sigma=sigma, by_magnitude=True, k=D_SAE).train()
    x = draw(1, D_IN).expand(4_000, -1)
    drawn = sae(x, noise=noise()).code.dense(D_SAE).detach()  # k = d_sae: z̃ itself
    standard = (drawn - sae.pre_activate(x).detach()) / sigma_of(sae, x)
    # Of 80,000 numbers: means within 5 standard errors, and Kolmogorov's distance at p < 1e-6.
    assert standard.mean().abs() < 5 / math.sqrt(standard.numel())
    assert abs(float(standard.square().mean()) - 1) < 5 * math.sqrt(2 / standard.numel())
    ranks = torch.distributions.Normal(0.0, 1.0).cdf(standard.flatten().double()).sort().values
    steps = torch.arange(1, len(ranks) + 1, dtype=torch.float64) / len(ranks)
    assert (ranks - steps).abs().max() < 2.7 / math.sqrt(len(ranks))
    correlation = torch.corrcoef(standard.T) - torch.eye(D_SAE)
    assert correlation.abs().max() < 6 / math.sqrt(len(x))


@pytest.mark.parametrize("sigma", ["fixed", "learned"])
@pytest.mark.parametrize("by_magnitude", [False, True])
def test_sampling_moves_the_choice_in_training_and_never_in_evaluation(
    sigma: str, by_magnitude: bool
) -> None:
    sae, x = make_sae("vsae", sigma=sigma, by_magnitude=by_magnitude), draw(64, D_IN)
    sae.train()
    one, other = sae(x, noise=noise(1)), sae(x, noise=noise(2))
    assert (one.code.dense(D_SAE) != 0).ne(other.code.dense(D_SAE) != 0).any()
    assert torch.equal(one.reconstruction, sae(x, noise=noise(1)).reconstruction)
    sae.eval()
    mean = sae.pre_activate(sae.scale(x))
    expected = (abstopk if by_magnitude else topk)(mean, K).dense(D_SAE)
    assert_close(sae(x, noise=noise(1)).code.dense(D_SAE), expected)
    assert_close(sae.encode(x), expected)


@pytest.mark.parametrize("by_magnitude", [False, True])
def test_the_k_largest_of_the_draw_are_kept(by_magnitude: bool) -> None:
    sae, x = make_sae("vsae", sigma="fixed", by_magnitude=by_magnitude).train(), draw(9, D_IN)
    mean = sae.pre_activate(x)
    drawn = mean + torch.randn(mean.shape, generator=noise(5))
    expected = (abstopk if by_magnitude else topk)(drawn, K).dense(D_SAE)
    assert_close(sae(x, noise=noise(5)).code.dense(D_SAE), expected)


@pytest.mark.parametrize("by_magnitude", [False, True])
def test_fixed_sigma_has_half_the_squared_mean_as_divergence(by_magnitude: bool) -> None:
    sae, x = make_sae("vsae", sigma="fixed", by_magnitude=by_magnitude), draw(6, D_IN)
    mean = sae.pre_activate(sae.scale(x))
    assert_close(sae(x).penalty, 0.5 * mean.square().sum(-1))
    standard = torch.distributions.Normal(0.0, 1.0)
    gaussian = torch.distributions.Normal(mean, torch.ones(()))
    assert_close(sae(x).penalty, torch.distributions.kl_divergence(gaussian, standard).sum(-1))


def test_learned_sigma_has_the_gaussian_divergence() -> None:
    sae, x = make_sae("vsae"), draw(6, D_IN)
    gaussian = torch.distributions.Normal(sae.pre_activate(sae.scale(x)), sigma_of(sae, x))
    standard = torch.distributions.Normal(0.0, 1.0)
    assert_close(sae(x).penalty, torch.distributions.kl_divergence(gaussian, standard).sum(-1))


def test_the_log_variance_starts_at_its_bias_and_stays_in_its_range() -> None:
    sae, x = make_sae("vsae"), draw(50, D_IN)
    assert_close(sae.b_var.detach(), torch.full((D_SAE,), -2.0))
    with torch.no_grad():
        sae.W_var.mul_(1_000)
    deviation = sigma_of(sae, x)
    gaussian = torch.distributions.Normal(sae.pre_activate(x), deviation)
    expected = torch.distributions.kl_divergence(gaussian, torch.distributions.Normal(0.0, 1.0))
    assert_close(sae(x).penalty, expected.sum(-1))
    assert deviation.min() == pytest.approx(math.exp(-3))
    assert deviation.max() == pytest.approx(math.exp(1))


@pytest.mark.parametrize("sigma", ["fixed", "learned"])
def test_the_evaluated_vsae_is_topk_with_a_penalty_on_the_squared_code(sigma: str) -> None:
    beta, x = 0.1, draw(16, D_IN)
    evaluated = make_sae("vsae", sample=False, rectify=True, sigma=sigma).train()
    plain = make_sae("topk").train()  # the same seed: the same weights
    output, reference = evaluated(x), plain(x)
    assert torch.equal(evaluated.W_enc, plain.W_enc)
    mu = torch.relu(plain.pre_activate(x))
    ours = (x - output.reconstruction).square().sum(-1) + beta * output.penalty
    theirs = (x - reference.reconstruction).square().sum(-1) + 0.5 * beta * mu.square().sum(-1)
    assert_close(ours, theirs)
    ours.sum().backward()
    theirs.sum().backward()
    for name, parameter in plain.named_parameters():
        assert_close(evaluated.get_parameter(name).grad, parameter.grad)
    assert torch.equal(evaluated(x).reconstruction, evaluated(x).reconstruction)


def test_what_is_drawn_trains_sigma() -> None:
    sae = make_sae("vsae", by_magnitude=True).double().train()
    x = draw(5, D_IN, dtype=torch.float64)

    def loss(W_var: torch.Tensor, b_var: torch.Tensor) -> torch.Tensor:
        weights = {"W_var": W_var, "b_var": b_var}
        output = torch.func.functional_call(sae, weights, (x,), {"noise": noise(3)})
        return (x - output.reconstruction).square().sum() + 0.1 * output.penalty.sum()

    weights = [parameter.detach().clone().requires_grad_() for parameter in (sae.W_var, sae.b_var)]
    assert torch.autograd.gradcheck(loss, weights, eps=1e-7, atol=1e-4, fast_mode=True)


def test_without_sampling_there_is_no_sigma_to_learn() -> None:
    assert "W_var" not in make_sae("vsae", sample=False).state_dict()
    assert "W_var" not in make_sae("vsae", sigma="fixed").state_dict()
    assert "W_var" in make_sae("vsae").state_dict()
