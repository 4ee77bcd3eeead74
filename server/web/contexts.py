"""One frozen dataclass per page: everything its template may use, and nothing else.

Knows shapes; computes nothing. tests/server/web compares the fields with the templates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.store.language_models import ModelRecord
from server.store.runs import RunRecord
from server.store.saes import SaeRecord, SaeSummary
from server.web.histogram import HistogramView
from server.web.look_first import LookFirst
from server.web.mini_map import MiniMap
from server.web.openapi_view import Operation
from server.web.prompt_view import PromptResult
from server.web.strips import ContextView
from server.web.table_query import Column, TableQuery
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
    """One axis to open: its address and what its poles stand for."""

    url: str
    minus: str
    plus: str


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
    look_first: LookFirst
    has_map: bool
    mini_map: MiniMap | None
    indexing: bool
    query: TableQuery
    columns: Sequence[Column]
    rows: Sequence[Row]
    start: int
    total: int
    first_url: str | None
    next_url: str | None
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class Half:
    """One pole of a feature as one half of its page."""

    pole: str
    label: str
    density: float
    max: float
    quantile: float
    promoted: Sequence[Mapping[str, Any]]
    suppressed: Sequence[Mapping[str, Any]]
    contexts: Sequence[ContextView]
    contexts_by_mean: Sequence[ContextView]
    why_empty: str


@dataclass(frozen=True)
class Preset:
    """A button that opens the steering page at one strength."""

    pole: str
    text: str
    strength: float
    disabled: bool


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
    halves: Sequence[Half]
    aligned: Sequence[Mapping[str, Any]]
    opposed: Sequence[Mapping[str, Any]]
    presets: Sequence[Preset]
    default_prompt: str
    previous_url: str | None
    next_url: str | None
    flip_url: str
    steer_url: str
    map_url: str | None
    json_url: str
    by_urls: Mapping[str, str]


@dataclass(frozen=True)
class PromptPage:
    """A text, and the features that fire on it."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    text: str
    rank: str
    wanted: int | None
    result: PromptResult | None
    problem: str
    examples: Sequence[Link]
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class MapFacts:
    """What a map embeds, in one sentence, and of how many features."""

    description: str
    items: int


@dataclass(frozen=True)
class MapPage:
    """One SAE's map; `map` is None until one is laid out."""

    sae: SaeRecord
    map: MapFacts | None
    running: bool
    colour: str
    colours: Sequence[Choice]
    search: str
    feature: int | None
    data_url: str
    csv_url: str
    plotly_url: str


@dataclass(frozen=True)
class Slider:
    """Where the slider's ends are and where its handle is; ±1 is a pole's 99.9 % quantile."""

    low: float
    high: float
    value: float
    ticks: Sequence[int]


@dataclass(frozen=True)
class SteerColumn:
    """One of the three columns the steering page writes."""

    name: str
    sign: str
    glyph: str
    title: str
    note: str


@dataclass(frozen=True)
class SteerPage:
    """One feature to push along; `state` is also what its script starts from."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    state: Mapping[str, Any]
    names: Mapping[str, str]
    slider: Slider
    columns: Sequence[SteerColumn]
    problem: str
    feature_url: str
    json_url: str


@dataclass(frozen=True)
class DocsPage:
    """The operations of the API."""

    operations: Sequence[Operation]
    examples: str


@dataclass(frozen=True)
class ErrorPage:
    """One sentence about what is wrong; `retry` is an address worth trying again."""

    status: int
    title: str
    detail: str
    retry: str
