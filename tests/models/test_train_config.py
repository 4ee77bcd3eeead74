"""The recipe: its schedules, what it sets before the first step, and what it refuses."""

import json
from dataclasses import asdict

import pytest
import torch
from torch.testing import assert_close

from models.kernels import KernelOptions
from models.sae import SAEConfig
from models.train import Start, TrainConfig, Training, train
from models.train.schedule import rate_share, sparsity_share
from tests.models.training_data import batched, begin, planted


def test_the_rate_rises_stays_and_falls_linearly() -> None:
    config = TrainConfig(tokens=20, batch=1, warmup=0.2, decay=0.5)
    shares = [rate_share(config, step) for step in range(20)]
    assert_close(shares[:4], [0.25, 0.5, 0.75, 1.0])
    assert shares[4:11] == [1.0] * 7
    assert_close(shares[11:], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert rate_share(config, 20) == 0


def test_the_rate_may_fall_as_half_a_cosine() -> None:
    config = TrainConfig(tokens=10, batch=1, warmup=0, decay=1.0, decay_shape="cosine")
    shares = [rate_share(config, step) for step in range(10)]
    assert shares[0] == 1
    assert_close(shares[5], 0.5)
    assert sorted(shares, reverse=True) == shares
    assert 0 < shares[-1] < 0.03


def test_without_warm_up_or_decay_the_rate_is_constant() -> None:
    config = TrainConfig(tokens=10, batch=1, warmup=0, decay=0, sparsity_warmup=0)
    assert {rate_share(config, step) for step in range(10)} == {1.0}
    assert {sparsity_share(config, step) for step in range(10)} == {1.0}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"warmup": 0.7, "decay": 0.7}, r"warmup \(0.7\) and decay \(0.7\)"),
        ({"tokens": 0}, r"tokens \(0\) and batch"),
        ({"unit_norm": False}, "remove_parallel = True needs unit_norm"),
        ({"auxk": 8, "auxk_weight": 0.0}, "auxk = 8 has no effect with auxk_weight = 0"),
        (
            {"autocast": True, "kernels": KernelOptions("candidates")},
            "autocast = True and kernels.precision",
        ),
        ({"lr": -1.0}, "lr is -1.0"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"betas": (0.9, 1.0)}, "betas are"),
        ({"bias_start": "middle"}, "median, mean, zero"),
        ({"batch": 500.0}, "batch is 500.0, but must be a whole number"),
        ({"auxk": "8"}, "auxk is '8', but must be a whole number or left out"),
        ({"tied_start": 1}, "tied_start is 1, but must be true or false"),
        ({"betas": [0.9, None]}, "betas is .*, but must be a list, each of them a number"),
        ({"seed": 2**32}, "seed is 4294967296, but must be from 0 to 4294967295"),
        ({"kernels": {"precision": "candidates", "colour": 1}}, r"unknown fields \['colour'\]"),
        ({"kernels": 5}, "kernels is 5"),
    ],
)
def test_impossible_combinations_are_refused_by_name(fields: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TrainConfig(**fields)


@pytest.mark.parametrize(
    ("sae", "recipe", "named"),
    [
        ({"sparsifier": "topk", "k": 3}, {"sparsity_weight": 0.1}, "sparsity_weight = 0.1.*'topk'"),
        ({"sparsifier": "dim"}, {}, "'dim' is not trained"),
        ({"k": 3, "input_scale": 2.0}, {}, "input_scale = 2.0.*scale_inputs"),
        ({"k": 3}, {"auxk": 25}, "auxk = 25 is more than d_sae = 24"),
        ({"k": 3}, {"autocast": True}, "autocast = True.*'abstopk'.*candidates"),
        (
            {"sparsifier": "jumprelu", "threshold": 0.1},
            {"autocast": True},
            "autocast = True.*'jumprelu'.*bandwidth of 0.001",
        ),
    ],
)
def test_a_recipe_that_does_not_fit_its_sae_is_refused(sae: dict, recipe: dict, named: str) -> None:
    x, _ = planted(256)
    with pytest.raises(ValueError, match=named):
        begin(SAEConfig(16, 24, **sae), TrainConfig(**recipe), x)


@pytest.mark.parametrize(
    ("sae", "recipe", "named"),
    [
        ({}, {"batch": 128}, "batch is 128 for SAE 2 but 256 for SAE 1"),
        ({}, {"tokens": 512}, "tokens is 512 for SAE 2"),
        ({"d_in": 8}, {}, "d_in is 8 for SAE 2 but 16"),
    ],
)
def test_saes_that_cannot_share_a_pass_are_refused(sae: dict, recipe: dict, named: str) -> None:
    first = (SAEConfig(16, 24, k=3), TrainConfig(tokens=1_024, batch=256))
    second = (
        SAEConfig(**{"d_in": 16, "d_sae": 24, "k": 3, **sae}),
        TrainConfig(**{"tokens": 1_024, "batch": 256, **recipe}),
    )
    with pytest.raises(ValueError, match=named):
        next(train([first, second], batched(planted(1_024)[0], 256)))


def test_kernels_may_be_given_in_part() -> None:
    config = TrainConfig(kernels={"precision": "candidates"})  # type: ignore[arg-type]
    assert config.kernels == KernelOptions("candidates")


def test_a_recipe_survives_json() -> None:
    config = TrainConfig(betas=(0.8, 0.9), kernels=KernelOptions("candidates", "torch"), auxk=7)
    assert TrainConfig(**json.loads(json.dumps(asdict(config)))) == config


def test_inputs_are_scaled_to_mean_square_d_in_over_all_that_was_read_ahead() -> None:
    x, _ = planted(4_096)
    start = Start.of(batched(x * torch.linspace(0.1, 3, 4_096)[:, None], 256))
    training = Training.begin(SAEConfig(16, 24, k=3), TrainConfig(), start)
    assert_close(training.sae.scale(start.activations).square().sum(-1).mean(), torch.tensor(16.0))


def test_inputs_keep_their_scale_where_asked() -> None:
    x, _ = planted(256)
    training = begin(SAEConfig(16, 24, k=3, input_scale=0.5), TrainConfig(scale_inputs=False), x)
    assert training.sae.config.input_scale == 0.5


@pytest.mark.parametrize("bias_start", ["median", "mean", "zero"])
def test_b_dec_starts_where_asked(bias_start: str) -> None:
    x = planted(512)[0] + 3
    x[0] = 500.0
    training = begin(SAEConfig(16, 24, k=3), TrainConfig(bias_start=bias_start), x)  # type: ignore[arg-type]
    sae = training.sae
    centre = sae.b_dec / sae.config.input_scale
    if bias_start == "zero":
        assert centre.abs().max() == 0
    elif bias_start == "mean":
        assert_close(centre, x[:256].mean(0))
    else:
        assert (centre - 3).abs().max() < 0.5


def test_the_encoder_starts_as_the_decoder_transposed_unless_asked_otherwise() -> None:
    x, _ = planted(256)
    tied = begin(SAEConfig(16, 24, k=3), TrainConfig(), x).sae
    free = begin(SAEConfig(16, 24, k=3), TrainConfig(tied_start=False), x).sae
    assert torch.equal(tied.W_enc, tied.W_dec.T)
    assert not torch.allclose(free.W_enc, free.W_dec.T)
    assert_close(free.W_enc.norm(dim=0), torch.ones(24))


def test_token_means_are_set_before_training_and_the_scale_on_what_they_leave() -> None:
    x, _ = planted(4_096)
    tokens = torch.arange(4_096) % 5
    bias = 10 * torch.randn(8, 16)
    start = Start.of(batched(x + bias[tokens], 256, tokens))
    config = SAEConfig(16, 24, k=3, token_bias=True, vocabulary=8)
    sae = Training.begin(config, TrainConfig(), start).sae
    means = sae.token_means / sae.config.input_scale
    expected = torch.stack([(x + bias[tokens])[tokens == token].mean(0) for token in range(5)])
    assert_close(means[:5], expected, atol=0.3, rtol=0)  # 8 of 800 tokens lean on the overall mean
    assert_close(means[7], start.mean)
    rest = sae.prepare(start.activations, start.tokens)
    assert_close(rest.square().sum(-1).mean(), torch.tensor(16.0))


def test_a_token_outside_the_vocabulary_is_refused() -> None:
    x, _ = planted(256)
    config = SAEConfig(16, 24, k=3, token_bias=True, vocabulary=3)
    with pytest.raises(ValueError, match="vocabulary = 3, but the text holds token id 6"):
        begin(config, TrainConfig(), x)


def test_activations_that_are_zero_or_not_finite_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="all zero"):
        Start.of(batched(torch.zeros(8, 16), 8))
    with pytest.raises(FloatingPointError, match="not all finite"):
        Start.of(batched(torch.full((8, 16), torch.inf), 8))
