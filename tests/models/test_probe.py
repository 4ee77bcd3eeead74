"""The probe: AUC against brute force, choice on train only, planted features found, nulls at chance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.concepts import probe as module
from models.concepts.probe import DRAWS, Texts, aucs, probe, read_texts
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_auc_equals_counting_pairs(rows: list[tuple[int, bool]]) -> None:
    is_a = np.array([side for _, side in rows])
    if is_a.all() or not is_a.any():
        return
    scores = np.array([[float(score)] for score, _ in rows])
    wins = [(a > b) + (a == b) / 2 for a in scores[is_a, 0] for b in scores[~is_a, 0]]
    assert aucs(scores, is_a)[0] == pytest.approx(np.mean(wins))


def planted(seed: int = 0, texts: int = 80) -> Texts:
    """Feature 5 is − on A and + on B; 7 fires on A only, 9 on B only; the rest is noise."""
    random = np.random.default_rng(seed)
    codes = random.normal(size=(texts, 12)).astype(np.float32)
    is_a = np.arange(texts) % 2 == 0
    codes[:, 5] = np.where(is_a, -1, 1) + 0.2 * codes[:, 5]
    codes[:, 7], codes[:, 9] = np.where(is_a, 1.0, 0.0), np.where(is_a, 0.0, 1.0)
    hidden = torch.from_numpy(random.normal(size=(texts, 6))).float()
    hidden[:, 2] += torch.where(torch.from_numpy(is_a), 4.0, -4.0)
    return Texts(codes, hidden, is_a, np.arange(texts) < texts // 2)


def test_the_planted_signed_feature_is_found_with_its_orientation() -> None:
    texts = planted()
    texts.codes[:, [7, 9]] = 0
    found = probe(texts, is_signed=True)
    assert (found.single.feature, found.single.sign) == (5, -1)
    assert found.single.auc.value == pytest.approx(1.0)
    assert found.single.both_signs == pytest.approx(1.0)


def test_the_null_is_that_of_choosing_anew_for_every_draw_of_the_sides() -> None:
    texts, random = planted(), np.random.default_rng(0)
    random.integers(0, 20, (20, DRAWS)), random.integers(0, 20, (20, DRAWS))  # of the interval
    drawn = []
    for _ in range(100):
        is_a = texts.is_a.copy()
        for split in (texts.is_train, ~texts.is_train):
            is_a[split] = random.permutation(is_a[split])
        found = aucs(texts.codes[texts.is_train], is_a[texts.is_train])
        best = int(np.abs(found - 0.5).argmax())
        score = (1 if found[best] >= 0.5 else -1) * texts.codes[~texts.is_train][:, [best]]
        drawn.append(aucs(score, is_a[~texts.is_train])[0])
    assert probe(texts, is_signed=True).null_95 == np.quantile(drawn, 0.95)


def test_train_codes_are_ranked_once_for_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, rank = [], module._ranks
    monkeypatch.setattr(
        module, "_ranks", lambda scores: shapes.append(scores.shape) or rank(scores)
    )
    probe(planted(), is_signed=True)
    assert shapes.count((40, 12)) == 1


def test_the_planted_pair_of_one_sided_features_is_found() -> None:
    texts = planted()
    texts.codes[:, 5] = 0
    found = probe(texts, is_signed=False).pair
    assert (found.a, found.pole_a, found.b, found.pole_b) == (7, "+", 9, "+")
    assert found.auc.value == pytest.approx(1.0)


def test_a_pair_of_a_signed_sae_may_be_the_two_poles_of_one_feature() -> None:
    texts = planted()
    texts.codes[:, [7, 9]] = 0
    found = probe(texts, is_signed=True).pair
    assert (found.a, found.pole_a, found.b, found.pole_b) == (5, "-", 5, "+")


def test_dim_points_from_b_to_a() -> None:
    found = probe(planted(), is_signed=True).dim
    assert int(found.direction.abs().argmax()) == 2
    assert found.direction[2] > 0.9
    assert found.direction.norm() == pytest.approx(1.0, abs=1e-5)


def test_noise_is_at_chance_and_inside_its_interval() -> None:
    texts = planted()
    texts.codes[:, [5, 7, 9]] = 0
    found = probe(texts, is_signed=True)
    assert found.single.train_auc > 0.6, "choosing the best of many looks good on train"
    assert found.single.auc.low < 0.5 < found.null_95
    assert found.single.auc.value < 0.8


def test_the_held_out_texts_do_not_change_the_choice() -> None:
    texts = planted()
    other = texts._replace(codes=texts.codes.copy())
    other.codes[~texts.is_train] = 0
    one, two = probe(texts, is_signed=True), probe(other, is_signed=True)
    assert (one.single[:3], one.pair[:5]) == (two.single[:3], two.pair[:5])
    assert torch.equal(one.dim.direction, two.dim.direction) or torch.allclose(
        one.dim.direction, two.dim.direction
    )


def test_texts_are_read_as_means_behind_the_first_position(lm: LanguageModel) -> None:
    sae = SparseAutoencoder(SAEConfig(lm.d_in, 40, "abstopk", 6))
    sae.initialise(torch.Generator().manual_seed(1))
    a = [f"The girl number {n} ran." for n in range(8)]
    b = [f"The boy with {n} dogs was sad." for n in range(8)]
    texts = read_texts(lm, sae.eval(), 1, a, b)
    x = lm.residual(torch.tensor([lm.tokenize(b[3])]), 1)[0, 1:].float()
    np.testing.assert_allclose(
        texts.codes[11], sae.encode(x).mean(0).detach().numpy(), atol=1e-4, rtol=1e-3
    )
    assert texts.is_train.tolist() == ([True] * 4 + [False] * 4) * 2


@pytest.mark.parametrize("side", ["a", "b"])
def test_too_few_texts_are_refused(lm: LanguageModel, side: str) -> None:
    sae = SparseAutoencoder(SAEConfig(lm.d_in, 40, "abstopk", 6))
    lists = {"a": ["x y"] * 20, "b": ["x z"] * 20, side: ["one"]}
    with pytest.raises(ValueError, match=f"side {side.upper()}"):
        read_texts(lm, sae, 1, lists["a"], lists["b"])
