"""Typed messages about concepts: two lists of texts, and what tells them apart.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from server.protocol.base import Message, SaeKey

MOST_TEXTS = 400
LONGEST_TEXT = 2_000
FEWEST_TEXTS = 8
Texts = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]],
    Field(max_length=MOST_TEXTS),
]
CONTRASTS = ("gender", "sentiment", "size", "temperature", "number", "tense", "negation")
"""The built-in contrasts; tests compare them with those of models.concepts."""
Way = Literal["single", "steering", "pair", "dim"]


class ConceptRequest(Message):
    """Two lists of texts, or the name of a built-in contrast with its own train and test pairs."""

    sae: SaeKey
    contrast: str | None = Field(default=None, max_length=100)
    a: Texts = Field(default_factory=list)
    b: Texts = Field(default_factory=list)
    steer: bool = True
    """Also measure steering by all three at equal ‖Δh‖."""

    @model_validator(mode="after")
    def _contrast_or_lists(self) -> "ConceptRequest":
        if (self.contrast is None) == (not self.a and not self.b):
            raise ValueError("give a contrast by name, or the lists a and b: one of the two")
        return self


class AucFigure(Message):
    """P(A scores above B) on held-out texts, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    texts: int


class SingleFound(Message):
    """The best single signed feature; `sign` +1: its + pole is side A.

    `both_signs` = min(P(mean > 0 | A), P(mean < 0 | B)) after that orientation.
    """

    feature: int
    sign: int
    train_auc: float
    auc: AucFigure
    both_signs: float


class PairFound(Message):
    """The best two one-sided features: activation of `a` − activation of `b`."""

    a: int
    pole_a: Literal["+", "-"]
    b: int
    pole_b: Literal["+", "-"]
    train_auc: float
    auc: AucFigure


class DimFound(Message):
    """The Difference-in-Mean direction."""

    train_auc: float
    auc: AucFigure
    cosine_to_single: float


class SteeringFound(Message):
    """The single feature that moves the words furthest both ways, chosen by pushing on train prompts.

    `effect`: the smaller of both sides' changes there, nats; below 0 none moves both ways.
    """

    feature: int
    sign: int
    effect: float


class EffectRow(Message):
    """One way of steering at every share of the median ‖h‖: effect and cost side by side.

    `loss_rise` is on the held-out prompts' own tokens; `written_loss_rise` and `repetition_rise` are
    of texts written under it. `safe` is where KL and these two stay within the slider's limits;
    `is_monotonic` speaks of the strengths that are safe, which lie on both sides of 0.
    """

    way: Way
    shares: list[float]
    log_odds: list[float]
    loss_rise: list[float]
    kl: list[float]
    written_loss_rise: list[float]
    repetition_rise: list[float]
    safe: list[bool]
    is_monotonic: bool


class ConceptResponse(Message):
    """What tells A from B in one SAE. `null_95`: the single feature's held-out AUC with random sides."""

    sae: int
    side_a: str
    side_b: str
    texts: int
    train_texts: int
    single: SingleFound
    steering: SteeringFound | None
    pair: PairFound
    dim: DimFound
    null_95: float
    words_a: list[str]
    words_b: list[str]
    prompts: int
    effects: list[EffectRow]
    problem: str
    """Why steering could not be measured; empty where it was."""
