"""Who is written next: bounded, fair between users, never past a request that has its turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.worker.line import Line, Place


def taken(line: Line[str]) -> list[str]:
    found = []
    while (place := line.next()) is not None:
        found.append(place.job)
    return found


def test_a_user_with_fewer_rows_comes_first() -> None:
    line: Line[str] = Line(6, 10)
    line.join("greedy 1", "a", 3)
    assert taken(line) == ["greedy 1"]
    for job, user in (("greedy 2", "a"), ("patient", "b")):
        line.join(job, user, 2)
    assert taken(line) == ["patient"]


def test_a_large_request_keeps_its_turn_when_it_does_not_fit() -> None:
    line: Line[str] = Line(4, 10)
    first = line.join("first", "a", 3)
    line.next()
    line.join("large", "b", 4)
    line.join("small", "c", 1)
    assert taken(line) == []
    line.leave(first)
    assert taken(line) == ["large"]


def test_positions_are_the_order_of_taking() -> None:
    line: Line[str] = Line(2, 10)
    places = [line.join(f"{user}{n}", user, 1) for user in "aab" for n in range(2)]
    promised = [place.job for place, _ in line.positions()]
    found = []
    while line.waiting:
        place = line.next()
        if place is None:
            break
        found.append(place.job)
    assert promised[: len(found)] == found
    assert sorted(position for _, position in line.positions()) == list(range(len(line.waiting)))
    assert len(places) == 6


def test_a_request_that_never_fits_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 4"):
        Line[str](4, 10).join("x", "a", 5)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_rows_never_exceed_the_batch_and_everybody_is_written_in_the_end(jobs, random) -> None:
    line: Line[int] = Line(5, 100)
    for number, (user, rows) in enumerate(jobs):
        line.join(number, user, rows)
    done: list[int] = []
    while line.waiting or line.running:
        while line.next() is not None:
            pass
        assert 0 < line.rows <= 5
        place: Place[int] = random.choice(line.running)
        line.leave(place)
        done.append(place.job)
    assert sorted(done) == list(range(len(jobs)))
