"""What the template of the steering page may use. Knows shapes; computes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.store.saes import SaeSummary
from server.web.contexts import AxisLink, Link


@dataclass(frozen=True)
class Slider:
    """Where the slider's ends are and where its handle is; ±1 is a pole's 99.9 % quantile.

    For `scale` the position is the factor itself.
    """

    low: float
    high: float
    value: float
    ticks: Sequence[int]
    neutral: int

    @property
    def is_minus_closed(self) -> bool:
        """Whether there is nothing below the neutral position: the − pole never fires."""
        return self.low >= self.neutral

    @property
    def is_plus_closed(self) -> bool:
        """Whether there is nothing above the neutral position: the + pole never fires."""
        return self.high <= self.neutral


@dataclass(frozen=True)
class SteerEdit:
    """One feature that is steered: its name, its slider and where it stands in the address."""

    place: int
    sae_name: str
    layer: int
    feature: int
    minus: str
    plus: str
    operation: str
    pole: str
    strength: float
    slider: Slider
    value: str
    """As the address carries it; empty for the first."""
    feature_url: str
    remove_url: str


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
    """Features to push along; `state` is also what its script starts from."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    state: Mapping[str, Any]
    edits: Sequence[SteerEdit]
    columns: Sequence[SteerColumn]
    starts: Sequence[AxisLink]
    """Axes to choose from while there is no feature."""
    read_for: Sequence[Link]
    """What the first feature was found for by reading, and where steering by it is measured."""
    others_url: str
    problem: str
    unfolded: Sequence[str]
    wanted: str
    other: str
    json_url: str
    script_url: str
    weights_url: str
