"""Rows of the feature table: what one says, which conditions it can be asked to meet.

Knows the table `feature` and how its texts are matched with a search; not how rows are ordered.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from server.store.index_rows import searched
from server.store.search_terms import matches
from server.store.tables import Feature


@dataclass(frozen=True)
class FeatureFilters:
    """Conditions a row must meet, both ends included; None asks nothing.

    `two_sided`: each pole fired at least so many times. `density` is of both poles together.
    `min_max_neg` is a magnitude: an activation at least so far below zero.
    """

    two_sided: int | None = None
    min_balance: float | None = None
    max_balance: float | None = None
    min_density: float | None = None
    max_density: float | None = None
    min_density_pos: float | None = None
    max_density_pos: float | None = None
    min_density_neg: float | None = None
    max_density_neg: float | None = None
    min_max_pos: float | None = None
    min_max_neg: float | None = None
    min_opposition: float | None = None
    max_opposition: float | None = None
    min_consistency: float | None = None
    max_consistency: float | None = None

    def limits(self) -> dict[str, tuple[float, float]]:
        """The lowest and the highest number allowed, for each column that is asked about."""
        asked = {
            "firings": (self.two_sided, None),
            "pole_balance": (self.min_balance, self.max_balance),
            "density": (self.min_density, self.max_density),
            "density_pos": (self.min_density_pos, self.max_density_pos),
            "density_neg": (self.min_density_neg, self.max_density_neg),
            "max_pos": (self.min_max_pos, None),
            "max_neg": (None, None if self.min_max_neg is None else -self.min_max_neg),
            "opposition": (self.min_opposition, self.max_opposition),
            "consistency": (self.min_consistency, self.max_consistency),
        }
        return {
            name: (-math.inf if low is None else low, math.inf if high is None else high)
            for name, (low, high) in asked.items()
            if low is not None or high is not None
        }


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


_COLUMNS = (
    Feature.feature, Feature.label, Feature.label_pos, Feature.label_neg, Feature.firings_pos,
    Feature.firings_neg, Feature.density_pos, Feature.density_neg, Feature.max_pos, Feature.max_neg,
    Feature.pole_balance, Feature.opposition, Feature.consistency, Feature.words,
)  # fmt: skip


def read_rows(
    session: Session,
    index_id: int,
    features: Sequence[int],
    words: Sequence[str],
    *,
    only_matching: bool = False,
) -> Iterator[FeatureSummary]:
    """The rows of these features, in this order, each saying where the words were found.

    `only_matching` leaves out rows in which one of the words is nowhere.
    """
    query = select(*_COLUMNS).where(Feature.index_id == index_id, Feature.feature.in_(features))
    found = {row.feature: row for row in session.execute(query)}
    for feature in features:
        row = found[feature]
        if only_matching and _lacks_one(words, row):
            continue
        terms = searched(row.label, row.label_pos, row.label_neg, row.words) if words else {}
        if only_matching and not _has_all(words, terms):
            continue
        yield _summary(row, tuple(where for where in terms if matches(words, terms[where])))


def _lacks_one(words: Sequence[str], row: Any) -> bool:
    """Whether a word is certainly missing, seen at a glance: most rows looked through lack it."""
    text = f"{row.label_pos} {row.label_neg} {row.words} {row.label.replace('↔', '')}"
    return text.isascii() and not all(word in text.lower() for word in words)


def _has_all(words: Sequence[str], terms: Mapping[str, set[str]]) -> bool:
    every = set().union(*terms.values())
    return all(matches([word], every) for word in words)


def _summary(row: Any, matched: tuple[str, ...]) -> FeatureSummary:
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
        matched=matched,
    )
