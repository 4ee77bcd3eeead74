"""Two SAEs side by side as rows of a page: figures, matched features, fragments.

Knows the protocol's messages and the library's rows; no HTML and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from frontend.filters import count, fixed, percent, short_count, sparsifier_name
from server.protocol import CompareResponse, Fragment
from server.protocol.compare import FRAGMENT_COSINE
from server.store.saes import SaeSummary
from server.web.list_view import Item, list_address

NEAR = 10
"""How many features that are not in pieces are shown, so that a page without any says how far off."""


@dataclass(frozen=True)
class FigureRow:
    """One figure of each SAE, as text."""

    name: str
    values: Sequence[str]
    help: str = ""


@dataclass(frozen=True)
class FeatureLink:
    """A feature with its label and page."""

    feature: int
    label: str
    url: str


@dataclass(frozen=True)
class MatchedRow:
    """The same direction in both SAEs."""

    a: FeatureLink
    b: FeatureLink
    cosine: float


@dataclass(frozen=True)
class FragmentRow:
    """One signed feature and the two one-sided ones that its poles match."""

    feature: FeatureLink
    minus: FeatureLink
    minus_cosine: float
    plus: FeatureLink
    plus_cosine: float
    is_one: bool
    """Both poles are matched by the same feature: it is not broken in two."""
    beside_url: str
    """The three as cards."""


@dataclass(frozen=True)
class CompareResult:
    """What the worker found, ready to be shown."""

    matched: Sequence[MatchedRow]
    fragments: Sequence[FragmentRow]
    """Features of A in two pieces."""
    near: Sequence[FragmentRow]
    """The features that come nearest to it without being so."""
    fragments_found: int
    mean_cosine: float
    is_assignment: bool
    live_a: int
    live_b: int
    opposed_a: int
    opposed_b: int


def figure_rows(saes: Sequence[SaeSummary]) -> list[FigureRow]:
    """The figures of several SAEs in columns; each is measured as its own page says."""
    figures = (
        ("sparsifier", lambda sae: sparsifier_name(sae.sparsifier), ""),
        ("width", lambda sae: count(sae.width), ""),
        ("k", lambda sae: count(sae.k), "how many features fire per token, for those that fix it"),
        ("nMSE", lambda sae: fixed(sae.nmse), "normalised mean squared error on held-out text: 0 is perfect, 1 is the mean"),
        ("L0", lambda sae: fixed(sae.l0, 1), "features that fire per token"),
        ("loss recovered", lambda sae: percent(sae.loss_recovered), "of the language model's loss, by the reconstruction"),
        ("live", lambda sae: percent(sae.live), "features that fired on the indexed text"),
        ("two-sided", lambda sae: percent(sae.two_sided), "of the live ones, fired at least 20 times on either side"),
        ("tokens indexed", lambda sae: short_count(sae.tokens), ""),
    )  # fmt: skip
    return [FigureRow(name, [show(sae) for sae in saes], help) for name, show, help in figures]


def compare_result(
    answer: CompareResponse, labels_a: Mapping[int, str], labels_b: Mapping[int, str]
) -> CompareResult:
    """The rows of the page, in the order of the answer."""

    def of_a(feature: int) -> FeatureLink:
        return FeatureLink(feature, labels_a.get(feature, ""), f"/sae/{answer.a}/feature/{feature}")

    def of_b(feature: int) -> FeatureLink:
        return FeatureLink(feature, labels_b.get(feature, ""), f"/sae/{answer.b}/feature/{feature}")

    def row_of(found: Fragment) -> FragmentRow:
        pieces = [(answer.b, found.minus), (answer.a, found.feature), (answer.b, found.plus)]
        items = [Item(sae, feature) for sae, feature in pieces]
        return FragmentRow(
            of_a(found.feature),
            of_b(found.minus),
            found.minus_cosine,
            of_b(found.plus),
            found.plus_cosine,
            found.plus == found.minus,
            f"{list_address('/list', items, 'An axis and its pieces')}&view=cards",
        )

    return CompareResult(
        matched=[MatchedRow(of_a(pair.a), of_b(pair.b), pair.cosine) for pair in answer.matched],
        fragments=[row_of(found) for found in answer.fragments if is_found(found)],
        near=[row_of(found) for found in answer.fragments if not is_found(found)][:NEAR],
        fragments_found=answer.fragments_found,
        mean_cosine=answer.mean_cosine,
        is_assignment=answer.is_assignment,
        live_a=answer.live_a,
        live_b=answer.live_b,
        opposed_a=answer.opposed_a,
        opposed_b=answer.opposed_b,
    )


def is_found(found: Fragment) -> bool:
    """Whether the other SAE holds this axis in two pieces."""
    return found.score > FRAGMENT_COSINE and found.plus != found.minus
