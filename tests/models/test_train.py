"""The training step: it learns, keeps its constraints, revives, repeats itself, refuses nonsense."""

import pytest
import torch
from torch.testing import assert_close

from models.activations import ActivationStream
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.sae.config import Sparsifier
from models.train import Start, TrainConfig, Training, train
from models.train.decoder import gradient_norm, normalise_decoder, remove_parallel_gradient
from models.train.loss import auxiliary_loss, reconstruction_loss
from models.train.start import geometric_median
from tests.models.training_data import batched, begin, fit, planted

GROUP_OF_ONE = begin(SAEConfig(16, 24, "topk", 3), TrainConfig(), planted(256)[0]).group


@pytest.mark.parametrize(
    ("sparsifier", "options", "weight"),
    [
        ("abstopk", {"k": 3}, 0.0),
        ("topk", {"k": 3}, 0.0),
        ("batchtopk", {"k": 3}, 0.0),
        ("batchabstopk", {"k": 3}, 0.0),
        ("abstopk", {"k": 3, "prefixes": (6, 24)}, 0.0),
        ("abstopk", {"k": 3, "token_bias": True, "vocabulary": 7}, 0.0),
        ("relu", {}, 0.5),
        ("soft_threshold", {}, 0.5),
        ("jumprelu", {"threshold": 0.1, "bandwidth": 0.1}, 0.05),
        ("hard_threshold", {"threshold": 0.1, "bandwidth": 0.1}, 0.05),
        ("vsae", {"k": 3}, 1e-3),
        ("vsae", {"k": 3, "by_magnitude": True}, 1e-3),
    ],
)
def test_every_sparsifier_learns(sparsifier: str, options: dict, weight: float) -> None:
    x, _ = planted(8_192)
    _, steps = fit(SAEConfig(16, 24, sparsifier, **options), x, 200, sparsity_weight=weight)  # type: ignore[arg-type]
    errors = [step.nmse for step in steps]
    assert sum(errors[-20:]) < 0.7 * sum(errors[:20])


def test_decoder_rows_stay_at_unit_norm() -> None:
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), planted(4_096)[0], steps=50)
    assert_close(training.sae.W_dec.norm(dim=-1), torch.ones(24))


def test_decoder_rows_move_freely_without_unit_norm() -> None:
    free = {"unit_norm": False, "remove_parallel": False}
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), planted(4_096)[0], steps=50, **free)
    assert (training.sae.W_dec.norm(dim=-1) - 1).abs().max() > 1e-3


def test_the_parallel_gradient_is_removed() -> None:
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), planted(4_096)[0], steps=1)
    sae = training.sae
    normalise_decoder(sae)
    sae.W_dec.grad = torch.randn_like(sae.W_dec)
    remove_parallel_gradient(sae)
    assert_close((sae.W_dec.grad * sae.W_dec).sum(-1), torch.zeros(24), atol=5e-6, rtol=0)


@pytest.mark.parametrize("clip", [1e-3, None])
def test_gradients_are_clipped_to_the_norm_asked_for(clip: float | None) -> None:
    x, _ = planted(512)
    recipe = TrainConfig(tokens=10_000, batch=256, clip=clip)
    training = begin(SAEConfig(16, 24, "abstopk", 3), recipe, x)
    step = training.take_step(batched(x, 256)[0])
    assert step.gradient_norm > 1e-3
    expected = step.gradient_norm if clip is None else clip
    left = 16 * float(gradient_norm(training.parameters))  # of the error summed over d_in
    assert_close(left, expected, rtol=1e-5, atol=0)


def test_the_error_told_is_the_normalised_mean_squared_error() -> None:
    x, _ = planted(512)
    training = begin(SAEConfig(16, 24, "abstopk", 3), TrainConfig(), x)
    rebuilt = training.sae.decode(training.sae.encode(x[:256]))
    step = training.take_step(batched(x, 256)[0])
    expected = (x[:256] - rebuilt).square().sum() / (x[:256] - x[:256].mean(0)).square().sum()
    assert_close(step.nmse, expected.item(), rtol=1e-5, atol=0)
    assert step.l0 == 3


def test_the_error_of_a_tokenized_sae_is_a_share_of_x_itself() -> None:
    x, _ = planted(512)
    x = x + 5 * torch.randn(7, 16)[torch.arange(512) % 7]
    config = SAEConfig(16, 24, "abstopk", 3, token_bias=True, vocabulary=7)
    training = begin(config, TrainConfig(), x)
    first = batched(x, 256)[0]
    rebuilt = training.sae.decode(
        training.sae.encode(first.activations, first.tokens), first.tokens
    )
    step = training.take_step(first)
    error = (first.activations - rebuilt).square().sum()
    expected = error / (first.activations - first.activations.mean(0)).square().sum()
    assert_close(step.nmse, expected.item(), rtol=1e-4, atol=0)


