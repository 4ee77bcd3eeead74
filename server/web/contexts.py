"""One frozen dataclass per page: everything its template may use, and nothing else.

Knows shapes; computes nothing. tests/server/web compares the fields with the templates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.store.language_models import ModelRecord
from server.store.runs import RunRecord
from server.store.saes import SaeRecord, SaeSummary
from server.web.feature_samples import Drawn, IntervalRow
from server.web.histogram import HistogramView, Plot
from server.web.look_first import LookFirst
from server.web.mini_map import MiniMap
from server.web.openapi_view import Operation
from server.web.strips import ContextView
from server.web.table_query import Column, TableQuery
from server.web.table_ranges import Range
from server.web.table_view import Row


@dataclass(frozen=True)
class Fact:
    """A name and a figure, already as text; `help` says what it means."""

    name: str
    text: str
    help: str = ""


@dataclass(frozen=True)
class Choice:
    """An entry of a menu."""

    value: str
    name: str


@dataclass(frozen=True)
class Link:
    """A text and where it leads."""

    text: str
    url: str


@dataclass(frozen=True)
class AxisLink:
    """One axis to open: its address, what its poles stand for, what it is."""

    url: str
    minus: str
    plus: str
    note: str


@dataclass(frozen=True)
class LibraryPage:
    """Everything there is: models, SAEs, axes, what to look at first, what is being made."""

    saes: Sequence[SaeSummary]
    axes: Sequence[SaeSummary]
    axis_features: Sequence[AxisLink]
    models: Sequence[ModelRecord]
    look_first: LookFirst
    runs: Sequence[RunRecord]
    failed: Sequence[RunRecord]
    demo: bool
    commands: str


@dataclass(frozen=True)
class SaePage:
    """One SAE and one page of its feature table."""

    sae: SaeSummary
    kind: str
    facts: Sequence[Fact]
    text: Mapping[str, Any] | None
    look_first: LookFirst
    has_map: bool
    mini_map: MiniMap | None
    indexing: bool
    query: TableQuery
    ranges: Sequence[Range]
    more_open: bool
    columns: Sequence[Column]
    rows: Sequence[Row]
    found: str
    start: int
    total: int
    is_total_exact: bool
    first_url: str | None
    previous_url: str | None
    next_url: str | None
    last_url: str | None
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class Half:
    """One pole of a feature as one half of its page."""

    pole: str
    stored_pole: str
    """The pole this is with the stored sign: the other one in a flipped view."""
    label: str
    density: float
    max: float
    quantile: float
    promoted: Sequence[Mapping[str, Any]]
    suppressed: Sequence[Mapping[str, Any]]
    contexts: Sequence[ContextView]
    quantiles: Sequence[Mapping[str, Any]]
    label_words: Sequence[Mapping[str, Any]]
    token_statistics: Sequence[Mapping[str, Any]]
    why_empty: str


@dataclass(frozen=True)
class Preset:
    """A button that opens the steering page at one strength."""

    pole: str
    text: str
    strength: float
    disabled: bool


@dataclass(frozen=True)
class Neighbours:
    """Features that point one way, and why there are none."""

    rows: Sequence[Mapping[str, Any]]
    why_empty: str


@dataclass(frozen=True)
class FeaturePage:
    """One feature, its two halves in the order − and +."""

    sae: SaeRecord
    feature: int
    name: str
    minus_label: str
    plus_label: str
    pole: str
    by: str
    facts: Sequence[Fact]
    histogram: HistogramView | None
    logits: Plot | None
    halves: Sequence[Half]
    aligned: Neighbours
    opposed: Neighbours
    together: Mapping[str, Any] | None
    explanation: Mapping[str, Any] | None
    intervals: Sequence[IntervalRow]
    turns: Sequence[Drawn]
    special_ids: Sequence[int]
    presets: Sequence[Preset]
    default_prompt: str
    text: str
    """What the test box reads."""
    unfolded: Sequence[str]
    origin: str
    """Where this server is reached, for the code of an embedded card."""
    previous_url: str | None
    next_url: str | None
    flip_url: str
    steer_url: str
    map_url: str | None
    embed_url: str
    json_url: str
    whole_url: str
    direction_url: str
    script_url: str
    by_urls: Mapping[str, str]


@dataclass(frozen=True)
class MapFacts:
    """What a map embeds, in one sentence, and of how many features."""

    description: str
    items: int


@dataclass(frozen=True)
class MapPane:
    """One of the maps on a page; `side` is its letter in the answer at `pairs_url`."""

    sae: int
    name: str
    side: str
    items: int
    data_url: str
    pairs_url: str


@dataclass(frozen=True)
class MapPage:
    """One SAE's map; `map` is None until one is laid out."""

    sae: SaeRecord
    map: MapFacts | None
    metric: str
    metrics: Sequence[Choice]
    panes: Sequence[MapPane]
    others: Sequence[Link]
    running: bool
    colour: str
    colours: Sequence[Choice]
    search: str
    feature: int | None
    data_url: str
    csv_url: str
    plotly_url: str


@dataclass(frozen=True)
class DocsPage:
    """The operations of the API."""

    operations: Sequence[Operation]
    examples: str


@dataclass(frozen=True)
class ErrorPage:
    """One sentence about what is wrong; `retry` is an address worth trying again, `more` where to look."""

    status: int
    title: str
    detail: str
    retry: str
    more: Link | None
