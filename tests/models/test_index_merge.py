"""Shards merge to the index of the whole, a turned SAE's index is the mirror image, states come back."""

import itertools
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from models.corpus import Window
from models.index.blocks import WindowBlock
from models.index.firings import sort_firings
from models.index.indexer import Indexer, run_index
from models.index.state import load_indexers, save_indexers
from models.index.together import find_together
from models.index.token_sample import TokenSample
from models.index.token_statistics import rank_tokens
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from tests.models.dense import FEATURES, LAYER, MOST, indexed, make_sae

WIDTH, WINDOWS, POSITIONS = 12, 40, 9
CELLS = 300  # of about 900: the sample has to thin out


def assert_same(ours: Indexer, theirs: Indexer) -> None:
    """Every number kept, and every number made of them, is the same, bit for bit but for sums."""
    mine, other = ours.statistics.state(), theirs.statistics.state()
    for name in mine:
        if name == "sums":
            assert_allclose(mine[name], other[name], rtol=1e-12)
        else:
            assert_array_equal(mine[name], other[name], name)
    for name, top in ours.lists().items():
        for array, expected in zip(top.result(), theirs.lists()[name].result(), strict=True):
            assert_array_equal(array, expected, name)
    assert_array_equal(ours.background, theirs.background)
    assert_array_equal(ours.sample.seen, theirs.sample.seen)
    assert ours.sample.level == theirs.sample.level
    assert sorted(_cells(ours.sample)) == sorted(_cells(theirs.sample))
    features = ours.sae.config.d_sae
    for array, expected in zip(
        find_together(ours.sample, features), find_together(theirs.sample, features), strict=True
    ):
        assert_array_equal(array, expected)
    for array, expected in zip(
        rank_tokens(ours.sample.result(), features, ours.background),
        rank_tokens(theirs.sample.result(), features, theirs.background),
        strict=True,
    ):
        assert_allclose(array, expected, rtol=1e-12)


def _cells(sample: TokenSample) -> list[tuple]:
    held = sample.result()
    columns = (held.token[held.row], held.zeros[held.row], held.feature, held.value)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@cache
def made_windows() -> tuple[Window, ...]:
    """Windows of several lengths, several to a document."""
    random = np.random.default_rng(5)
    return tuple(
        Window(number // 3, 0, random.integers(0, 50, random.integers(2, POSITIONS + 1)))
        for number in range(WINDOWS)
    )


def shard(numbers: list[int], make: Indexer | None = None, at_once: int = 7) -> Indexer:
    """The index of these windows with made-up codes full of ties, some windows at a time."""
    indexer = make or Indexer(SparseAutoencoder(SAEConfig(4, WIDTH, "abstopk", 3)), 0, MOST)
    indexer.sample = TokenSample(WIDTH, CELLS)
    for start in range(0, len(numbers), at_once):
        part = sorted(numbers[start : start + at_once])
        block = WindowBlock.of({number: made_windows()[number] for number in part})
        rows, positions = np.nonzero(block.is_indexed())
        codes = [_codes(int(block.number[r]), int(p)) for r, p in zip(rows, positions, strict=True)]
        feature = np.array([code[0] for code in codes]).ravel()
        value = np.array([code[1] for code in codes], dtype=np.float32).ravel()
        window, position = np.repeat(block.number[rows], 4), np.repeat(positions, 4)
        indexer.add_block(sort_firings(feature, window, position, value, WIDTH), block)
    return indexer


@cache
def _codes(window: int, position: int) -> tuple[list[int], list[float]]:
    random = np.random.default_rng((window, position))
    features = random.choice(WIDTH, 4, replace=False)
    return sorted(features.tolist()), random.choice(
        [-4, -2, -1.5, -1, 0, 0.75, 1, 2, 4], 4
    ).tolist()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_split_in_any_order_merges_to_the_same_index(data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(WINDOWS)))
    cuts = sorted(data.draw(st.sets(st.integers(1, WINDOWS - 1), max_size=4)))
    bounds = itertools.pairwise([0, *cuts, WINDOWS])
    shards = [shard(order[a:b], at_once=data.draw(st.integers(1, 20))) for a, b in bounds]
    while len(shards) > 1:
        taken = shards.pop(data.draw(st.integers(0, len(shards) - 1)))
        shards[data.draw(st.integers(0, len(shards) - 1))].merge(taken)
    assert shards[0].sample.level > 0
    assert_same(shards[0], shard(list(range(WINDOWS))))


