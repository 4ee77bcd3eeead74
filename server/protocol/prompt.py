"""Messages about a text: the signed activations of the strongest features.

Knows no torch, no database and no page.
"""

from typing import Annotated, Literal

from pydantic import Field

from server.protocol.base import MAX_PROMPT_CHARACTERS, Message, SaeKey


class PromptRequest(Message):
    """Signed activations of the strongest features on a text."""

    sae: SaeKey
    text: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    rank: Literal["abs", "+", "-", "sum_abs"] = "abs"
    limit: int = Field(default=40, ge=1, le=200)
    features: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list[int], max_length=200)
    """These features are returned whatever their rank (0 activations included)."""


class PromptFeature(Message):
    """One feature's signed activations, one per token; BOS carries 0 where it is left out."""

    feature: int
    activations: list[float]
    max: float
    min: float
    sum_abs: float


class PromptResponse(Message):
    """Tokens exactly as the model saw them, BOS first, and the features in rank order."""

    sae: int
    tokens: list[str]
    token_ids: list[int]
    special: list[bool]
    features: list[PromptFeature]
