"""Interval samples, turning points, token statistics and co-firing against a brute-force pass."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from models.index.intervals import INTERVALS, SAMPLES, intervals_of
from models.index.together import LEAST, PARTNERS, find_together
from models.index.token_sample import TokenSample
from models.index.token_statistics import TOKENS, rank_tokens
from models.index.turns import TURNS
from models.language_model import LanguageModel
from tests.models.dense import FEATURES, SILENT, dense_codes, flatten, indexed, make_sae


@pytest.fixture(scope="module", params=["abstopk", "topk", "dim"])
def case(request, lm: LanguageModel, windows):
    sae = make_sae(request.param)
    return indexed(lm, sae, windows), dense_codes(lm, sae, windows)


@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_every_interval_has_its_sample_and_both_poles_share_the_bounds(
    case, windows, pole: str, sign: int
) -> None:
    indexer, codes = case
    statistics = indexer.statistics
    drawn = indexer.intervals.result(pole, statistics.extremes)
    every = flatten(codes, windows).code
    for feature in range(FEATURES):
        largest = np.abs(every[:, feature]).max()
        shown = intervals_of(statistics.octaves(feature))
        assert len(shown) <= INTERVALS
        if largest == 0:
            assert shown == []
        for interval, (low, high, positive, negative) in enumerate(shown):
            assert (low <= largest < high) == (interval == 0)
            size = np.abs(every[:, feature])
            inside = (size >= low) & (size < high) & (sign * every[:, feature] > 0)
            assert abs(int(inside.sum()) - (positive if sign > 0 else negative)) <= 1  # rounding
            rows = (drawn.examples.feature == feature) & (drawn.interval == interval)
            values = sign * drawn.examples.value[rows]
            assert ((values >= low) & (values < high)).all()
            documents = {
                window.document
                for window, code in zip(windows, codes, strict=True)
                if (_inside(sign * code[:, feature], low, high)).any()
            }
            assert abs(min(SAMPLES, len(documents)) - int(rows.sum())) <= 1
            assert len(set(drawn.examples.document[rows].tolist())) == rows.sum()
    for row in range(len(drawn.interval)):
        code = codes[drawn.examples.window[row]]
        found = code[drawn.examples.position[row], drawn.examples.feature[row]]
        assert_allclose(drawn.examples.value[row], found, atol=1e-4, rtol=1e-5)


def _inside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & (values < high)


def test_samples_are_not_the_strongest_nor_the_first(lm: LanguageModel, windows) -> None:
    drawn = indexed(lm, make_sae("dim"), windows).intervals.top["+"].result()
    last = windows[-1].document
    assert 0.35 < np.mean(drawn.document / last) < 0.65
    assert len(np.unique(drawn.document)) == last + 1


@pytest.mark.parametrize(("pole", "sign"), [("+", 1), ("-", -1)])
def test_turning_points_equal_a_brute_force_pass(case, windows, pole: str, sign: int) -> None:
    indexer, codes = case
    found = indexer.turns[pole].result()
    count = np.zeros(FEATURES, dtype=int)
    for feature in range(FEATURES):
        best: dict[int, float] = {}
        for window, code in zip(windows, codes, strict=True):
            before, after = code[:-1, feature], code[1:, feature]
            turns = (before * after < 0) & (sign * after > 0)
            count[feature] += turns.sum()
            if turns.any():
                size = float(np.abs(after - before)[turns].max())
                best[window.document] = max(best.get(window.document, 0.0), size)
        rows = np.flatnonzero(found.feature == feature)
        expected = sorted(best.values(), reverse=True)[:TURNS]
        assert_allclose(found.score[rows], expected, atol=1e-4, rtol=1e-5)
        for row in rows:
            column = codes[found.window[row]][:, feature]
            place = found.position[row]
            assert sign * column[place] > 0 > sign * column[place - 1]
            assert_allclose(found.score[row], abs(column[place] - column[place - 1]), atol=1e-4)
            assert_allclose(found.value[row], column[place], atol=1e-4)
    assert_array_equal(indexer.statistics.turns[0 if sign > 0 else 1], count)


def test_token_statistics_equal_a_brute_force_pass(case, windows) -> None:
    indexer, codes = case
    every, token = flatten(codes, windows)
    found = rank_tokens(indexer.sample.result(), FEATURES, indexer.background)
    share = np.bincount(token) / len(token)
    for feature in range(FEATURES):
        for pole, sign in enumerate((1, -1)):
            rows = np.flatnonzero(found.list == pole * FEATURES + feature)
            size = np.clip(sign * every[:, feature], 0, None)
            mass = np.bincount(token, weights=size)
            assert len(rows) == min(TOKENS, np.count_nonzero(mass))
            assert_allclose(
                found.firings[rows] * sign * found.mean[rows],
                np.sort(mass)[::-1][: len(rows)],
                rtol=1e-4,
            )
            for row in rows:
                fired = size[token == found.token[row]]
                firings = np.count_nonzero(fired)
                assert found.firings[row] == firings
                assert_allclose(sign * found.mean[row], fired.sum() / firings, rtol=1e-4)
                lift = firings / np.count_nonzero(size) / share[found.token[row]]
                assert_allclose(found.lift[row], lift, rtol=1e-6)


def test_features_that_fire_together_equal_a_brute_force_pass(case, windows) -> None:
    indexer, codes = case
    every = flatten(codes, windows).code
    fires, tokens = every != 0, len(every)
    found = find_together(indexer.sample, FEATURES)
    assert found.tokens == tokens
    for feature in range(FEATURES):
        rows = np.flatnonzero(found.feature == feature)
        expected = []
        for other in range(FEATURES):
            both = fires[:, feature] & fires[:, other]
            own, its = fires[:, feature].mean(), fires[:, other].mean()
            spread = np.sqrt(own * (1 - own) * its * (1 - its))
            if other == feature or both.sum() < LEAST or spread == 0:
                continue
            phi = (both.mean() - own * its) / spread
            if phi > 1e-12:
                expected.append(phi)
        assert_allclose(found.correlation[rows], sorted(expected, reverse=True)[:PARTNERS])
        for row in rows:
            other = found.partner[row]
            both = fires[:, feature] & fires[:, other]
            assert found.shared[row] == both.sum()
            same = np.sign(every[both, feature]) == np.sign(every[both, other])
            assert_allclose(found.same_sign[row], same.mean())
            lift = both.mean() / fires[:, feature].mean() / fires[:, other].mean()
            assert_allclose(found.lift[row], lift)


@pytest.mark.parametrize("pairs_at_once", [1 << 23, 50])
def test_shared_firings_are_the_same_in_small_blocks(
    lm: LanguageModel, windows, monkeypatch, pairs_at_once: int
) -> None:
    sample = indexed(lm, make_sae(), windows).sample
    whole = find_together(sample, FEATURES)
    monkeypatch.setattr("models.index.together.PAIRS_AT_ONCE", pairs_at_once)
    for ours, theirs in zip(find_together(sample, FEATURES), whole, strict=True):
        assert_array_equal(ours, theirs)


def test_a_full_sample_holds_whole_tokens_of_a_stated_share(lm: LanguageModel, windows) -> None:
    sample = indexed(lm, make_sae(), windows).sample
    whole = sample.result()
    cells = len(whole.value) // 3
    smaller = TokenSample(FEATURES, cells)
    smaller.merge(sample)
    held = smaller.result()
    assert cells / 4 < len(held.value) <= cells
    assert held.tokens < whole.tokens
    codes = np.bincount(held.row, minlength=len(held.token))
    assert (codes == make_sae().config.k).all()
    assert held.tokens == len(held.token)
    assert SILENT not in held.feature


def test_co_firing_uses_fewer_tokens_where_all_would_be_too_many_pairs(
    lm: LanguageModel, windows, monkeypatch
) -> None:
    sample = indexed(lm, make_sae(), windows).sample
    monkeypatch.setattr("models.index.together.MOST_PAIRS", 25 * sample.result().tokens // 3)
    found = find_together(sample, FEATURES)
    assert 0 < found.tokens < sample.result().tokens / 2
