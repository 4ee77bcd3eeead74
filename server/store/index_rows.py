"""What the indexer hands over for each feature and each example, and how a feature becomes columns.

Knows no session. Numbers may come as numpy's: they are turned into plain ones, because SQLite
would store them as bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from server.store.encoding import clean_text, finite, finite_or_none, pack_json
from server.store.search_terms import terms_of, words_between_spaces, words_of

EXTREME, MEAN, INTERVAL, TURN = 0, 1, 2, 3
"""Kinds of example: ranked by the extreme token, ranked by the mean over the window, drawn from an
interval of activations (rank = interval * SAMPLES + place), where the sign changes."""
SAMPLES = 8
"""At most so many examples of one interval."""
POSITIVE, NEGATIVE = 0, 1
"""Poles of an example."""
SEARCHED_CHARACTERS = 1_000
"""Each pole's words beyond this, and its label's, are not searched."""


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One feature as indexed. Everything of the − pole is signed: `sum_neg`, `max_neg` ≤ 0.

    `details`: {"histogram": {edges, counts, zeros, tokens}, "promoted": [[token, logit]…],
    "suppressed": […] (both of the + pole), "logits": {reach, counts}, "neighbours": {"aligned": [[feature, cosine]…],
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

    `activations` is what `encoding.encode_activations` makes of every activation of the window.
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
    "density_pos", "density_neg", "sum_pos", "sum_neg", "max_pos", "max_neg",
    "quantile_pos", "quantile_neg", "pole_balance", "opposition", "consistency", "words",
    "details",
)  # fmt: skip


def feature_values(index_id: int, row: FeatureRow) -> tuple[Any, ...]:
    """The row's columns, in the order of FEATURE_COLUMNS; raises ValueError for NaN."""
    what = f"feature {row.feature}"
    return (
        index_id,
        int(row.feature),
        clean_text(row.label),
        clean_text(row.label_pos),
        clean_text(row.label_neg),
        int(row.firings_pos),
        int(row.firings_neg),
        finite(row.density_pos, what),
        finite(row.density_neg, what),
        finite(row.sum_pos, what),
        finite(row.sum_neg, what),
        finite(row.max_pos, what),
        finite(row.max_neg, what),
        finite(row.quantile_pos, what),
        finite(row.quantile_neg, what),
        finite_or_none(row.pole_balance),
        finite_or_none(row.opposition),
        finite_or_none(row.consistency),
        "\n".join(
            (_new_words(row.tokens_pos, row.label_pos), _new_words(row.tokens_neg, row.label_neg))
        ),
        pack_json(row.details),
    )


def column_numbers(row: FeatureRow) -> dict[str, float | None]:
    """What a table sorts and filters by; see `columns.NUMBERS`."""
    return {
        "firings": float(min(row.firings_pos, row.firings_neg)),
        "density_pos": float(row.density_pos),
        "density_neg": float(row.density_neg),
        "density": float(row.density_pos) + float(row.density_neg),
        "max_pos": float(row.max_pos),
        "max_neg": float(row.max_neg),
        "max": max(float(row.max_pos), -float(row.max_neg)),
        "pole_balance": finite_or_none(row.pole_balance),
        "opposition": finite_or_none(row.opposition),
        "consistency": finite_or_none(row.consistency),
    }


def searched(label: str, label_pos: str, label_neg: str, words: str) -> dict[str, set[str]]:
    """The terms that find the + pole, the − pole and the whole ("label") of a stored feature."""
    words_pos, _, words_neg = words.partition("\n")
    texts = {"+": (label_pos, words_pos), "-": (label_neg, words_neg), "label": (label,)}
    return {
        where: terms_of(text[:SEARCHED_CHARACTERS] for text in each)
        for where, each in texts.items()
    }


def _new_words(tokens: Sequence[str], label: str) -> str:
    """The tokens that the label does not name already, on one line."""
    known = set(words_of(clean_text(label).replace(",", " ")))
    words = " ".join(clean_text(token) for token in tokens).split()
    return " ".join(word for word in words if not known.issuperset(words_between_spaces(word)))[
        :SEARCHED_CHARACTERS
    ]
