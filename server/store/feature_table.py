"""The table of an SAE's features: sorted, filtered, searched, one page at a time.

Knows which columns can be sorted by, what a cursor says and what a search means; reads published
indexes only. Pages continue after a row, not after a count (keyset), so that none is shown twice
or skipped, and they can be read from the end. What has no value comes last in both directions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.columns import FEATURE, columns_of
from server.store.encoding import LARGEST_ID, clean_text
from server.store.feature_rows import FeatureFilters, FeatureSummary, read_rows
from server.store.ranking import Place, Question, Range, Ranking, rank
from server.store.saes import SaeRecord
from server.store.search import MOST_MATCHES, search
from server.store.search_terms import words_of
from server.store.tables import FeatureIndex

MOST_ROWS = 1_000
LONGEST_SEARCH = 200
WALK, STEP = 4_096, 128
"""Rows looked through, and read at once, for words that a large part of all features have."""

SORTS: dict[str, tuple[str, bool]] = {
    "feature": (FEATURE, False),
    "density_pos": ("density_pos", False),
    "density_neg": ("density_neg", False),
    "density": ("density", False),
    "max_pos": ("max_pos", False),
    "max_neg": ("max_neg", True),
    "max": ("max", False),
    "pole_balance": ("pole_balance", False),
    "opposition": ("opposition", False),
    "consistency": ("consistency", False),
}
"""Column and whether its order is turned round: `max_neg` sorts by strength, not by value."""


@dataclass(frozen=True)
class FeaturePage:
    """Some rows, how many there are on all pages, and where the pages beside begin (None: the end).

    `next` is the `after` of the next page, `previous` the `before` of the one ahead. There are more
    rows than `total` if it is not exact: a search that finds very much is not counted to its end,
    unless the filters leave few rows.
    """

    rows: tuple[FeatureSummary, ...]
    total: int
    next: str | None
    previous: str | None = None
    is_total_exact: bool = True


class _Stretch(NamedTuple):
    """Rows of a page, the places it goes from and to, and whether there is more in its direction."""

    rows: Sequence[FeatureSummary]
    places: Sequence[Place]
    has_more: bool


def list_features(
    session: Session,
    sae: SaeRecord,
    *,
    sort: str = "feature",
    descending: bool = False,
    filters: FeatureFilters | None = None,
    search: str = "",
    limit: int = 50,
    after: str | None = None,
    before: str | None = None,
    most_matches: int = MOST_MATCHES,
) -> FeaturePage:
    """A page of features; empty if the SAE has no published index.

    Every word of `search` must begin a word of a label or a token, in upper or lower case.
    `after` is a page's `next`; `before` is a page's `previous`, or empty for the last page. A
    search that finds more than `most_matches` features is not counted. Raises ValueError for an
    unknown sort, a broken cursor, a limit out of range, a search that is too long.
    """
    if sort not in SORTS:
        raise ValueError(f"cannot sort by {sort}: choose one of {', '.join(SORTS)}")
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"limit must lie between 1 and {MOST_ROWS}, not {limit}")
    if after is not None and before is not None:
        raise ValueError("a page lies either after a row or before one: give one of the two")
    words = _read_search(search)
    place = _read_cursor("before", before) if before else None
    place = place if after is None else _read_cursor("after", after)
    index = _published_index(session, sae)
    if index is None:
        return FeaturePage((), 0, None)
    matching, is_all = _matching(session, index.id, words, most_matches)
    question = _question(session, index, sort, descending, filters or FeatureFilters(), matching)
    ranking = rank(question)
    total = ranking.total
    if not is_all and total < len(question.features) and total <= WALK:
        # The filters leave few enough to look at each.
        question = replace(question, among=_found_among(session, index.id, ranking, words))
        ranking, is_all = rank(question), True
        total = ranking.total
    elif not is_all:
        # Of those found, at most as many are left out as the filters leave out.
        total = max(0, most_matches - (len(question.features) - total))
    is_back = before is not None
    stretch = _read(session, index.id, ranking, place, is_back, limit, words, is_all)
    return _page(stretch, place, is_back, total, is_all)


def _published_index(session: Session, sae: SaeRecord) -> Any:
    query = select(FeatureIndex.id, FeatureIndex.revision).where(
        FeatureIndex.id == sae.published_index_id, FeatureIndex.state == "published"
    )
    return session.execute(query).one_or_none()


def _read_search(text: str) -> list[str]:
    if len(text) > LONGEST_SEARCH:
        raise ValueError(f"the search is too long: at most {LONGEST_SEARCH} characters")
    return words_of(clean_text(text))


def _matching(
    session: Session, index_id: int, words: Sequence[str], most: int
) -> tuple[Sequence[int] | None, bool]:
    """The features a search leaves (None: any), and whether those are all it finds."""
    if not words:
        return None, True
    found = search(session, index_id, words, most)
    return (found.features if found.is_all else None), found.is_all


def _found_among(
    session: Session, index_id: int, ranking: Ranking, words: Sequence[str]
) -> list[int]:
    """The features of a ranking in which every word occurs, looked up row by row."""
    features = [place.feature for place in ranking.after(None, ranking.total)]
    return [
        row.feature
        for start in range(0, len(features), STEP)
        for row in read_rows(
            session, index_id, features[start : start + STEP], words, only_matching=True
        )
    ]


def _question(
    session: Session,
    index: Any,
    sort: str,
    descending: bool,
    filters: FeatureFilters,
    among: Sequence[int] | None,
) -> Question:
    kept = columns_of(session)
    name, is_turned = SORTS[sort]

    def column(name: str) -> Any:
        return kept.of(session, index.id, index.revision, name)

    return Question(
        features=column(FEATURE),
        values=None if name == FEATURE else column(name),
        is_falling=descending != is_turned,
        ranges=[Range(column(name), *limits) for name, limits in filters.limits().items()],
        among=among,
    )


def _read(
    session: Session,
    index_id: int,
    ranking: Ranking,
    place: Place | None,
    is_back: bool,
    limit: int,
    words: Sequence[str],
    is_all: bool,
) -> _Stretch:
    """One page; where the ranking knows nothing of the search, rows are read until it is full."""
    places = (ranking.before if is_back else ranking.after)(place, limit + 1 if is_all else WALK)
    if is_all:
        shown = places[-limit:] if is_back else places[:limit]
        rows = list(read_rows(session, index_id, [each.feature for each in shown], words))
        return _Stretch(rows, shown, len(places) > limit)
    ahead = places[::-1] if is_back else places
    rows: list[FeatureSummary] = []
    looked = 0
    while looked < len(ahead) and len(rows) <= limit:
        step = [each.feature for each in ahead[looked : looked + STEP]]
        rows += read_rows(session, index_id, step, words, only_matching=True)
        looked += len(step)
    has_more = len(rows) > limit or len(places) == WALK
    if len(rows) > limit:
        rows = rows[:limit]
        looked = 1 + next(n for n, each in enumerate(ahead) if each.feature == rows[-1].feature)
    walked = ahead[:looked]
    return (
        _Stretch(rows[::-1], walked[::-1], has_more)
        if is_back
        else _Stretch(rows, walked, has_more)
    )


def _page(
    stretch: _Stretch, place: Place | None, is_back: bool, total: int, is_exact: bool
) -> FeaturePage:
    if not stretch.places:
        return FeaturePage((), total, None, None, is_exact)
    # Whoever came from a row can go back to it.
    has_next = place is not None if is_back else stretch.has_more
    has_previous = stretch.has_more if is_back else place is not None
    return FeaturePage(
        rows=tuple(stretch.rows),
        total=total,
        next=_cursor(stretch.places[-1]) if has_next else None,
        previous=_cursor(stretch.places[0]) if has_previous else None,
        is_total_exact=is_exact,
    )


def _cursor(place: Place) -> str:
    return f"{'' if place.value is None else repr(place.value)}~{place.feature}"


def _read_cursor(name: str, cursor: str) -> Place:
    """The row of a cursor; its value is None among those without one."""
    text, _, feature = cursor.partition("~")
    try:
        value = float(text) if text else None
        number = int(feature)
    except ValueError:
        number, value = -1, None
    if not 0 <= number <= LARGEST_ID or (value is not None and not math.isfinite(value)):
        page = "next" if name == "after" else "previous"
        raise ValueError(f"{name} must be the `{page}` of a page of the same table")
    return Place(value, number)
