"""The heatmap of a prompt: features down, tokens across, from the worker's answer.

Knows the protocol's messages and ranking by one token; no HTML and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

from frontend.filters import ladder, percent, visible
from server.protocol import PromptFeature, PromptResponse

Rank = Literal["abs", "+", "-", "sum_abs"]
SHOWN = 40
READ = 200
"""How many features the worker is asked for when they are then ranked by one token."""

RANKINGS = {
    "abs": "ranked by the largest magnitude",
    "+": "ranked by the most positive value",
    "-": "ranked by the most negative value",
    "sum_abs": "ranked by the sum of magnitudes over all tokens",
}


@dataclass(frozen=True)
class PromptQuery:
    """What was asked of the prompt page."""

    sae: int
    text: str
    rank: Rank
    token: int | None
    feature: int | None
    max_density: float | None = None
    """Features that fire on a larger share of the indexed tokens, both poles together, are left out."""

    @property
    def is_narrowed(self) -> bool:
        """Whether more features must be read than are shown."""
        return self.token is not None or self.max_density is not None

    def address(self, path: str, **changes: Any) -> str:
        """The address of this state with some changes; what is None is left out."""
        state = {**vars(self), **changes}
        return (
            f"{path}?{urlencode({key: value for key, value in state.items() if value is not None})}"
        )


@dataclass(frozen=True)
class TokenHead:
    """A column: one token, and the address that ranks by it."""

    text: str
    special: bool
    chosen: bool
    url: str


@dataclass(frozen=True)
class Cell:
    """One feature on one token."""

    value: float
    css: str


@dataclass(frozen=True)
class HeatmapRow:
    """One feature; `value` is what it was ranked by, signed unless it is a sum."""

    feature: int
    label: str
    title: str
    url: str
    value: float
    is_sum: bool
    cells: Sequence[Cell]


@dataclass(frozen=True)
class PromptResult:
    """The whole heatmap; `scale` is the magnitude of the fullest colour."""

    tokens: Sequence[TokenHead]
    rows: Sequence[HeatmapRow]
    scale: float
    ranking: str
    clear_url: str | None


def rank_features(query: PromptQuery, answer: PromptResponse) -> list[PromptFeature]:
    """The features to show, best first; by one token if one was chosen."""
    features = list(answer.features)
    if query.token is not None and query.token < len(answer.tokens):
        place = query.token
        key = {"+": lambda a: -a, "-": lambda a: a}.get(query.rank, lambda a: -abs(a))
        features = [entry for entry in features if entry.activations[place] != 0]
        features.sort(key=lambda entry: key(entry.activations[place]))
    wanted = [entry for entry in answer.features if entry.feature == query.feature]
    others = [entry for entry in features if entry.feature != query.feature]
    return (wanted + others)[:SHOWN]


def prompt_result(
    query: PromptQuery, answer: PromptResponse, labels: Mapping[int, str]
) -> PromptResult:
    """The heatmap of an answer; colours are relative to the largest magnitude shown."""
    features = rank_features(query, answer)
    scale = max((max(entry.max, -entry.min) for entry in features), default=0.0)
    chosen = query.token if query.token is not None and query.token < len(answer.tokens) else None
    ranking = RANKINGS[query.rank]
    if query.max_density is not None:
        ranking += (
            f", of the {READ} strongest those on at most {percent(query.max_density)} of tokens"
        )
    if chosen is not None:
        token = visible(answer.tokens[chosen]).strip()
        ranking = f"ranked by their value on “{token}”, among the {len(answer.features)} strongest"
    return PromptResult(
        tokens=[
            TokenHead(
                text=visible(token).strip(" ") or "·",
                special=special,
                chosen=place == chosen,
                url=query.address("/prompt", token=place),
            )
            for place, (token, special) in enumerate(
                zip(answer.tokens, answer.special, strict=True)
            )
        ],
        rows=[
            _row(query, entry, labels.get(entry.feature, ""), scale, chosen) for entry in features
        ],
        scale=scale,
        ranking=ranking,
        clear_url=None if chosen is None else query.address("/prompt", token=None),
    )


def _row(
    query: PromptQuery, entry: PromptFeature, label: str, scale: float, chosen: int | None
) -> HeatmapRow:
    is_sum = query.rank == "sum_abs" and chosen is None
    return HeatmapRow(
        feature=entry.feature,
        label=label,
        title=f"feature {entry.feature}: {label or 'unlabelled'}",
        url=f"/sae/{query.sae}/feature/{entry.feature}",
        value=_ranked_value(query.rank, entry, chosen),
        is_sum=is_sum,
        cells=[Cell(value, ladder(value, scale)) for value in entry.activations],
    )


def _ranked_value(rank: Rank, entry: PromptFeature, chosen: int | None) -> float:
    if chosen is not None:
        return entry.activations[chosen]
    if rank == "sum_abs":
        return entry.sum_abs
    if rank == "+" or (rank == "abs" and entry.max >= -entry.min):
        return entry.max
    return entry.min
