"""The table of an SAE's features: sorted, filtered, searched, one page at a time.

Knows which columns can be sorted by, what a cursor says and what a search means; reads published
indexes only. Pages continue after a row, not after a count (keyset), so that none is shown twice
or skipped; each sort runs along an index of the table. What has no value comes last in both
directions, in a second pass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from server.store.encoding import LARGEST_ID, clean_text
from server.store.saes import SaeRecord
from server.store.tables import Feature, FeatureIndex

MOST_ROWS = 1_000
LONGEST_SEARCH = 200

SORTS: dict[str, tuple[Any, bool]] = {
    "feature": (Feature.feature, False),
    "density_pos": (Feature.density_pos, False),
    "density_neg": (Feature.density_neg, False),
    "density": (Feature.density, False),
    "max_pos": (Feature.max_pos, False),
    "max_neg": (Feature.max_neg, True),
    "max": (Feature.max_abs, False),
    "pole_balance": (Feature.pole_balance, False),
    "opposition": (Feature.opposition, False),
    "consistency": (Feature.consistency, False),
}
"""Column and whether its order is turned round: `max_neg` sorts by strength, not by value."""


@dataclass(frozen=True)
class FeatureFilters:
    """Conditions a row must meet; None asks nothing.

    `two_sided`: each pole fired at least so many times. `min_density` is of both poles together.
    """

    two_sided: int | None = None
    min_balance: float | None = None
    max_balance: float | None = None
    min_density: float | None = None


@dataclass(frozen=True)
class FeatureSummary:
    """A row of the table. `matched` says where the search was found: "+", "-", "label"."""

    feature: int
    label: str
    label_pos: str
    label_neg: str
    firings: Mapping[str, int]
    density: Mapping[str, float]
    max: Mapping[str, float]
    pole_balance: float | None
    opposition: float | None
    consistency: float | None
    matched: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeaturePage:
    """Some rows, how many there are on all pages, and where the next page begins (None: the end)."""

    rows: tuple[FeatureSummary, ...]
    total: int
    next: str | None


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
) -> FeaturePage:
    """A page of features; empty if the SAE has no published index.

    Every word of `search` must occur in a label or token, upper or lower case. `after` is a page's
    `next`. Raises ValueError for an unknown sort, a broken cursor, a limit out of range, a search
    that is too long.
    """
    if sort not in SORTS:
        raise ValueError(f"cannot sort by {sort}: choose one of {', '.join(SORTS)}")
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"limit must lie between 1 and {MOST_ROWS}, not {limit}")
    words = _read_search(search)
    conditions = [
        Feature.index_id == _published_index(session, sae),
        *_filter_conditions(filters or FeatureFilters()),
        *(Feature.search.contains(word, autoescape=True) for word in words),
    ]
    total = session.execute(select(func.count()).select_from(Feature).where(*conditions)).scalar()
    rows = _read_rows(session, conditions, sort, descending, limit + 1, after)
    page = rows[:limit]
    return FeaturePage(
        rows=tuple(_summary(row, words) for row in page),
        total=total or 0,
        next=_cursor(page[-1]) if len(rows) > limit else None,
    )


def _published_index(session: Session, sae: SaeRecord) -> int | None:
    query = select(FeatureIndex.id).where(
        FeatureIndex.id == sae.published_index_id, FeatureIndex.state == "published"
    )
    return session.execute(query).scalar()


def _read_search(search: str) -> list[str]:
    if len(search) > LONGEST_SEARCH:
        raise ValueError(f"the search is too long: at most {LONGEST_SEARCH} characters")
    return clean_text(search).lower().split()


def _filter_conditions(filters: FeatureFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.two_sided is not None:
        conditions.append(Feature.firings_pos >= filters.two_sided)
        conditions.append(Feature.firings_neg >= filters.two_sided)
    if filters.min_balance is not None:
        conditions.append(Feature.pole_balance >= filters.min_balance)
    if filters.max_balance is not None:
        conditions.append(Feature.pole_balance <= filters.max_balance)
    if filters.min_density is not None:
        conditions.append(Feature.density >= filters.min_density)
    return conditions


def _read_rows(
    session: Session,
    conditions: Sequence[ColumnElement[bool]],
    sort: str,
    descending: bool,
    limit: int,
    after: str | None,
) -> list[Any]:
    column, is_turned = SORTS[sort]
    is_falling = descending != is_turned
    value, feature = _read_cursor(after) if after is not None else (None, None)
    rows: list[Any] = []
    query = select(*_COLUMNS, column.label("sorted_by")).where(*conditions)
    if after is None or value is not None:
        valued = query.where(column.is_not(None))
        order = [column, Feature.feature]
        if sort == "feature":
            order = [Feature.feature]
        if feature is not None:
            here = tuple_(*order)
            there = tuple_(*((value, feature) if len(order) == 2 else (feature,)))
            valued = valued.where(here < there if is_falling else here > there)
        ordered = [key.desc() if is_falling else key.asc() for key in order]
        rows += session.execute(valued.order_by(*ordered).limit(limit))
        feature = None
    if len(rows) < limit and column.expression.nullable:
        missing = query.where(column.is_(None))
        if feature is not None:
            missing = missing.where(Feature.feature > feature)
        rows += session.execute(missing.order_by(Feature.feature).limit(limit - len(rows)))
    return rows


def _cursor(row: Any) -> str:
    return f"{'' if row.sorted_by is None else repr(float(row.sorted_by))}~{row.feature}"


def _read_cursor(after: str) -> tuple[float | None, int]:
    """(value sorted by, feature) of the last row shown; the value is None among those without."""
    text, _, feature = after.partition("~")
    try:
        value = float(text) if text else None
        number = int(feature)
    except ValueError:
        number, value = -1, None
    if not 0 <= number <= LARGEST_ID or (value is not None and not math.isfinite(value)):
        raise ValueError("after must be the `next` of a page of the same table")
    return value, number


_COLUMNS = (
    Feature.feature, Feature.label, Feature.label_pos, Feature.label_neg, Feature.firings_pos,
    Feature.firings_neg, Feature.density_pos, Feature.density_neg, Feature.max_pos, Feature.max_neg,
    Feature.pole_balance, Feature.opposition, Feature.consistency, Feature.search,
)  # fmt: skip


def _summary(row: Any, words: Sequence[str]) -> FeatureSummary:
    lines = zip(("+", "-", "label"), row.search.split("\n"), strict=True)
    return FeatureSummary(
        feature=row.feature,
        label=row.label,
        label_pos=row.label_pos,
        label_neg=row.label_neg,
        firings={"+": row.firings_pos, "-": row.firings_neg},
        density={"+": row.density_pos, "-": row.density_neg},
        max={"+": row.max_pos, "-": row.max_neg},
        pole_balance=row.pole_balance,
        opposition=row.opposition,
        consistency=row.consistency,
        matched=tuple(where for where, line in lines if any(word in line for word in words)),
    )
