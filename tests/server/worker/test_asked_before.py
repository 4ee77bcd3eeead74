"""Long answers are worked on once: by whoever asks, after whoever left, and over a restart."""

from collections.abc import Generator
from pathlib import Path

import pytest

from models.steps import run_to_end
from server.protocol.base import Message
from server.worker.asked_before import MOST_FILES, AskedBefore


class Sum(Message):
    """An answer."""

    value: int


class Work:
    """Three steps, counted."""

    def __init__(self, error: str = "") -> None:
        self.taken = 0
        self.error = error

    def begin(self) -> Generator[None, None, Sum]:
        for _ in range(3):
            self.taken += 1
            yield
        if self.error:
            raise ValueError(self.error)
        return Sum(value=self.taken)


def test_two_who_ask_at_once_share_the_work() -> None:
    asked, work = AskedBefore(Sum), Work()
    one, other = asked.steps(["q"], work.begin), asked.steps(["q"], work.begin)
    next(one)
    next(other)
    assert run_to_end(one) == run_to_end(other) == Sum(value=3)
    assert work.taken == 3


def test_what_a_reader_left_is_gone_on_with() -> None:
    asked, work = AskedBefore(Sum), Work()
    leaving = asked.steps(["q"], work.begin)
    next(leaving)
    next(leaving)
    leaving.close()
    assert run_to_end(asked.steps(["q"], work.begin)) == Sum(value=3)
    assert work.taken == 3


def test_an_error_reaches_all_who_wait_and_the_next_one_asks_anew() -> None:
    asked, work = AskedBefore(Sum), Work("no words")
    one, other = asked.steps(["q"], work.begin), asked.steps(["q"], work.begin)
    next(one)
    next(other)
    for each in (one, other):
        with pytest.raises(ValueError, match="no words"):
            run_to_end(each)
    work.error = ""
    assert run_to_end(asked.steps(["q"], work.begin)) == Sum(value=6)


def test_an_answer_is_read_from_its_file_unless_a_mark_differs(tmp_path: Path) -> None:
    run_to_end(AskedBefore(Sum, tmp_path).steps(["q", 1], Work().begin))
    work = Work()
    assert run_to_end(AskedBefore(Sum, tmp_path).steps(["q", 1], work.begin)) == Sum(value=3)
    assert work.taken == 0
    run_to_end(AskedBefore(Sum, tmp_path).steps(["q", 2], work.begin))
    assert work.taken == 3


def test_a_broken_file_is_asked_anew_and_a_folder_that_cannot_be_written_is_no_matter(
    tmp_path: Path,
) -> None:
    run_to_end(AskedBefore(Sum, tmp_path).steps(["q"], Work().begin))
    (file,) = tmp_path.glob("*.json")
    file.write_text("{")
    work = Work()
    run_to_end(AskedBefore(Sum, tmp_path).steps(["q"], work.begin))
    assert work.taken == 3
    assert run_to_end(AskedBefore(Sum, file).steps(["q"], Work().begin)) == Sum(value=3)


def test_the_folder_does_not_grow_without_end(tmp_path: Path) -> None:
    for number in range(MOST_FILES):
        (tmp_path / f"{number}.json").write_text("{}")
    run_to_end(AskedBefore(Sum, tmp_path).steps(["q"], Work().begin))
    assert len(list(tmp_path.glob("*.json"))) == MOST_FILES
