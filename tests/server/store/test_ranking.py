import math
import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.ranking import FEW, Place, Question, Range, SmallRanking, rank
from server.store.ranking_large import LargeRanking

numbers = st.none() | st.sampled_from([-1.0, -0.5, -0.0, 0.0, 0.1, 1 / 3, 1e9])
tables = st.lists(st.tuples(numbers, numbers), max_size=24)
limits = st.sampled_from([-math.inf, -0.5, 0.0, 0.1, math.inf])


@st.composite
def questions(draw) -> Question:
    rows = draw(tables)
    features = draw(st.permutations(range(len(rows))))
    columns = [
        array("d", (math.nan if row[which] is None else row[which] for row in rows))
        for which in (0, 1)
    ]
    return Question(
        features=array("i", features),
        values=draw(st.sampled_from([None, columns[0]])),
        is_falling=draw(st.booleans()),
        ranges=draw(st.sampled_from([[], [Range(columns[1], draw(limits), draw(limits))]])),
        among=draw(st.none() | st.lists(st.integers(0, 30))),
    )


def plainly(question: Question) -> list[Place]:
    """Every row in order, by the definition."""
    kept = []
    for row, feature in enumerate(question.features):
        value = float(feature) if question.values is None else question.values[row]
        is_wanted = question.among is None or feature in question.among
        if is_wanted and all(low <= column[row] <= high for column, low, high in question.ranges):
            kept.append(Place(None if math.isnan(value) else value, feature))
    sign = -1 if question.is_falling else 1
    present = [each for each in kept if each.value is not None]
    present.sort(key=lambda each: (sign * each.value, sign * each.feature))
    return present + sorted(each for each in kept if each.value is None)


@pytest.mark.parametrize("kind", [SmallRanking, LargeRanking])
@given(question=questions(), limit=st.integers(1, 5))
def test_pages_forward_are_the_whole_order(kind, question, limit):
    ranking, expected = kind(question), plainly(question)
    visited, place = [], None
    while page := ranking.after(place, limit):
        assert len(page) <= limit
        visited, place = visited + page, page[-1]
    assert visited == expected
    assert ranking.total == len(expected)


@pytest.mark.parametrize("kind", [SmallRanking, LargeRanking])
@given(question=questions(), limit=st.integers(1, 5))
def test_pages_backward_are_the_whole_order(kind, question, limit):
    ranking, place = kind(question), None
    visited: list[Place] = []
    while page := ranking.before(place, limit):
        visited, place = page + visited, page[0]
    assert visited == plainly(question)


@pytest.mark.parametrize("kind", [SmallRanking, LargeRanking])
@given(question=questions(), value=numbers, feature=st.integers(0, 30))
def test_a_page_may_begin_at_a_row_that_is_gone(kind, question, value, feature):
    """As when an index was replaced between two pages."""
    place, sign = Place(value, feature), -1 if question.is_falling else 1

    def key(each: Place) -> tuple[float, float, int]:
        if each.value is None:
            return 1, 0, each.feature
        return 0, sign * each.value, sign * each.feature

    expected = [each for each in plainly(question) if key(each) > key(place)]
    assert kind(question).after(place, 40) == expected
    behind = [each for each in plainly(question) if key(each) < key(place)]
    assert kind(question).before(place, 40) == behind


def test_a_large_table_is_ranked_with_numpy_and_a_small_one_is_not():
    def question(rows: int) -> Question:
        return Question(array("i", range(rows)), None, False)

    assert type(rank(question(FEW))) is SmallRanking
    assert type(rank(question(FEW + 1))) is LargeRanking


def test_a_web_process_that_shows_small_tables_loads_no_numpy():
    code = "import sys, server.web.app; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
