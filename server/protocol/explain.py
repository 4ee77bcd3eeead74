"""What it takes to have features explained by a language model somewhere else.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

from typing import Annotated

from pydantic import Field, model_validator

from server.protocol.base import Message, SaeKey

MAX_FEATURES = 10_000


class ExplainRequest(Message):
    """Explain features of one SAE through an OpenAI-compatible endpoint.

    From the command line only: a page that passed on an address and the name of a variable could
    make the server send its secrets anywhere.
    """

    sae: SaeKey
    features: list[Annotated[int, Field(ge=0)]] | None = Field(
        default=None, min_length=1, max_length=MAX_FEATURES
    )
    top: int | None = Field(default=None, ge=1, le=MAX_FEATURES)
    """So many features of highest opposition; 20 if neither this nor `features` is given."""
    endpoint: str = Field(pattern=r"^https?://", max_length=2_000)
    """Where `/chat/completions` is, such as http://localhost:8080/v1."""
    model: str = Field(min_length=1, max_length=200)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key; the key itself is never stored."""
    concurrency: int = Field(default=4, ge=1, le=64)
    again: bool = False
    """Explain features anew that this model has explained already."""

    @model_validator(mode="after")
    def _features_or_top(self) -> "ExplainRequest":
        if self.features is not None and self.top is not None:
            raise ValueError("features and top exclude each other: give one of them")
        return self
