"""The ranges the feature table can be narrowed by, as fields of its form.

Knows the state of the table; no HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.web.table_query import TableQuery


@dataclass(frozen=True)
class Bound:
    """One end of a range: its field, what it holds now, and what it may hold."""

    name: str
    text: str
    value: float | None
    low: float | None
    high: float | None
    hint: str


@dataclass(frozen=True)
class Range:
    """A figure and its bounds."""

    name: str
    bounds: Sequence[Bound]


_RANGES = (
    ("Pole balance", "balance", ("min", "max"), -1, 1, ("−1", "+1")),
    ("Density −", "density_neg", ("min", "max"), 0, 1, ("0", "1")),
    ("Density +", "density_pos", ("min", "max"), 0, 1, ("0", "1")),
    ("Density of both", "density", ("min", "max"), 0, 1, ("0", "1")),
    ("|Max −|", "max_neg", ("min",), 0, None, ("0",)),
    ("Max +", "max_pos", ("min",), 0, None, ("0",)),
    ("Opposition", "opposition", ("min", "max"), None, None, ("any", "any")),
    ("Consistency", "consistency", ("min", "max"), None, None, ("any", "any")),
)
_TEXTS = {"min": "from", "max": "to"}


def ranges_of(query: TableQuery) -> list[Range]:
    """All ranges with what the address says of them; pole balance comes first."""
    return [_range(query, *entry) for entry in _RANGES]


def is_narrowed(ranges: Sequence[Range]) -> bool:
    """Whether any bound is set."""
    return any(bound.value is not None for each in ranges for bound in each.bounds)


def _range(
    query: TableQuery,
    name: str,
    column: str,
    ends: Sequence[str],
    low: float | None,
    high: float | None,
    hints: Sequence[str],
) -> Range:
    bounds = [
        Bound(
            name=f"{end}_{column}",
            text=_TEXTS[end],
            value=getattr(query, f"{end}_{column}"),
            low=low,
            high=high,
            hint=hint,
        )
        for end, hint in zip(ends, hints, strict=True)
    ]
    return Range(name, bounds)
