"""The stream: what it serves and leaves out, that it repeats itself, resumes, and shares out."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.activations import ActivationStream, Batch, SinkPolicy, window_activations
from models.activations import blocks as blocks_module
from models.corpus import Window
from models.language_model import LanguageModel

LAYER = 1


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_TOKENS", 100)


def make(
    lm: LanguageModel, windows: list[Window], tokens: int = 1_000, **options
) -> ActivationStream:
    return ActivationStream(lm, LAYER, windows, 32, tokens, 3, **options)


def plain(lm: LanguageModel, windows: list[Window]) -> dict[tuple[int, ...], list[Tensor]]:
    """All activations but those at position 0, in lists by the token they belong to."""
    found: dict[tuple[int, ...], list[Tensor]] = {}
    for window in windows:
        for _, padded in window_activations(lm, LAYER, [window]):
            for token, row in zip(window.tokens[1:].tolist(), padded[0, 1:], strict=True):
                found.setdefault((token,), []).append(row)
    return found


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one.activations, two.activations)
        assert torch.equal(one.tokens, two.tokens)


def test_batches_have_the_asked_size_and_stop_at_the_asked_number(lm, windows) -> None:
    stream = make(lm, windows, tokens=330)
    assert [len(batch.tokens) for batch in stream] == [32] * 10 + [10]
    assert stream.tokens_served == 330


def test_every_row_is_the_activation_of_its_token(lm, windows) -> None:
    there = {key: torch.stack(rows) for key, rows in plain(lm, windows).items()}
    for batch in make(lm, windows, tokens=400):
        for row, token in zip(batch.activations, batch.tokens.tolist(), strict=True):
            assert torch.cdist(row[None], there[(token,)]).min() < 1e-3


def test_one_pass_serves_every_position_once(lm, windows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_TOKENS", 10**6)
    few = windows[:12]
    total = sum(len(window.tokens) - 1 for window in few)
    served = torch.cat([batch.tokens for batch in make(lm, few, tokens=total)])
    expected = torch.cat([torch.from_numpy(window.tokens[1:]).long() for window in few])
    assert_close(served.sort().values, expected.sort().values)


def test_the_order_is_shuffled(lm, windows) -> None:
    first = next(iter(make(lm, windows)))
    ordered = torch.from_numpy(windows[0].tokens[1:]).long()
    assert not torch.equal(first.tokens[: len(ordered)], ordered[:32])


@pytest.mark.parametrize("prefetch", [True, False])
def test_the_same_seed_gives_the_same_batches_with_and_without_a_thread(
    lm, windows, prefetch: bool
) -> None:
    assert_same(list(make(lm, windows)), list(make(lm, windows, prefetch=prefetch)))


@pytest.mark.parametrize("stop", [0, 1, 3, 7, 12, 31])
def test_a_restored_stream_goes_on_bit_for_bit(lm, windows, stop: int) -> None:
    whole = list(make(lm, windows))
    begun = make(lm, windows)
    for _, _batch in zip(range(stop), begun, strict=False):
        pass
    state = begun.state()
    resumed = make(lm, windows)
    resumed.restore(state)
    assert resumed.tokens_served == stop * 32
    assert_same(list(resumed), whole[stop:])


def test_a_stream_that_was_left_goes_on_where_it_stood(lm, windows) -> None:
    stream = make(lm, windows)
    whole = list(make(lm, windows))
    first = [batch for _, batch in zip(range(4), stream, strict=False)]
    # zip took a fifth batch from neither: range ends first.
    assert_same([*first, *stream], whole)


def test_a_state_of_another_stream_is_refused(lm, windows) -> None:
    state = make(lm, windows).state()
    other = ActivationStream(lm, LAYER, windows, 64, 1_000, 3)
    with pytest.raises(ValueError, match="another text, batch, seed"):
        other.restore(state)


def test_processes_share_the_windows_and_the_batch(lm, windows) -> None:
    few = windows[:10]
    shares = [make(lm, few, tokens=330, rank=rank, world=2) for rank in range(2)]
    served = [list(stream) for stream in shares]
    assert [[len(batch.tokens) for batch in batches] for batches in served] == [[16] * 10 + [5]] * 2
    for rank, batches in enumerate(served):
        own = {token for window in few[rank::2] for token in window.tokens[1:].tolist()}
        assert {token for batch in batches for token in batch.tokens.tolist()} <= own
    assert [stream.tokens_served for stream in shares] == [330, 330]


class _Loud:
    """A model whose activations are very large at every token of one kind."""

    def __init__(self, lm: LanguageModel, token: int) -> None:
        self.lm = lm
        self.token = token

    def __getattr__(self, name: str):
        return getattr(self.lm, name)

    def residual(self, ids: Tensor, layer: int) -> Tensor:
        activations = self.lm.residual(ids, layer).clone()
        activations[ids == self.token] *= 1e4
        return activations


@pytest.fixture
def loud(lm, windows) -> _Loud:
    return _Loud(lm, int(windows[0].tokens[3]))


def test_positions_of_outlier_norm_are_left_out(loud, windows) -> None:
    stream = make(loud, windows)  # type: ignore[arg-type]
    served = torch.cat([batch.tokens for batch in stream])
    assert (served != loud.token).all()
    assert stream.outlier_threshold is not None
    kept = make(loud, windows, sinks=SinkPolicy(outlier_norm=None))  # type: ignore[arg-type]
    assert (torch.cat([batch.tokens for batch in kept]) == loud.token).any()


def test_a_restored_stream_cuts_at_the_same_norm(loud, windows) -> None:
    begun = make(loud, windows, prefetch=False)  # type: ignore[arg-type]
    iterator = iter(begun)
    for _ in range(9):
        next(iterator)
    resumed = make(loud, windows)  # type: ignore[arg-type]
    resumed.restore(begun.state())
    assert resumed.outlier_threshold == begun.outlier_threshold
    assert_same(list(resumed), list(iterator))


def test_the_first_position_is_served_only_if_asked_for(lm, windows) -> None:
    bos = lm.bos_token_id
    there = [int(window.tokens[0]) for window in windows]
    assert set(there) == {bos}
    without = torch.cat([batch.tokens for batch in make(lm, windows)])
    having = torch.cat([batch.tokens for batch in make(lm, windows, sinks=SinkPolicy(first=False))])
    assert (without != bos).all()
    assert (having == bos).any()


@pytest.mark.parametrize("factor", [1.0, 0.0, -3.0, float("nan")])
def test_an_outlier_factor_that_drops_the_ordinary_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="median"):
        SinkPolicy(outlier_norm=factor)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"world": 3}, "multiple of 3"),
        ({"world": 2, "rank": 2}, "ranks 0 to 1"),
        ({"tokens": 0}, "at least 1"),
    ],
)
def test_impossible_streams_are_refused(lm, windows, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(lm, windows, **options)


def test_a_text_without_windows_is_refused(lm) -> None:
    with pytest.raises(ValueError, match="longer text"):
        make(lm, [])


class _Breaking(_Loud):
    """A model that fails after some forward passes."""

    passes = 0

    def residual(self, ids: Tensor, layer: int) -> Tensor:
        self.passes += 1
        if self.passes > 2:
            raise RuntimeError("the device is gone")
        return self.lm.residual(ids, layer)


@pytest.mark.parametrize("prefetch", [True, False])
def test_what_breaks_in_the_thread_is_raised_in_the_loop(lm, windows, prefetch: bool) -> None:
    stream = make(_Breaking(lm, 0), windows, prefetch=prefetch)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="the device is gone"):
        list(stream)


def streaming_threads() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name.startswith("activations"))


def test_no_thread_is_left_behind(lm, windows) -> None:
    for batch in make(lm, windows, tokens=10_000):
        assert len(batch.tokens)
        break
    list(make(lm, windows))
    assert list(streaming_threads()) == []


def test_the_next_block_is_made_while_this_one_is_served(lm, windows) -> None:
    batches = iter(make(lm, windows, tokens=10_000))
    next(batches)
    assert list(streaming_threads())
    batches.close()  # type: ignore[attr-defined]


def test_the_block_is_bounded_in_bytes() -> None:
    assert blocks_module.block_size(8, 10**9, 10) == 100
    assert blocks_module.block_size(8, 10**9, 1 << 27) == 16
    assert blocks_module.block_size(8, 50, 10) == 50


def test_processes_cut_at_the_threshold_they_agree_on(lm, windows) -> None:
    own = [make(lm, windows, rank=rank, world=2) for rank in range(2)]
    for stream in own:
        next(iter(stream))
    assert own[0].outlier_threshold != own[1].outlier_threshold
    second = make(lm, windows, rank=1, world=2, agree=lambda _: own[0].outlier_threshold)
    next(iter(second))
    assert second.outlier_threshold == own[0].outlier_threshold
