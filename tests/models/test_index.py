"""The index against a brute-force pass over the corpus, both poles, and its merging."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from models.corpus import Window
from models.index.details import find_neighbours, label_pole, token_logits
from models.index.firings import sort_firings
from models.index.indexer import SHORTEST_FOR_MEAN, Indexer, run_index
from models.index.statistics import BINS, EDGES, Statistics, bin_of
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder

MOST = 4


def make_sae(sparsifier: str = "abstopk") -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(32, 30, sparsifier, None if sparsifier == "dim" else 5))
    sae.initialise(torch.Generator().manual_seed(2))
    with torch.no_grad():
        sae.W_enc[:, 7] = 0  # never chosen: silent
        sae.W_enc[:, 8] = 0
        sae.b_enc[8] = -1e4  # always chosen, always negative, constant
    return sae.eval().requires_grad_(False)


def brute_force(
    lm: LanguageModel, sae: SparseAutoencoder, windows: list[Window]
) -> list[np.ndarray]:
    """Dense codes of every window alone, position 0 set to 0."""
    codes = []
    for window in windows:
        code = sae.encode(lm.residual(torch.from_numpy(window.tokens[None].astype(np.int64)), 1)[0])
        code[0] = 0
        codes.append(code.numpy())
    return codes


def indexed(
    lm: LanguageModel, sae: SparseAutoencoder, windows: list[Window], first: int = 0
) -> Indexer:
    indexer = Indexer(sae, 1, MOST)
    for _ in run_index(lm, [indexer], windows, first):
        pass
    return indexer


@pytest.fixture(scope="module", params=["abstopk", "topk", "dim"])
def case(request, lm: LanguageModel, windows):
    sae = make_sae(request.param)
    return indexed(lm, sae, windows), brute_force(lm, sae, windows)


@pytest.mark.parametrize("pole", ["+", "-"])
@pytest.mark.parametrize("kind", ["extreme", "mean"])
def test_examples_equal_a_brute_force_pass(case, windows, kind: str, pole: str) -> None:
    indexer, codes = case
    found = indexer.top[kind, pole].result()
    sign = 1 if pole == "+" else -1
    for feature in range(30):
        rows = np.flatnonzero(found.feature == feature)
        best: dict[int, float] = {}
        for window, code in zip(windows, codes, strict=True):
            column = sign * code[1:, feature]
            score = column.max() if kind == "extreme" else column.mean()
            if score > 0 and (kind == "extreme" or len(column) >= SHORTEST_FOR_MEAN):
                best[window.document] = max(best.get(window.document, 0), float(score))
        expected = sorted(best.values(), reverse=True)[:MOST]
        assert_allclose(found.score[rows], expected, atol=1e-4, rtol=1e-4)
        assert len(set(found.document[rows].tolist())) == len(rows), "one example per document"
        for row in rows:
            code = codes[found.window[row]][:, feature]
            assert_allclose(found.value[row], code[found.position[row]], atol=1e-4)
            assert found.position[row] >= 1
            assert_allclose(found.value[row], sign * (sign * code[1:]).max(), atol=1e-4)
            assert_allclose(found.mean[row], code[1:].mean(), atol=1e-4)
            start = found.length[:row].sum()
            offsets = found.offsets[start : start + found.length[row]]
            assert_array_equal(offsets, np.flatnonzero(code))
            assert_allclose(
                found.values[start : start + found.length[row]], code[offsets], atol=1e-4
            )


def test_statistics_equal_a_brute_force_pass(case) -> None:
    indexer, codes = case
    statistics = indexer.statistics
    every = np.concatenate([code[1:] for code in codes])
    assert statistics.tokens == len(every)
    assert_array_equal(statistics.firings, [(every > 0).sum(0), (every < 0).sum(0)])
    assert_allclose(
        statistics.sums,
        [np.clip(every, 0, None).sum(0), np.clip(every, None, 0).sum(0)],
        rtol=1e-4,
        atol=1e-3,
    )
    assert_allclose(
        statistics.extremes,
        [np.clip(every.max(0), 0, None), np.clip(every.min(0), None, 0)],
        rtol=1e-4,
    )
    assert_array_equal(statistics.histogram.sum(-1), statistics.firings)


def test_negative_only_and_silent_features_are_told_apart(lm: LanguageModel, windows) -> None:
    statistics = indexed(lm, make_sae(), windows).statistics
    assert statistics.firings[:, 7].tolist() == [0, 0]
    assert statistics.firings[0, 8] == 0
    assert statistics.firings[1, 8] == statistics.tokens
    assert statistics.pole_balance()[8] == -1
    assert np.isnan(statistics.pole_balance()[7])
    assert statistics.quantile()[1, 8] < 0
    assert statistics.quantile()[:, 7].tolist() == [0, 0]


@given(st.data())
@settings(max_examples=12, deadline=None)
def test_any_split_in_any_order_merges_to_the_same_index(
    lm: LanguageModel, windows, data: st.DataObject
) -> None:
    sae = make_sae()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(windows) - 1), max_size=3)))
    bounds = [0, *cuts, len(windows)]
    shards = [
        indexed(lm, sae, windows[start:stop], start) for start, stop in itertools.pairwise(bounds)
    ]
    first, *rest = data.draw(st.permutations(shards))
    for shard in rest:
        first.merge(shard)
    whole = indexed(lm, sae, windows)
    assert_array_equal(first.statistics.firings, whole.statistics.firings)
    assert_array_equal(first.statistics.signs, whole.statistics.signs)
    for key, top in whole.top.items():
        ours, expected = first.top[key].result(), top.result()
        assert_array_equal(ours.feature, expected.feature)
        assert_allclose(ours.score, expected.score, rtol=1e-4, atol=1e-5)
        assert_array_equal(ours.document, expected.document)
        assert_array_equal(ours.length, expected.length)


@given(
    st.lists(
        st.floats(-1e6, 1e6, width=32).filter(lambda value: abs(value) > 1e-3),
        min_size=1,
        max_size=60,
    )
)
@settings(max_examples=50, deadline=None)
def test_quantiles_and_histogram_follow_the_values(values: list[float]) -> None:
    from models.index.firings import group_firings

    array = np.array(values, dtype=np.float32)
    places = np.arange(len(array))
    firings = sort_firings(np.zeros_like(places), np.zeros_like(places), places + 1, array, 1)
    statistics = Statistics(1)
    statistics.add(firings, group_firings(firings, {0: len(array) + 1}), len(array))
    assert statistics.histogram.sum() == len(array)
    for pole, sign in enumerate((1, -1)):
        size = sign * array[array * sign > 0]
        quantile = sign * statistics.quantile(0.5)[pole, 0]
        if len(size) == 0:
            assert quantile == 0
        elif size.max() < EDGES[-1]:
            exact = np.quantile(size, 0.5, method="inverted_cdf")
            assert exact / 1.1 <= quantile <= exact * 1.1
    edges, counts = statistics.display_histogram(0)
    assert len(edges) == len(counts) + 1
    assert sum(counts) == len(array)
    assert_allclose(edges, -np.array(edges[::-1]))


def test_bins_hold_their_edges() -> None:
    inside = EDGES[:-1] * 1.0001
    assert_array_equal(bin_of(inside), np.arange(BINS))
    assert bin_of(np.array([1e-30, 1e30])).tolist() == [0, BINS - 1]


def test_consistency_is_one_for_windows_of_one_sign_and_zero_by_chance() -> None:
    from models.index.firings import group_firings

    random = np.random.default_rng(0)
    signs = random.choice([-1, 1], 400)
    window = np.repeat(np.arange(400), 2)
    position = np.tile([2, 8], 400)
    values = {0: np.repeat(signs, 2), 1: random.choice([-1, 1], 800)}
    statistics = Statistics(2)
    for feature, value in values.items():
        firings = sort_firings(np.full(800, feature), window, position, value.astype(np.float32), 2)
        statistics.add(firings, group_firings(firings, dict.fromkeys(range(400), 11)), 4_000)
    kappa = statistics.consistency().kappa
    assert kappa[0] == pytest.approx(1.0)
    assert abs(kappa[1]) < 0.15


def test_logits_of_the_minus_pole_are_the_negated_ones(lm: LanguageModel) -> None:
    W_dec = make_sae().W_dec
    plus, minus = token_logits(lm.logit_effect(W_dec)), token_logits(lm.logit_effect(-W_dec))
    assert_array_equal(plus.promoted, minus.suppressed)
    assert_allclose(plus.promoted_logits, -minus.suppressed_logits)


def test_neighbours_are_the_extreme_cosines_without_the_feature_itself() -> None:
    W_dec = torch.nn.functional.normalize(torch.randn(20, 8), dim=-1)
    W_dec[3], W_dec[4] = W_dec[2], -W_dec[2]
    found = find_neighbours(W_dec, [2])
    assert found.aligned[0, 0] == 3
    assert found.opposed[0, 0] == 4
    assert 2 not in found.aligned[0]
    assert 2 not in found.opposed[0]
    assert found.aligned_cosine[0, 0] == pytest.approx(1.0, abs=1e-5)


def test_labels_prefer_words_that_are_rare_elsewhere() -> None:
    vocabulary = [" the", " queen", "Queen", " ran", "\n"]
    background = np.array([10_000, 10, 2, 500, 300])
    assert label_pole([1, 1, 2, 0, 0, 3], vocabulary, background)[0] == "queen"
    assert label_pole([4], vocabulary, background) == ("↵",)
    assert label_pole([], vocabulary, background) == ()
