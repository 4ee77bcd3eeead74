"""What the indexer hands over for each feature and each example, and how it becomes columns.

Knows no session. Numbers may come as numpy's: they are turned into plain ones, because SQLite
would store them as bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server.store.encoding import clean_text, dump_json, finite, finite_or_none

EXTREME, MEAN = 0, 1
"""Kinds of example: ranked by the extreme token, or by the mean over the window."""
POSITIVE, NEGATIVE = 0, 1
"""Poles of an example."""
SEARCHED_CHARACTERS = 1_000
"""Each pole's words beyond this are not searched."""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One feature as indexed. Everything of the − pole is signed: `sum_neg`, `max_neg` ≤ 0.

    `details`: {"histogram": {edges, counts, zeros, tokens}, "promoted": [[token, logit]…],
    "suppressed": […] (both of the + pole), "neighbours": {"aligned": [[feature, cosine]…],
    "opposed": […]}}. `tokens_pos`, `tokens_neg`: words that should find this pole in a search,
    besides its label.
    """

    feature: int
    label: str
    label_pos: str
    label_neg: str
    firings_pos: int
    firings_neg: int
    density_pos: float
    density_neg: float
    sum_pos: float
    sum_neg: float
    max_pos: float
    max_neg: float
    quantile_pos: float
    quantile_neg: float
    pole_balance: float | None = None
    opposition: float | None = None
    consistency: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    tokens_pos: Sequence[str] = ()
    tokens_neg: Sequence[str] = ()


class ExampleRow(NamedTuple):
    """One context: `value` is the signed activation at `position`, the pole's extreme in window `seq`.

    `activations` is what `encoding.encode_activations` makes: (uint16 offset, float32 value) pairs.
    """

    feature: int
    kind: int
    pole: int
    rank: int
    seq: int
    position: int
    value: float
    mean: float
    activations: bytes


FEATURE_COLUMNS = (
    "index_id", "feature", "label", "label_pos", "label_neg", "firings_pos", "firings_neg",
    "density_pos", "density_neg", "density", "sum_pos", "sum_neg", "max_pos", "max_neg", "max_abs",
    "quantile_pos", "quantile_neg", "pole_balance", "opposition", "consistency", "details",
    "search",
)  # fmt: skip
EXAMPLE_COLUMNS = ("index_id", *ExampleRow._fields)


def feature_values(index_id: int, row: FeatureRow) -> tuple[Any, ...]:
    """The row's columns, in the order of FEATURE_COLUMNS; raises ValueError for NaN."""
    what = f"feature {row.feature}"
    density_pos, density_neg = finite(row.density_pos, what), finite(row.density_neg, what)
    max_pos, max_neg = finite(row.max_pos, what), finite(row.max_neg, what)
    return (
        index_id,
        int(row.feature),
        clean_text(row.label),
        clean_text(row.label_pos),
        clean_text(row.label_neg),
        int(row.firings_pos),
        int(row.firings_neg),
        density_pos,
        density_neg,
        density_pos + density_neg,
        finite(row.sum_pos, what),
        finite(row.sum_neg, what),
        max_pos,
        max_neg,
        max(max_pos, -max_neg),
        finite(row.quantile_pos, what),
        finite(row.quantile_neg, what),
        finite_or_none(row.pole_balance),
        finite_or_none(row.opposition),
        finite_or_none(row.consistency),
        dump_json(row.details),
        search_text(row),
    )


def example_values(index_id: int, row: ExampleRow) -> tuple[Any, ...]:
    """The row's columns, in the order of EXAMPLE_COLUMNS; raises ValueError for NaN."""
    what = f"an example of feature {row.feature}"
    return (
        index_id,
        int(row.feature),
        int(row.kind),
        int(row.pole),
        int(row.rank),
        int(row.seq),
        int(row.position),
        finite(row.value, what),
        finite(row.mean, what),
        row.activations,
    )


def search_text(row: FeatureRow) -> str:
    """Three lower-case lines: what finds the + pole, the − pole, and the feature as a whole."""
    lines = (
        (row.label_pos, *row.tokens_pos),
        (row.label_neg, *row.tokens_neg),
        (row.label,),
    )
    return "\n".join(_search_line(words) for words in lines)


def _search_line(words: Sequence[str]) -> str:
    joined = " ".join(" ".join(words).split())
    return clean_text(joined).lower()[:SEARCHED_CHARACTERS]