def test_the_error_of_a_tokenized_sae_keeps_its_digits_far_from_zero() -> None:
    x, _ = planted(256)
    far = x + 1_000 + 3_000 * torch.eye(16)[0]
    tokens = torch.arange(256) % 7
    config = SAEConfig(16, 24, "abstopk", 3, token_bias=True, vocabulary=7)
    training = Training.begin(config, TrainConfig(), Start.of(batched(far, 256, tokens)))
    with torch.no_grad():
        output = training.sae(far, tokens)
    whole = training.sae.scale(far).double()
    expected = (output.target - output.reconstruction).double().square().sum()
    expected = expected / (whole - whole.mean(0)).square().sum()
    step = training.take_step(batched(far, 256, tokens)[0])
    assert step.nmse == pytest.approx(float(expected), rel=1e-2)


def test_the_matryoshka_loss_is_the_mean_over_the_prefixes() -> None:
    x, _ = planted(256)
    config = SAEConfig(16, 24, "abstopk", 3, prefixes=(4, 12, 24))
    sae = begin(config, TrainConfig(), x).sae
    output = sae(x)
    dense = output.code.dense(24)
    errors = []
    for prefix in config.prefixes:
        nested = dense[:, :prefix] @ sae.W_dec[:prefix] + sae.b_dec
        errors.append((output.target - nested).square().mean())
    assert_close(reconstruction_loss(output, 256.0).loss, torch.stack(errors).mean())


def test_the_weight_of_the_kl_is_warmed_up_and_told() -> None:
    x, _ = planted(4_096)
    _, steps = fit(SAEConfig(16, 24, "vsae", 3), x, 20, sparsity_weight=0.1, sparsity_warmup=0.5)
    assert_close([step.sparsity_weight for step in steps[:3]], [0.01, 0.02, 0.03])
    assert [step.sparsity_weight for step in steps[9:]] == [0.1] * 11
    assert all(step.penalty > 0 for step in steps)


def test_auxk_revives_a_latent_that_would_only_fire_negatively() -> None:
    x, _ = planted(8_192)
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), x, steps=20)
    with torch.no_grad():
        training.sae.W_enc[:, 5] = 0
        training.sae.b_enc[5] = -1e-4
    training.life.silent_for[:, 5] = 10_000
    training.step = 5  # in the middle of the schedule, where the rate is not 0
    before = training.sae.W_enc[:, 5].clone()
    step = training.take_step(batched(x, 256)[0])
    assert step.dead == 1
    assert not torch.equal(training.sae.W_enc[:, 5], before)


def test_without_auxk_a_dead_latent_stays_as_it_is() -> None:
    x, _ = planted(8_192)
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), x, steps=1, auxk_weight=0.0)
    with torch.no_grad():
        training.sae.W_enc[:, 5] = 0
        training.sae.b_enc[5] = -1e-4
    training.life.silent_for[:, 5] = 10_000
    training.take_step(batched(x, 256)[0])
    assert training.sae.W_enc[:, 5].abs().max() < 1e-6


@pytest.mark.parametrize("dense_up_to", [0, 4])
@pytest.mark.parametrize("sparsifier", ["abstopk", "topk"])
def test_auxk_equals_its_formula_and_reaches_the_encoder(
    sparsifier: str, dense_up_to: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.train.loss.DENSE_UP_TO", dense_up_to)
    x, _ = planted(256)
    recipe = TrainConfig(auxk=2)
    sae = begin(SAEConfig(16, 24, sparsifier, 3), recipe, x).sae  # type: ignore[arg-type]
    torch.nn.init.normal_(sae.b_dec)  # were it in the rebuilt residual, this would tell
    dead = torch.zeros(24, dtype=torch.bool)
    dead[[3, 7, 11, 19]] = True
    output = sae(x)

    loss = auxiliary_loss(sae, output, dead, recipe, GROUP_OF_ONE)

    residual = (output.target - output.reconstruction).detach()
    u = sae.pre_activate(output.target)[:, dead]
    z = u if sparsifier == "abstopk" else torch.relu(u)
    weakest = z.abs().topk(2, largest=False).indices
    rebuilt = z.scatter(-1, weakest, 0.0) @ sae.W_dec[dead]
    assert_close(loss, (residual - rebuilt).square().sum() / residual.square().sum())
    (gradient, to_bias) = torch.autograd.grad(loss, [sae.W_enc, sae.b_dec], retain_graph=True)
    expected = torch.autograd.grad((residual - rebuilt).square().sum(), [sae.W_enc, sae.b_dec])
    assert_close(gradient, expected[0] / residual.square().sum())
    assert_close(to_bias, expected[1] / residual.square().sum())
    assert gradient[:, dead].abs().max() > 0
    assert gradient[:, ~dead].abs().max() == 0


def test_memory_does_not_grow_with_every_number_of_dead_latents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.train.loss.DENSE_UP_TO", 0)
    x, _ = planted(8_192)
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), x, steps=2)
    seen = []
    for dead in (4, 5, 6, 7, 8):
        training.life.silent_for[:] = 0
        training.life.silent_for[:, :dead] = 10_000
        training.take_step(batched(x, 256)[dead])
        seen.append(training.workspace.held)
    assert len(set(seen)) == 1, f"elements held after each step: {seen}"


