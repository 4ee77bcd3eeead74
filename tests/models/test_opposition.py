"""Opposition: opposites above strangers, the same figures each time, empty poles left out."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from models.index.indexer import Indexer, run_index
from models.index.opposition import (
    CONTEXTS,
    MIN_SPREAD,
    PERCENTILES,
    PoleTokens,
    against_strangers,
    compare_poles,
    partners_of,
    pole_tokens,
    score_opposition,
    summarise_tokens,
)
from models.sae import SAEConfig, SparseAutoencoder

PAIRS, D_IN = 60, 24
OPPOSITES = 20  # the first features; the rest are strangers


def planted(seed: int = 0) -> tuple[PoleTokens, torch.Tensor, np.ndarray]:
    """One token per pole; the rows of opposites point the same way but for a little."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(2 * PAIRS, D_IN))
    rows[1 : 2 * OPPOSITES : 2] = rows[0 : 2 * OPPOSITES : 2] + 0.7 * random.normal(
        size=(OPPOSITES, D_IN)
    )
    ids = np.full((2 * PAIRS, CONTEXTS), -1)
    ids[:, 0] = np.arange(2 * PAIRS)
    frequency = random.dirichlet(np.ones(2 * PAIRS))
    poles = summarise_tokens(ids, np.log(frequency))
    return poles, torch.tensor(rows, dtype=torch.float32), frequency


def test_opposites_stand_above_strangers_and_strangers_do_not() -> None:
    result = compare_poles(*planted())
    real, strangers = result.score[:OPPOSITES], result.score[OPPOSITES:]
    assert (real[:, None] > strangers[None]).mean() > 0.95
    assert (result.p_value[:OPPOSITES] < 0.05).mean() > 0.8
    assert (result.p_value[OPPOSITES:] < 0.05).mean() < 0.15
    assert (strangers > result.null_95).mean() < 0.15
    assert list(result.percentiles) == sorted(result.percentiles)


def test_shuffled_poles_lose_it() -> None:
    poles, rows, frequency = planted()
    order = np.arange(2 * PAIRS)
    order[1 : 2 * OPPOSITES : 2] = np.roll(order[1 : 2 * OPPOSITES : 2], 1)
    shuffled = PoleTokens(*(array[order] for array in poles))
    assert np.mean(compare_poles(shuffled, rows, frequency).score[:OPPOSITES]) < 0.5
    assert np.mean(compare_poles(poles, rows, frequency).score[:OPPOSITES]) > 2


def test_the_score_equals_a_plain_loop() -> None:
    poles, rows, frequency = planted(1)
    result = compare_poles(poles, rows, frequency)
    unit = torch.nn.functional.normalize(rows - torch.tensor(frequency).float() @ rows, dim=-1)
    cosine = (unit @ unit.T).double().numpy()
    partners = partners_of(poles.level)
    for feature in (0, 1, 33):
        plus, minus = 2 * feature, 2 * feature + 1
        null = np.concatenate([cosine[plus, partners[minus]], cosine[minus, partners[plus]]])
        expected = (cosine[plus, minus] - null.mean()) / null.std()
        assert result.score[feature] == pytest.approx(expected, abs=1e-4)


def test_strangers_are_other_features_poles_of_nearest_frequency() -> None:
    level = np.array([0.0, -1.0, -1.1, -5.0, -1.2, np.nan, *np.linspace(-9, -6, 40)])
    partners = partners_of(level)
    own = np.arange(len(level))[:, None] // 2
    assert not (partners // 2 == own).any()
    assert not (partners == 5).any()
    assert {2, 4} <= set(partners[1].tolist())


def test_repeated_tokens_weigh_more_and_padding_nothing() -> None:
    poles = summarise_tokens(
        np.array([[7, 3, 7, -1, -1, -1, -1, -1], [-1] * 8]), np.log(np.full(9, 0.5))
    )
    assert sorted(poles.ids[0][poles.ids[0] >= 0].tolist()) == [3, 7]
    assert poles.weight[0].sum() == pytest.approx(1)
    assert poles.weight[0][poles.ids[0] == 7] == pytest.approx(2 / 3)
    assert np.isnan(poles.level[1])


def test_every_feature_of_an_index_is_scored_or_has_an_empty_pole(lm, windows) -> None:
    sae = SparseAutoencoder(SAEConfig(lm.d_in, 48, "abstopk", 16)).eval().requires_grad_(False)
    sae.initialise(torch.Generator().manual_seed(0))
    sae.W_enc[:, :4] = 0  # four features that never fire, whatever the machine's arithmetic
    indexer = Indexer(sae, 1)
    for _ in run_index(lm, [indexer], windows):
        pass
    counts = np.bincount(np.concatenate([w.tokens for w in windows]), minlength=len(lm.vocabulary))
    first, second = (score_opposition(lm, indexer, counts) for _ in range(2))
    poles = pole_tokens(indexer, np.log((counts + 1) / (counts + 1).sum()))
    empty = np.isnan(poles.level).reshape(-1, 2).any(1)
    assert (np.isnan(first.score) == empty).all()
    assert empty[:4].all()
    assert (~empty).sum() > 30  # all other 44 where this was written
    np.testing.assert_array_equal(first.score, second.score)
    own = poles.ids.reshape(-1, 2, CONTEXTS)
    both = [set(a[a >= 0]) & set(b[b >= 0]) for a, b in own]
    assert not any(both)


def test_too_few_poles_for_a_null_are_not_scored() -> None:
    poles = summarise_tokens(np.array([[0, *[-1] * 7], [1, *[-1] * 7]]), np.log(np.full(2, 0.5)))
    result = compare_poles(poles, torch.eye(2), np.full(2, 0.5))
    assert np.isnan(result.score).all()
    assert np.isnan(result.null_95)
    assert result.beating == 0


def test_each_stranger_is_scored_against_the_others_of_its_feature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.index.opposition.AT_ONCE", 7)
    alike = np.random.default_rng(0).normal(0.4, 0.1, (20, 9)).astype(np.float32)
    alike[3] = np.nan
    alike[5, 1:] = 0.25  # strangers that are all alike
    scored = np.delete(alike, 3, 0).astype(np.float64)
    null = []
    for _, *strangers in scored:
        for place, value in enumerate(strangers):
            others = np.delete(strangers, place)
            null.append((value - others.mean()) / max(others.std(), MIN_SPREAD))
    found = against_strangers(alike)
    assert_allclose(found.percentiles, np.percentile(null, PERCENTILES), rtol=1e-4, atol=1e-5)
    own, strangers = scored[:, 0], scored[:, 1:]
    expected = (own - strangers.mean(1)) / np.maximum(strangers.std(1), MIN_SPREAD)
    assert_allclose(np.delete(found.score, 3), expected)
    assert np.isnan(found.score[3])
