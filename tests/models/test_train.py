"""The trainer: it learns, keeps its constraints, revives, repeats itself, and refuses nonsense."""

import pytest
import torch
from torch.testing import assert_close

from models.activations import training_batches
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.train import (
    TrainConfig,
    Training,
    geometric_median,
    normalise_decoder,
    remove_parallel_gradient,
    train,
)


def planted(tokens: int, signed: bool, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations of a known dictionary: 24 atoms in 16 dimensions, 3 active, signed or not."""
    random = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(24, 16, generator=random), dim=-1)
    size = 1 + torch.rand(tokens, 24, generator=random)
    sign = torch.randint(0, 2, (tokens, 24), generator=random) * 2 - 1 if signed else 1
    active = torch.rand(tokens, 24, generator=random).argsort(-1) < 3
    return (size * sign * active) @ atoms, atoms


def fit(
    sparsifier: str, x: torch.Tensor, steps: int = 300, **options: object
) -> tuple[Training, list[float]]:
    k = 3 if sparsifier in ("topk", "abstopk", "vsae") else None
    config = SAEConfig(16, 24, sparsifier, k, **options)  # type: ignore[arg-type]
    weight = {"relu": 0.5, "jumprelu": 0.05, "vsae": 1e-3}.get(sparsifier, 0.0)
    recipe = TrainConfig(
        tokens=steps * 256, batch=256, lr=1e-2, sparsity_weight=weight, dead_after=5_000
    )
    training = Training(config, recipe, x[:256])
    errors = []
    for step in range(steps):
        start = step * 256 % (len(x) - 256)
        errors.append(training.take_step(x[start : start + 256]).nmse)
    return training, errors


@pytest.mark.parametrize(
    ("sparsifier", "options"),
    [
        ("abstopk", {}),
        ("topk", {}),
        ("relu", {}),
        ("jumprelu", {"threshold": 0.1, "bandwidth": 0.1}),
        ("vsae", {}),
    ],
)
def test_every_sparsifier_learns(sparsifier: str, options: dict) -> None:
    x, _ = planted(8_192, signed=True)
    _, errors = fit(sparsifier, x, **options)
    assert sum(errors[-20:]) < 0.7 * sum(errors[:20])


def test_decoder_rows_stay_at_unit_norm() -> None:
    training, _ = fit("abstopk", planted(4_096, signed=True)[0], steps=50)
    assert_close(training.sae.W_dec.norm(dim=-1), torch.ones(24))


def test_inputs_are_scaled_to_mean_square_d_in() -> None:
    x, _ = planted(4_096, signed=True)
    training, _ = fit("abstopk", x, steps=1)
    assert_close(training.sae.scale(x[:256]).square().sum(-1).mean(), torch.tensor(16.0))


def test_the_parallel_gradient_is_removed() -> None:
    training, _ = fit("abstopk", planted(4_096, signed=True)[0], steps=1)
    sae = training.sae
    normalise_decoder(sae)
    sae.W_dec.grad = torch.randn_like(sae.W_dec)
    remove_parallel_gradient(sae)
    assert_close((sae.W_dec.grad * sae.W_dec).sum(-1), torch.zeros(24), atol=1e-6, rtol=0)


def test_a_latent_that_only_fires_negatively_is_not_dead() -> None:
    x, _ = planted(8_192, signed=True)
    training, _ = fit("abstopk", x, steps=1)
    with torch.no_grad():
        training.sae.b_enc[0] = -50.0  # always the largest |u|, always negative
    training.silent_for.fill_(10_000)
    training.take_step(x[:256])
    assert training.silent_for[0] == 0


def test_auxk_moves_dead_latents_of_either_sign() -> None:
    x, _ = planted(8_192, signed=True)
    training, _ = fit("abstopk", x, steps=20)
    with torch.no_grad():
        training.sae.W_enc[:, 5] = 0
        training.sae.b_enc[5] = -1e-4
    training.silent_for[5] = 10_000
    training.step = 5  # in the middle of the schedule, where the rate is not 0
    before = training.sae.W_enc[:, 5].clone()
    step = training.take_step(x[:256])
    assert step.dead == 1
    assert not torch.equal(training.sae.W_enc[:, 5], before)


def test_the_same_seed_gives_the_same_weights(lm: LanguageModel, windows) -> None:
    def once() -> torch.Tensor:
        batches = training_batches(lm, 1, windows, batch=64, tokens=640, seed=3)
        *_, last = train(
            [(SAEConfig(32, 48, "vsae", 4), TrainConfig(tokens=640, batch=64, seed=3))], batches
        )
        return last.saes[0].W_dec

    assert torch.equal(once(), once())


def test_saes_trained_together_equal_saes_trained_alone() -> None:
    x, _ = planted(2_048, signed=True)
    batches = list(x.split(256))
    recipe = TrainConfig(tokens=2_048, batch=256, lr=1e-2)
    configs = [(SAEConfig(16, 24, name, 3), recipe) for name in ("abstopk", "topk")]
    *_, together = train(configs, batches)
    for config, sae in zip(configs, together.saes, strict=True):
        *_, alone = train([config], batches)
        assert torch.equal(alone.saes[0].W_dec, sae.W_dec)


def test_batches_leave_out_position_zero_and_have_the_asked_size(
    lm: LanguageModel, windows
) -> None:
    batches = list(training_batches(lm, 1, windows, batch=50, tokens=330, seed=0))
    assert [len(batch) for batch in batches] == [50] * 6 + [30]
    sinks = torch.stack(
        [
            lm.residual(torch.tensor(window.tokens[None, :1]).long(), 1)[0, 0]
            for window in windows[:1]
        ]
    )
    assert (torch.cdist(torch.cat(batches), sinks) > 1e-4).all()


def test_not_a_number_stops_with_advice() -> None:
    x, _ = planted(512, signed=True)
    training, _ = fit("abstopk", x.repeat(2, 1), steps=1)
    with pytest.raises(FloatingPointError, match="lower lr"):
        training.take_step(torch.full((4, 16), torch.nan))


def test_the_geometric_median_ignores_an_outlier() -> None:
    points = torch.cat([torch.randn(99, 3) * 0.01, torch.full((1, 3), 1e3)])
    assert geometric_median(points).norm() < 0.1
