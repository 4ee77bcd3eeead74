"""Which features meet the conditions of a table, in which order, from a place in it onwards.

Knows numbers in columns, no database. Features without a value come last in both directions, by
number. Two ways to the same answer: plain Python for small tables, and for large ones numpy, which
a web process that shows only small ones need not load.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any, NamedTuple, Protocol

FEW = 32_768
"""Features that plain Python still sorts within milliseconds."""


class Place(NamedTuple):
    """A row of a table: the number sorted by, None if it has none, and the feature."""

    value: float | None
    feature: int


class Range(NamedTuple):
    """A condition: the feature's number lies between these two, both included."""

    column: "array[Any]"
    low: float
    high: float


@dataclass(frozen=True)
class Question:
    """What is asked of a table. `values` None: sorted by the feature itself."""

    features: "array[Any]"
    values: "array[Any] | None"
    is_falling: bool
    ranges: Sequence[Range] = ()
    among: Sequence[int] | None = None


class Ranking(Protocol):
    """The rows that meet the conditions, in order."""

    total: int

    def after(self, place: Place | None, limit: int) -> list[Place]:
        """The first rows behind this one, or of all."""
        ...

    def before(self, place: Place | None, limit: int) -> list[Place]:
        """The last rows ahead of this one, or of all, in the same order."""
        ...


def rank(question: Question, few: int = FEW) -> Ranking:
    """The rows a question asks for."""
    if len(question.features) <= few:
        return SmallRanking(question)
    from server.store.ranking_large import LargeRanking  # loads numpy

    return LargeRanking(question)


class SmallRanking:
    """A ranking in plain Python."""

    def __init__(self, question: Question) -> None:
        features = question.features
        places: Sequence[int] = range(len(features))
        for column, low, high in question.ranges:
            places = [place for place in places if low <= column[place] <= high]
        if question.among is not None:
            wanted = set(question.among)
            places = [place for place in places if features[place] in wanted]
        values = features if question.values is None else question.values
        self._sign = sign = -1 if question.is_falling else 1
        self.total = len(places)
        valued = [place for place in places if not math.isnan(values[place])]
        self._present = [(sign * values[place], sign * features[place]) for place in valued]
        self._missing: list[int] = []
        if len(valued) < len(places):
            self._missing = [features[p] for p in places if math.isnan(values[p])]

    def after(self, place: Place | None, limit: int) -> list[Place]:
        """The first rows behind this one, or of all."""
        present, missing = self._present, self._missing
        if place is not None and place.value is None:
            present, missing = [], [each for each in missing if each > place.feature]
        elif place is not None:
            here = self._key(place)
            present = [entry for entry in present if entry > here]
        found = [self._place(entry) for entry in nsmallest(limit, present)]
        return found + [Place(None, each) for each in nsmallest(limit - len(found), missing)]

    def before(self, place: Place | None, limit: int) -> list[Place]:
        """The last rows ahead of this one, or of all, in the same order."""
        present, missing = self._present, self._missing
        if place is not None and place.value is None:
            missing = [each for each in missing if each < place.feature]
        elif place is not None:
            here = self._key(place)
            present, missing = [entry for entry in present if entry < here], []
        found = [Place(None, each) for each in nlargest(limit, missing)]
        found += [self._place(entry) for entry in nlargest(limit - len(found), present)]
        return found[::-1]

    def _key(self, place: Place) -> tuple[float, int]:
        return self._sign * (place.value or 0.0), self._sign * place.feature

    def _place(self, entry: tuple[float, int]) -> Place:
        # The + 0.0 turns -0.0, which a cursor would show, into 0.0.
        return Place(self._sign * entry[0] + 0.0, self._sign * entry[1])
