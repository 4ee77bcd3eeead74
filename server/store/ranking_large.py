"""The same rankings over a million features: whole columns at once, with numpy.

Knows what `ranking` asks; apart from it so that numpy is loaded only where a table needs it. Each
pass over a million numbers takes about a millisecond, so passes are few: nothing is copied that no
condition shortens, and only the rows of one page are sorted.
"""

import numpy as np

from server.store.ranking import Place, Question


class LargeRanking:
    """A ranking in numpy."""

    def __init__(self, question: Question) -> None:
        features = np.asarray(question.features)
        values = None if question.values is None else np.asarray(question.values)
        mask = _mask(question)
        if mask is not None:
            features = features[mask]
            values = None if values is None else values[mask]
        self.total = len(features)
        self._is_falling = question.is_falling
        self._missing = features[:0]
        if values is not None and (is_missing := np.isnan(values)).any():
            self._missing = np.sort(features[is_missing])
            features, values = features[~is_missing], values[~is_missing]
        self._features = features
        self._values = features if values is None else values

    def after(self, place: Place | None, limit: int) -> list[Place]:
        """The first rows behind this one, or of all."""
        missing = self._missing
        if place is not None and place.value is None:
            rows, missing = np.arange(0), missing[missing > place.feature]
        else:
            rows = self._beyond(place, upwards=not self._is_falling)
        found = self._nearest(rows, limit, upwards=not self._is_falling)
        return found + [Place(None, int(each)) for each in missing[: limit - len(found)]]

    def before(self, place: Place | None, limit: int) -> list[Place]:
        """The last rows ahead of this one, or of all, in the same order."""
        missing, rows = self._missing, None
        if place is not None and place.value is None:
            missing = missing[missing < place.feature]
        elif place is not None:
            missing = missing[:0]
            rows = self._beyond(place, upwards=self._is_falling)
        last = [Place(None, int(each)) for each in missing[max(0, len(missing) - limit) :]]
        rest = self._nearest(rows, limit - len(last), upwards=self._is_falling)
        return rest[::-1] + last

    def _beyond(self, place: Place | None, *, upwards: bool) -> np.ndarray | None:
        """The rows above a place, or below it; None for all."""
        if place is None:
            return None
        values, value = self._values, place.value
        keep = values > value if upwards else values < value
        equal = np.flatnonzero(values == value)
        features = self._features[equal]
        keep[equal] = features > place.feature if upwards else features < place.feature
        return np.flatnonzero(keep)

    def _nearest(self, rows: np.ndarray | None, limit: int, *, upwards: bool) -> list[Place]:
        """Of these rows the lowest by (value, feature), ascending; or the highest, descending."""
        if limit == 0:
            return []
        values = self._values if rows is None else self._values[rows]
        if len(values) > limit:
            at = limit - 1 if upwards else len(values) - limit
            bound = np.partition(values, at)[at]
            within = np.flatnonzero(values <= bound if upwards else values >= bound)
            rows = within if rows is None else rows[within]
            rows = self._without_surplus(rows, bound, limit, upwards=upwards)
        elif rows is None:
            rows = np.arange(len(values))
        order = rows[np.lexsort((self._features[rows], self._values[rows]))]
        return [
            Place(float(self._values[row]) + 0.0, int(self._features[row]))
            for row in (order if upwards else order[::-1])
        ]

    def _without_surplus(
        self, rows: np.ndarray, bound: float, limit: int, *, upwards: bool
    ) -> np.ndarray:
        """Of the rows at the bound, where more than one may stand, only those that still fit."""
        if len(rows) <= limit:
            return rows
        is_last = self._values[rows] == bound
        last = rows[is_last]
        fitting = limit - (len(rows) - len(last))
        order = np.argsort(self._features[last])
        return np.concatenate(
            (rows[~is_last], last[order[:fitting] if upwards else order[len(last) - fitting :]])
        )


def _mask(question: Question) -> np.ndarray | None:
    """Which rows meet every condition; None if there is none to meet."""
    mask = None
    for column, low, high in question.ranges:
        numbers = np.asarray(column)
        meets = (numbers >= low) & (numbers <= high)
        mask = meets if mask is None else mask & meets
    if question.among is not None:
        # A look-up is several times quicker than np.isin, which sorts.
        features = np.asarray(question.features)
        wanted = np.zeros(max(features.max(initial=0), max(question.among, default=0)) + 1, bool)
        wanted[np.array(question.among, np.int64)] = True
        meets = wanted[features]
        mask = meets if mask is None else mask & meets
    return mask
