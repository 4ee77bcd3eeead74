"""Messages about two texts, or two lists of texts, against each other.

Knows no torch, no database and no page.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from server.protocol.base import MAX_PROMPT_CHARACTERS, Message, SaeKey

MAX_ENDS = 64


class ContrastRequest(Message):
    """Two texts, or two lists of texts, set against each other.

    `pair`: `a` and `b` hold one text each; the features whose sign flips between them.
    `ends`: the features that are + on the texts of `a` and − on those of `b`, and the reverse last.
    """

    sae: SaeKey
    mode: Literal["pair", "ends"] = "pair"
    a: list[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]] = Field(
        min_length=1, max_length=MAX_ENDS
    )
    b: list[Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]] = Field(
        min_length=1, max_length=MAX_ENDS
    )
    limit: int = Field(default=20, ge=1, le=200)

    @model_validator(mode="after")
    def _pair_has_one_text_each(self) -> "ContrastRequest":
        if self.mode == "pair" and (len(self.a) != 1 or len(self.b) != 1):
            raise ValueError("mode pair compares one text with one: use mode ends for lists")
        return self


class ContrastFeature(Message):
    """One feature: its mean signed activation on either side, and the score it is ordered by.

    Where the signs are opposite, `score` is min(|mean_a|, |mean_b|) with the sign of mean_a; else
    0. `activations_a` and `_b` are the first text's, one per token.
    """

    feature: int
    mean_a: float
    mean_b: float
    score: float
    activations_a: list[float]
    activations_b: list[float]


class ContrastResponse(Message):
    """`flipped`: opposite signs, best first (ends: + on A first, + on B last). `changed`: the rest."""

    sae: int
    tokens_a: list[str]
    tokens_b: list[str]
    first_difference: int
    """pair: the first token at which the texts differ; means are taken from there on."""
    flipped: list[ContrastFeature]
    changed: list[ContrastFeature]
    """Features that differ most without changing sign: all there is for a one-sided SAE."""
