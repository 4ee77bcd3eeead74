"""The contexts of pages about texts, pairs of SAEs and lists: what their templates may use.

Knows shapes; computes nothing. Those of the library, features, maps and steering are in `contexts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.store.saes import SaeSummary
from server.web.card import Card
from server.web.compare_view import CompareResult, FigureRow
from server.web.concept_view import ConceptResult
from server.web.contexts import Link
from server.web.contrast_view import ContrastResult
from server.web.list_view import ListRow
from server.web.prompt_view import PromptResult


@dataclass(frozen=True)
class PromptPage:
    """A text, and the features that fire on it."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    text: str
    rank: str
    wanted: int | None
    max_density: float | None
    result: PromptResult | None
    problem: str
    examples: Sequence[Link]
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class ContrastPage:
    """Two texts, or two lists of texts, and the features that change sign between them."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    mode: str
    a: str
    b: str
    result: ContrastResult | None
    problem: str
    examples: Sequence[Link]
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class ComparePage:
    """Two SAEs side by side; `a` and `b` are None while there are not two."""

    saes: Sequence[SaeSummary]
    a: SaeSummary | None
    b: SaeSummary | None
    figures: Sequence[FigureRow]
    result: CompareResult | None
    problem: str
    swap_url: str
    json_url: str
    csv_url: str
    fragments_csv_url: str


@dataclass(frozen=True)
class ConceptPage:
    """Two lists of texts and what tells them apart."""

    saes: Sequence[SaeSummary]
    sae: SaeSummary | None
    contrast: str
    contrasts: Sequence[str]
    a: str
    b: str
    result: ConceptResult | None
    problem: str
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class ListPage:
    """Starred features with notes."""

    title: str
    rows: Sequence[ListRow]
    left_out: int
    """So many more the address names: a list has an end."""
    view: str
    cards: Sequence[Card]
    """The features side by side; none in the view as a table."""
    cards_left_out: int
    view_urls: Mapping[str, str]
    json_url: str
    csv_url: str


@dataclass(frozen=True)
class EmbedPage:
    """One feature as a card on somebody else's page; `theme` None follows the reader's system."""

    card: Card
    theme: str | None
