"""What the pages about long work may show: the forms that begin it, and one run.

Knows shapes; computes nothing. tests/server/web compares the fields with the templates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.store.runs import RunRecord
from server.web.contexts import Choice, Fact, Link


@dataclass(frozen=True)
class TrainPage:
    """The form that begins a training; `values` are the fields' as text, `chosen` the sparsifiers."""

    values: Mapping[str, str]
    chosen: Sequence[str]
    sparsifiers: Sequence[str]
    models: Sequence[str]
    is_advanced: bool
    problem: str


@dataclass(frozen=True)
class ImportPage:
    """The form that brings in an SAE trained elsewhere."""

    values: Mapping[str, str]
    models: Sequence[str]
    problem: str


@dataclass(frozen=True)
class AxisPage:
    """The form that makes an axis from two lists of texts."""

    values: Mapping[str, str]
    models: Sequence[str]
    contrasts: Sequence[str]
    problem: str


@dataclass(frozen=True)
class Line:
    """One line of a chart: an SVG path, its class, its name and its newest value."""

    path: str
    way: str
    name: str
    value: str


@dataclass(frozen=True)
class Curve:
    """One chart of a run: lines over progress, from 0 to `top`."""

    title: str
    help: str
    lines: Sequence[Line]
    top: str
    end: str
    summary: str


@dataclass(frozen=True)
class RunRow:
    """One run of the list: what it was to do, how it stands or ended, when it was asked for."""

    url: str
    name: str
    what: str
    state: str
    status: str
    note: str
    asked_at: str


@dataclass(frozen=True)
class RunsPage:
    """Runs of every state, the newest first; the addresses are None at either end."""

    rows: Sequence[RunRow]
    newest_url: str | None
    older_url: str | None


@dataclass(frozen=True)
class RunPage:
    """One run: what was asked, how far it is, what it measured, what came of it."""

    run: RunRecord
    title: str
    status: str
    percent: str
    asked: Sequence[Fact]
    facts: Sequence[Fact]
    times: Sequence[Choice]
    results: Sequence[Link]
    warning: str
    """What its maker should know of a run that is done; "" where there is nothing."""
    curves: Sequence[Curve]
    can_resume: bool
    last_point: float | None
    json_url: str
