"""The rows of the feature table as they are drawn and as they are downloaded.

Knows the store's rows; no HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from frontend.filters import axis_name, pole_name
from server.store.feature_table import FeatureSummary

CSV_COLUMNS = (
    "feature", "label", "label_neg", "label_pos", "firings_neg", "firings_pos", "density_neg",
    "density_pos", "max_neg", "max_pos", "pole_balance", "opposition", "consistency",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row; bars are shares of the largest magnitude on the page, so that rows compare."""

    feature: int
    url: str
    name: str
    label_minus: str
    label_plus: str
    matched: Sequence[str]
    density_minus: float
    density_plus: float
    max_minus: float
    max_plus: float
    bar_minus: float
    bar_plus: float
    pole_balance: float | None
    opposition: float | None
    consistency: float | None


def rows_of(sae_id: int, features: Sequence[FeatureSummary]) -> list[Row]:
    """The rows of one page."""
    scale = max((abs(value) for row in features for value in row.max.values()), default=0) or 1
    return [_row(sae_id, row, scale) for row in features]


def csv_row(row: FeatureSummary) -> tuple[object, ...]:
    """The same row under CSV_COLUMNS."""
    return (
        row.feature, row.label, row.label_neg, row.label_pos, row.firings["-"], row.firings["+"],
        row.density["-"], row.density["+"], row.max["-"], row.max["+"], row.pole_balance,
        row.opposition, row.consistency,
    )  # fmt: skip


def _row(sae_id: int, row: FeatureSummary, scale: float) -> Row:
    return Row(
        feature=row.feature,
        url=f"/sae/{sae_id}/feature/{row.feature}",
        name=axis_name(row.label, row.label_neg, row.label_pos),
        label_minus=pole_name(row.label_neg, row.max["-"]),
        label_plus=pole_name(row.label_pos, row.max["+"]),
        matched=[where for where in row.matched if where in ("+", "-")],
        density_minus=row.density["-"],
        density_plus=row.density["+"],
        max_minus=row.max["-"],
        max_plus=row.max["+"],
        bar_minus=abs(row.max["-"]) / scale,
        bar_plus=row.max["+"] / scale,
        pole_balance=row.pole_balance,
        opposition=row.opposition,
        consistency=row.consistency,
    )
