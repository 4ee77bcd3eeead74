"""The index against a brute-force pass over the corpus, both poles: examples and statistics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from models.corpus import Window
from models.index.blocks import WindowBlock
from models.index.details import shorten, token_logits
from models.index.firings import group_compiled, group_firings, group_plain, sort_firings
from models.index.indexer import SHORTEST_FOR_MEAN
from models.index.labels import Labeller, visible
from models.index.neighbours import NeighbourSearch
from models.index.statistics import BINS, EDGES, Statistics, bin_of
from models.language_model import LanguageModel
from tests.models.dense import (
    FEATURES,
    MOST,
    NEGATIVE_ONLY,
    POSITIVE_ONLY,
    SILENT,
    dense_codes,
    flatten,
    indexed,
    make_sae,
)


def empty_windows(lengths: dict[int, int]) -> WindowBlock:
    """Windows of these lengths, all tokens 0."""
    return WindowBlock.of(
        {
            number: Window(number, 0, np.zeros(length, np.int32))
            for number, length in lengths.items()
        }
    )


@pytest.fixture(scope="module", params=["abstopk", "topk", "dim", "soft_threshold", "vsae"])
def case(request, lm: LanguageModel, windows):
    sae = make_sae(request.param)
    return indexed(lm, sae, windows), dense_codes(lm, sae, windows)


@pytest.mark.parametrize("pole", ["+", "-"])
@pytest.mark.parametrize("kind", ["extreme", "mean"])
def test_examples_equal_a_brute_force_pass(case, windows, kind: str, pole: str) -> None:
    indexer, codes = case
    found = indexer.top[kind, pole].result()
    sign = 1 if pole == "+" else -1
    for feature in range(FEATURES):
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
            window = windows[found.window[row]]
            code = codes[found.window[row]][:, feature]
            assert_allclose(found.value[row], code[found.position[row]], atol=1e-4, rtol=1e-5)
            assert found.position[row] >= 1
            assert found.token[row] == window.tokens[found.position[row]]
            assert_allclose(found.value[row], sign * (sign * code[1:]).max(), atol=1e-4, rtol=1e-5)
            assert_allclose(found.mean[row], code[1:].mean(), atol=1e-4, rtol=1e-5)
            start = found.length[:row].sum()
            offsets = found.offsets[start : start + found.length[row]]
            assert_array_equal(offsets, np.flatnonzero(code))
            values = found.values[start : start + found.length[row]]
            assert_allclose(values, code[offsets], atol=1e-4, rtol=1e-5)


def test_statistics_equal_a_brute_force_pass(case, windows) -> None:
    indexer, codes = case
    statistics = indexer.statistics
    every, token = flatten(codes, windows)
    assert statistics.tokens == len(every)
    assert_array_equal(statistics.firings, [(every > 0).sum(0), (every < 0).sum(0)])
    sums = [np.clip(every, 0, None).sum(0), np.clip(every, None, 0).sum(0)]
    assert_allclose(statistics.sums, sums, rtol=1e-4, atol=1e-3)
    assert_allclose(
        statistics.extremes,
        [np.clip(every.max(0), 0, None), np.clip(every.min(0), None, 0)],
        rtol=1e-4,
    )
    assert_array_equal(statistics.histogram.sum(-1), statistics.firings)
    assert_array_equal(indexer.background, np.bincount(token))
    total = np.abs(every).sum(0)
    alive = total > 0
    assert_allclose(statistics.pole_balance()[alive], every.sum(0)[alive] / total[alive], atol=1e-4)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_quantiles_are_within_a_bin_of_a_brute_force_pass(case, windows, share: float) -> None:
    indexer, codes = case
    every = flatten(codes, windows).code
    quantile = indexer.statistics.quantile(share)
    for feature in range(FEATURES):
        for pole, sign in enumerate((1, -1)):
            column = sign * every[:, feature]
            fired = column[column > 0]
            if len(fired) == 0:
                assert quantile[pole, feature] == 0
                continue
            exact = np.quantile(fired, share, method="inverted_cdf")
            if exact > EDGES[0]:
                assert exact / 1.091 <= sign * quantile[pole, feature] <= exact * 1.091


def test_negative_only_positive_only_and_silent_features_are_told_apart(
    lm: LanguageModel, windows
) -> None:
    statistics = indexed(lm, make_sae(), windows).statistics
    assert statistics.firings[:, SILENT].tolist() == [0, 0]
    assert np.isnan(statistics.pole_balance()[SILENT])
    assert statistics.quantile()[:, SILENT].tolist() == [0, 0]
    for feature, full, empty in ((NEGATIVE_ONLY, 1, 0), (POSITIVE_ONLY, 0, 1)):
        assert statistics.firings[full, feature] == statistics.tokens
        assert statistics.firings[empty, feature] == 0
        assert statistics.density()[full, feature] == 1
        assert statistics.pole_balance()[feature] == (1 if full == 0 else -1)
        assert abs(statistics.quantile()[full, feature]) == pytest.approx(1e4, rel=0.1)
        assert statistics.quantile()[empty, feature] == 0


@given(
    st.lists(
        st.floats(-1e6, 1e6, width=32).filter(lambda value: abs(value) > 1e-3),
        min_size=1,
        max_size=60,
    )
)
@settings(max_examples=50, deadline=None)
def test_quantiles_and_histogram_follow_the_values(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    places = np.arange(len(array))
    firings = sort_firings(np.zeros_like(places), np.zeros_like(places), places + 1, array, 1)
    statistics = Statistics(1)
    groups = group_firings(firings, empty_windows({0: len(array) + 1}))
    statistics.add(firings, groups, len(array))
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


def test_a_million_features_take_half_a_gigabyte_of_counts(monkeypatch) -> None:
    """Zeros are not touched, so that nothing is really taken here."""
    statistics = Statistics(1 << 20)
    counted = sum(array.nbytes for array in statistics.state().values())
    assert counted < 600e6
    firings = sort_firings(
        np.array([1 << 19] * 3), np.zeros(3), np.arange(1, 4), np.array([3.0, -1, 3]), 1 << 20
    )
    statistics.add(firings, group_firings(firings, empty_windows({0: 4})), 3)
    edges, counts = statistics.display_histogram(1 << 19)
    assert sum(counts) == 3
    assert counts[-1] == 2
    assert edges[-1] == 4


def test_consistency_is_one_for_windows_of_one_sign_and_zero_by_chance() -> None:
    random = np.random.default_rng(0)
    signs = random.choice([-1, 1], 400)
    window = np.repeat(np.arange(400), 2)
    position = np.tile([2, 8], 400)
    values = {0: np.repeat(signs, 2), 1: random.choice([-1, 1], 800)}
    statistics = Statistics(2)
    block = empty_windows(dict.fromkeys(range(400), 11))
    for feature, value in values.items():
        firings = sort_firings(np.full(800, feature), window, position, value.astype(np.float32), 2)
        statistics.add(firings, group_firings(firings, block), 4_000)
    kappa = statistics.consistency().kappa
    assert kappa[0] == pytest.approx(1.0)
    assert abs(kappa[1]) < 0.15


def test_logits_of_the_minus_pole_are_the_negated_ones(lm: LanguageModel) -> None:
    W_dec = make_sae().W_dec
    plus, minus = token_logits(lm.logit_effect(W_dec)), token_logits(lm.logit_effect(-W_dec))
    assert_array_equal(plus.promoted, minus.suppressed)
    assert_allclose(plus.promoted_logits, -minus.suppressed_logits)


def test_every_token_of_the_vocabulary_is_counted_by_its_logit(lm: LanguageModel) -> None:
    W_dec = make_sae().W_dec.clone()
    W_dec[SILENT] = 0
    effect = lm.logit_effect(W_dec)
    found = token_logits(effect)
    for row, reach, counts in zip(effect.numpy(), found.reach, found.counts, strict=True):
        assert reach == np.abs(row).max()
        if reach:
            expected, _ = np.histogram(row, len(counts), (-reach, reach))
            assert np.abs(np.cumsum(counts - expected)).max() <= 1, "but for one on an edge"
        assert counts.sum() == (len(row) if reach else 0)


@pytest.mark.parametrize("at_once", [1 << 25, 60])
def test_neighbours_are_the_extreme_cosines_without_the_feature_itself(
    monkeypatch, at_once: int
) -> None:
    monkeypatch.setattr("models.index.neighbours.COSINES_AT_ONCE", at_once)
    W_dec = torch.nn.functional.normalize(torch.randn(50, 8), dim=-1)
    W_dec[3], W_dec[4] = W_dec[2], -W_dec[2]
    found = NeighbourSearch(W_dec).find([2, 30, 49])
    assert found.aligned[0, 0] == 3
    assert found.opposed[0, 0] == 4
    for row, feature in enumerate((2, 30, 49)):
        cosine = (W_dec @ W_dec[feature]).numpy()
        cosine[feature] = 0
        assert_allclose(found.aligned_cosine[row], np.sort(cosine)[::-1][:8], atol=1e-6)
        assert_allclose(found.opposed_cosine[row], np.sort(cosine)[:8], atol=1e-6)
        assert_allclose(cosine[found.aligned[row]], found.aligned_cosine[row], atol=1e-6)
        assert_allclose(cosine[found.opposed[row]], found.opposed_cosine[row], atol=1e-6)


@pytest.mark.parametrize("apart", [1, 10_000])
def test_the_compiled_groups_are_the_plain_ones(apart: int) -> None:
    pytest.importorskip("numba")
    random = np.random.default_rng(3)
    lengths = {7 + apart * row: int(random.integers(2, 40)) for row in range(12)}
    block = empty_windows(lengths)
    row, position = np.nonzero(block.is_indexed())
    kept = np.sort(random.choice(len(row), len(row) // 2, replace=False))
    value = random.choice([-2.0, -1.0, 0.5, 1.0, 0.1, -0.1], len(kept)).astype(np.float32)
    firings = sort_firings(
        random.integers(0, 6, len(kept)), block.number[row[kept]], position[kept], value, 6
    )
    plain, compiled = group_plain(firings, block), group_compiled(firings, block)
    for name, array, expected in zip(plain._fields, compiled, plain, strict=True):
        assert array.dtype == expected.dtype
        if name in ("mean", "halves"):
            assert_allclose(array, expected, rtol=1e-6, atol=1e-12)
        else:
            assert_array_equal(array, expected, name)


def test_labels_prefer_words_that_are_rare_elsewhere() -> None:
    vocabulary = [" the", " queen", "Queen", " ran", "\n"]
    labeller = Labeller(vocabulary, np.array([10_000, 10, 2, 500, 300]))
    assert labeller.label([1, 1, 2, 0, 0, 3])[0] == ("queen", pytest.approx(3 / 6 / (12 / 10_812)))
    assert labeller.label([4]) == (("↵", pytest.approx(10_812 / 300)),)
    assert labeller.label([]) == ()


def test_labels_of_many_poles_are_those_of_each_alone() -> None:
    random = np.random.default_rng(0)
    vocabulary = [f"{space}{word}" for word in "ABCabc" for space in (" ", "")] + ["\x00", "\ud800"]
    labeller = Labeller(vocabulary, random.integers(0, 9, len(vocabulary) - 1))
    pole, token = random.integers(0, 7, 90), random.integers(0, len(vocabulary), 90)
    pole[pole == 3] = 0  # an empty one
    together = labeller.label_all(pole, token, 7)
    assert together == [labeller.label(token[pole == number].tolist()) for number in range(7)]
    for number, label in enumerate(together):
        words = [visible(vocabulary[each]) for each in token[pole == number]]
        weight = {}
        for word in set(words):
            ids = {each for each in token[pole == number] if visible(vocabulary[each]) == word}
            common = sum(labeller._background[each] for each in ids if each < 13)
            lift = words.count(word) / len(words) * labeller._background.sum() / max(common, 1)
            weight[word] = (-words.count(word) * np.log1p(max(lift, 1)).round(9), word)
        assert [each.word for each in label] == sorted(weight, key=weight.__getitem__)[:3]


@given(st.lists(st.floats(-(2.0**90), 2.0**90, width=32, allow_subnormal=False), max_size=20))
def test_shortened_numbers_are_the_same_to_six_digits(values: list[float]) -> None:
    array = np.array(values, dtype=np.float32)
    assert_allclose(shorten(array), array.astype(np.float64), rtol=1e-5, atol=0)
