"""What tells two lists of texts apart, as a page draws it: the question, the cards.

Knows the protocol's messages; no HTML and no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from frontend.filters import percent, pole_glyph, signed
from server.protocol.concepts import (
    FEWEST_TEXTS,
    MOST_TEXTS,
    AucFigure,
    ConceptRequest,
    ConceptResponse,
)
from server.web.concept_steering import NAMES, Chart, Verdict, chart_of, headline_of, verdict_of


@dataclass(frozen=True)
class ConceptQuery:
    """What was asked: a built-in contrast, or two lists with a text per line."""

    sae: int
    contrast: str
    a: str
    b: str

    @property
    def is_complete(self) -> bool:
        """Whether there is something to compare."""
        return bool(self.contrast or (self.a.strip() and self.b.strip()))

    def address(self, path: str) -> str:
        """The address of this question."""
        state = {"sae": self.sae, "contrast": self.contrast, "a": self.a, "b": self.b}
        return f"{path}?{urlencode({key: value for key, value in state.items() if value})}"

    def request(self) -> ConceptRequest:
        """The message to the worker. Raises ValueError on too few or too many texts."""
        if self.contrast:
            return ConceptRequest(sae=self.sae, contrast=self.contrast)
        sides = [[line for line in side.splitlines() if line.strip()] for side in (self.a, self.b)]
        for name, side in zip("AB", sides, strict=True):
            if not FEWEST_TEXTS <= len(side) <= MOST_TEXTS:
                raise ValueError(
                    f"side {name} has {len(side)} texts, but {FEWEST_TEXTS} to {MOST_TEXTS} are needed: one per line"
                )
        return ConceptRequest(sae=self.sae, a=sides[0], b=sides[1])


@dataclass(frozen=True)
class Found:
    """One way of telling A from B; `is_axis`: a direction that can be kept as an axis."""

    name: str
    is_axis: bool
    text: str
    links: Sequence[tuple[str, str]]
    auc: float
    low: float
    high: float
    texts: int
    note: str
    beats_null: bool


@dataclass(frozen=True)
class ConceptResult:
    """Everything the page shows of one answer; `headline` says what steering does in a sentence."""

    headline: str
    side_a: str
    side_b: str
    texts: int
    train_texts: int
    found: Sequence[Found]
    null_95: float
    words_a: Sequence[str]
    words_b: Sequence[str]
    prompts: int
    shares: Sequence[str]
    charts: Sequence[Chart]
    verdicts: Sequence[Verdict]
    problem: str


def concept_result(answer: ConceptResponse, labels: Mapping[int, str]) -> ConceptResult:
    """The page's parts from the worker's answer."""
    shares = answer.effects[0].shares if answer.effects else []
    return ConceptResult(
        headline=headline_of(answer),
        side_a=answer.side_a,
        side_b=answer.side_b,
        texts=answer.texts,
        train_texts=answer.train_texts,
        found=_found(answer, labels),
        null_95=answer.null_95,
        words_a=answer.words_a,
        words_b=answer.words_b,
        prompts=answer.prompts,
        shares=[signed(share) for share in shares],
        charts=[
            chart_of(
                "Effect: change of log-odds, A’s words against B’s", answer.effects, "log_odds"
            ),
            chart_of("Cost: rise of the loss on the prompts", answer.effects, "loss_rise"),
        ]
        if answer.effects
        else [],
        verdicts=[verdict_of(effect, answer) for effect in answer.effects],
        problem=answer.problem,
    )


def features_of(answer: ConceptResponse) -> list[int]:
    """Every feature the answer names."""
    named = {answer.single.feature, answer.pair.a, answer.pair.b}
    if answer.steering is not None:
        named.add(answer.steering.feature)
    return sorted(named)


def _found(answer: ConceptResponse, labels: Mapping[int, str]) -> list[Found]:
    single, pair = answer.single, answer.pair

    def link(feature: int) -> tuple[str, str]:
        label = labels.get(feature, "") or "unlabelled"
        return f"{feature} {label}", f"/sae/{answer.sae}/feature/{feature}"

    pole = "+" if single.sign > 0 else "-"
    ends = (
        f"{pole_glyph(pair.pole_a)} of the first on A, {pole_glyph(pair.pole_b)} of the second on B"
    )
    return [
        _card(
            "single",
            f"its {pole_glyph(pole)} pole is {answer.side_a}",
            [link(single.feature)],
            single.auc,
            answer,
            f"right sign on at least {percent(single.both_signs, 0)} of each side",
        ),
        _card("pair", ends, [link(pair.a), link(pair.b)], pair.auc, answer, ""),
        _card(
            "dim",
            "mean of A minus mean of B",
            [],
            answer.dim.auc,
            answer,
            f"cosine to the single feature {signed(answer.dim.cosine_to_single)}",
        ),
    ]


def _card(
    way: str,
    text: str,
    links: list[tuple[str, str]],
    auc: AucFigure,
    answer: ConceptResponse,
    note: str,
) -> Found:
    return Found(
        NAMES[way],
        way == "dim",
        text,
        links,
        auc.value,
        auc.low,
        auc.high,
        auc.texts,
        note,
        auc.value > answer.null_95,
    )