def test_shards_of_a_real_model_merge_to_the_index_of_the_whole(lm: LanguageModel, windows) -> None:
    """Codes differ in the last bits with the batch a window stands in: hence the tolerance."""
    sae = make_sae()
    whole = indexed(lm, sae, windows)
    merged = indexed(lm, sae, windows[20:], 20)
    merged.merge(indexed(lm, sae, windows[:9]))
    merged.merge(indexed(lm, sae, windows[9:20], 9))
    assert_array_equal(merged.statistics.firings, whole.statistics.firings)
    for name, top in whole.lists().items():
        ours, expected = merged.lists()[name].result(), top.result()
        assert_array_equal(ours.feature, expected.feature)
        assert_allclose(ours.score, expected.score, rtol=1e-4, atol=1e-5)
        assert_array_equal(ours.document, expected.document)


@pytest.mark.parametrize("sparsifier", ["abstopk", "vsae", "soft_threshold"])
def test_turning_an_index_round_is_indexing_the_turned_sae(
    lm: LanguageModel, windows, sparsifier: str
) -> None:
    turned = np.arange(FEATURES) % 3 == 0
    flipped = indexed(lm, make_sae(sparsifier), windows)
    flipped.flip(turned)
    assert_same(flipped, indexed(lm, flipped.sae, windows))
    assert not (np.signbit(flipped.statistics.sums[0]) & (flipped.statistics.sums[0] == 0)).any()


def test_turning_twice_is_not_turning_at_all(lm: LanguageModel, windows) -> None:
    random = np.random.default_rng(0).random(FEATURES) < 0.5
    indexer = indexed(lm, make_sae(), windows)
    indexer.flip(random)
    indexer.flip(random)
    assert_same(indexer, indexed(lm, make_sae(), windows))


def test_an_index_turned_half_way_goes_on_like_one_turned_before(
    lm: LanguageModel, windows
) -> None:
    turned = np.arange(FEATURES) % 2 == 0
    ours = indexed(lm, make_sae(), windows[:17])
    ours.flip(turned)
    for _ in run_index(lm, [ours], windows[17:], 17):
        pass
    expected = Indexer(ours.sae, LAYER, MOST)
    for start, stop in ((0, 17), (17, len(windows))):
        for _ in run_index(lm, [expected], windows[start:stop], start):
            pass
    assert_same(ours, expected)


def test_a_one_sided_sae_cannot_be_turned(lm: LanguageModel, windows) -> None:
    with pytest.raises(ValueError, match="one-sided"):
        indexed(lm, make_sae("topk"), windows).flip(np.ones(FEATURES, dtype=bool))


def test_a_saved_state_goes_on_as_if_nothing_had_happened(
    lm: LanguageModel, windows, tmp_path: Path
) -> None:
    saes = [make_sae(), make_sae("topk")]
    indexers = [Indexer(sae, LAYER, MOST) for sae in saes]
    for _ in run_index(lm, indexers, windows[:20]):
        pass
    save_indexers(tmp_path / "state", indexers, 20)
    again = [Indexer(sae, LAYER, MOST) for sae in saes]
    assert load_indexers(tmp_path / "state", again) == 20
    for each in (indexers, again):
        for _ in run_index(lm, each, windows[20:], 20):
            pass
    for one, other in zip(again, indexers, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("content", [None, b"", b"\x10\x00\x00\x00\x00\x00\x00\x00{half"])
def test_a_missing_or_broken_state_counts_as_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "state").write_bytes(content)
    assert load_indexers(tmp_path / "state", [Indexer(make_sae(), LAYER, MOST)]) == 0


def test_memory_does_not_grow_with_the_corpus() -> None:
    """What is kept after four times as many tokens is the same but for what is not yet full."""
    sizes = []
    for times in (8, 32):
        indexer = Indexer(SparseAutoencoder(SAEConfig(4, WIDTH, "abstopk", 3)), 0, MOST)
        for repeat in range(times):
            numbers = range(repeat * WINDOWS, (repeat + 1) * WINDOWS)
            windows = {n: Window(n, 0, made_windows()[n % WINDOWS].tokens) for n in numbers}
            block = WindowBlock.of(windows)
            rows, positions = np.nonzero(block.is_indexed())
            random = np.random.default_rng(repeat)
            feature = random.integers(0, WIDTH, len(rows))
            value = random.normal(size=len(rows)).astype(np.float32)
            firings = sort_firings(feature, block.number[rows], positions, value, WIDTH)
            indexer.sample.cells = CELLS
            indexer.add_block(firings, block)
        lists = [array for top in indexer.lists().values() for array in top.result()]
        held = [*indexer.statistics.state().values(), *indexer.sample.state().values()]
        sizes.append(sum(array.nbytes for array in (*lists, *held)))
    assert sizes[1] < 1.2 * sizes[0]