def test_the_threshold_of_batch_topk_is_learnt() -> None:
    x, _ = planted(2_048)
    training, _ = fit(SAEConfig(16, 24, "batchabstopk", 3), x, steps=8)
    assert training.sae.threshold > 0


@pytest.mark.parametrize("sparsifier", ["batchtopk", "batchabstopk"])
@pytest.mark.parametrize("steps", [60, 400])
def test_evaluation_lets_k_latents_through_after_a_short_training(
    sparsifier: Sparsifier, steps: int
) -> None:
    x, _ = planted(16_384, signed=sparsifier == "batchabstopk")
    training, _ = fit(SAEConfig(16, 24, sparsifier, 4), x, steps=steps)
    l0 = (training.sae.eval().encode(x) != 0).sum(-1).float().mean()
    assert float(l0) == pytest.approx(4, rel=0.15)


def test_the_same_seed_gives_the_same_weights(lm: LanguageModel, windows) -> None:
    def once() -> torch.Tensor:
        stream = ActivationStream(lm, 1, windows, batch=64, tokens=640, seed=3)
        *_, last = train(
            [(SAEConfig(32, 48, "vsae", 4), TrainConfig(tokens=640, batch=64, seed=3))], stream
        )
        return last.saes[0].W_dec

    assert torch.equal(once(), once())


def test_a_sweep_equals_separate_runs_bit_for_bit() -> None:
    x, _ = planted(2_048)
    batches = batched(x, 256)
    shared = {"tokens": 2_048, "batch": 256, "lr": 1e-2}
    configs = [
        (SAEConfig(16, 24, "abstopk", 3), TrainConfig(**shared, seed=1)),
        (SAEConfig(16, 48, "topk", 5), TrainConfig(**shared, start_tokens=512)),
        (SAEConfig(16, 24, "vsae", 3), TrainConfig(**shared, sparsity_weight=1e-3)),
    ]
    *_, together = train(configs, batches)
    for config, sae in zip(configs, together.saes, strict=True):
        *_, alone = train([config], batches)
        assert torch.equal(alone.saes[0].W_dec, sae.W_dec)
        assert torch.equal(alone.saes[0].W_enc, sae.W_enc)


def test_every_batch_is_trained_on_although_the_first_are_read_ahead() -> None:
    batches = batched(planted(2_000)[0], 256)
    recipe = TrainConfig(tokens=2_000, batch=256, start_tokens=700)
    updates = list(train([(SAEConfig(16, 24, "abstopk", 3), recipe)], batches))
    assert [update.steps[0].step for update in updates] == list(range(1, 9))


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, 1e30])
def test_what_is_not_finite_stops_before_the_weights_are_touched(poison: float) -> None:
    x, _ = planted(512)
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), x, steps=1)
    before = {name: tensor.clone() for name, tensor in training.state().items()}
    with pytest.raises(
        FloatingPointError, match="step 2; the weights are those of step 1: lower lr"
    ):
        training.take_step(batched(torch.full((4, 16), poison), 4)[0])
    for name, tensor in training.state().items():
        assert torch.equal(tensor, before[name]), name


def test_the_geometric_median_ignores_an_outlier() -> None:
    points = torch.cat([torch.randn(99, 3) * 0.01, torch.full((1, 3), 1e3)])
    assert geometric_median(points).norm() < 0.1


@pytest.mark.parametrize("config", [SAEConfig(16, 24, "relu"), SAEConfig(16, 24, "vsae", 3)])
def test_autocast_keeps_float32_weights_and_still_learns(config: SAEConfig) -> None:
    x, _ = planted(4_096)
    weight = 0.1 if config.sparsifier == "relu" else 1e-4
    rounded, steps = fit(config, x, 100, sparsity_weight=weight, autocast=True, dead_after=500)
    assert rounded.sae.W_dec.dtype == torch.float32
    assert steps[-1].nmse < 0.7 * steps[0].nmse
