"""Which poles fire, and who is dead."""

import pytest
import torch

from models.sae import SAEConfig, SparseCode
from models.train import Group
from models.train.life import Life, fired_poles
from tests.models.training_data import batched, fit, planted


def code_of(rows: list[list[float]], sparse: bool) -> SparseCode | torch.Tensor:
    dense = torch.tensor(rows)
    if not sparse:
        return dense
    indices = torch.arange(dense.shape[1]).expand_as(dense).contiguous()
    return SparseCode(indices, dense)


@pytest.mark.parametrize("sparse", [True, False])
def test_poles_are_counted_apart(sparse: bool) -> None:
    code = code_of([[1.0, 0.0, -2.0, 0.0], [1.0, 0.0, 3.0, -1e-30]], sparse)
    active, fired = fired_poles(code, 4, is_signed=True)
    assert active.tolist() == [[True, False, True, False], [False, False, True, True]]
    assert int(fired) == 5


@pytest.mark.parametrize(
    ("signed", "dead"), [(True, [False, False, False, True]), (False, [False, True, False, True])]
)
def test_a_signed_latent_is_dead_only_when_both_poles_are_silent(
    signed: bool, dead: list[bool]
) -> None:
    life = Life(4, signed, dead_after=10)
    rows = [[1.0, -1.0, 2.0, 0.0], [1.0, -1.0, -2.0, 0.0]]
    for _ in range(5):
        life.silent_for = life.after(code_of(rows, True), 2.0, Group()).silent_for
    assert life.silent_for[0].tolist() == [0, 10, 0, 10]
    assert life.silent_for[1].tolist() == ([10, 0, 0, 10] if signed else [10] * 4)
    assert life.is_dead().tolist() == dead
    assert life.count(life.silent_for).tolist() == ([1, 2, 2] if signed else [2, 2, 0])


def test_a_latent_that_only_fires_negatively_is_not_dead() -> None:
    x, _ = planted(8_192)
    training, _ = fit(SAEConfig(16, 24, "abstopk", 3), x, steps=1)
    with torch.no_grad():
        training.sae.b_enc[0] = -50.0  # always the largest |u|, always negative
    training.life.silent_for.fill_(10_000)
    step = training.take_step(batched(x, 256)[0])
    assert training.life.silent_for[:, 0].tolist() == [10_256, 0]
    assert not training.life.is_dead()[0]
    assert step.dead_positive > step.dead
