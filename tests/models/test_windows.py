"""Windows in a file read as a list of them does, and take memory for their number alone."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.corpus import Window
from models.windows import Windows

FULL = Path("/dev/full")
LENGTHS = st.lists(st.integers(1, 9), max_size=12)
ENDS = st.none() | st.integers(-15, 15)
STEPS = st.sampled_from([None, 1, 2, 3, -1, -2])


def windows_of(lengths: list[int]) -> list[Window]:
    return [
        Window(number // 2, 7 * number, np.arange(number, number + length, dtype=np.int32))
        for number, length in enumerate(lengths)
    ]


def plain(windows) -> list[tuple[int, int, list[int]]]:
    return [(window.document, window.start, window.tokens.tolist()) for window in windows]


@given(LENGTHS, ENDS, ENDS, STEPS, ENDS, ENDS, STEPS)
def test_slices_of_slices_are_those_of_a_list(lengths, first, last, step, begin, end, again):
    listed = windows_of(lengths)
    gathered = Windows.gather(iter(listed))

    part, expected = gathered[first:last:step], listed[first:last:step]
    assert plain(part) == plain(expected)
    assert part.lengths.tolist() == [len(window.tokens) for window in expected]
    assert part.tokens == sum(len(window.tokens) for window in expected)
    assert plain(part[begin:end:again]) == plain(expected[begin:end:again])
    assert [plain([part[place]]) for place in range(-len(part), len(part))] == [
        plain([expected[place]]) for place in range(-len(part), len(part))
    ]


def test_the_digest_is_of_all_that_the_windows_hold():
    first = Window(1, 5, np.array([7, 8], dtype=np.int32))
    others = [
        Window(2, 5, first.tokens),
        Window(1, 6, first.tokens),
        Window(1, 5, first.tokens[:1]),
        Window(1, 5, first.tokens + 1),
    ]
    digests = [Windows.gather([window]).digest for window in (first, *others)]
    assert len(set(digests)) == len(digests)
    assert Windows.gather([first]).digest == digests[0]


def test_the_digest_of_a_view_is_that_of_its_windows_alone():
    listed = windows_of([3, 1, 2])
    gathered = Windows.gather(listed)
    assert gathered[1:].digest == Windows.gather(listed[1:]).digest
    assert gathered[::-1].digest == Windows.gather(listed[::-1]).digest
    assert gathered[:].digest == gathered.digest != gathered[1:].digest


def test_beyond_the_end_is_an_index_error():
    with pytest.raises(IndexError):
        Windows.gather(windows_of([3, 1]))[2]


def test_a_window_may_be_written_to_without_changing_the_text():
    gathered = Windows.gather(windows_of([3]))
    gathered[0].tokens[:] = 77
    assert gathered[0].tokens.tolist() == [0, 1, 2]


def test_memory_does_not_grow_with_the_tokens():
    def many() -> Iterator[Window]:
        return (Window(0, 0, np.full(1_000, number, dtype=np.int32)) for number in range(5_000))

    tracemalloc.start()
    gathered = Windows.gather(many())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gathered.tokens == 5_000_000
    assert gathered[4_321].tokens[999] == 4_321
    assert peak < 1_000_000, "20 MB of tokens"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full to write to")
def test_a_full_disk_is_a_sentence(monkeypatch):
    monkeypatch.setattr(
        "models.windows.tempfile.TemporaryFile", lambda **how: FULL.open("wb+", **how)
    )
    with pytest.raises(ValueError, match=r"No space left on device.*TMPDIR"):
        Windows.gather(windows_of([3]))


def test_a_text_that_cannot_be_read_is_not_taken_for_a_full_disk(tmp_path):
    def read() -> Iterator[Window]:
        yield Window(0, 0, np.frombuffer((tmp_path / "gone").read_bytes(), dtype=np.int32))

    with pytest.raises(FileNotFoundError):
        Windows.gather(read())
