"""What it takes to have features explained by a language model somewhere else.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

import re
from typing import Annotated

from pydantic import ConfigDict, Field, field_validator, model_validator

from server.protocol.base import Message, SaeKey

MAX_FEATURES = 10_000


class ExplainRequest(Message):
    """Explain features of one SAE through an OpenAI-compatible endpoint.

    From the command line only: a page that passed on an address and the name of a variable could
    make the server send its secrets anywhere.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # an address may hold a password

    sae: SaeKey
    features: list[Annotated[int, Field(ge=0)]] | None = Field(
        default=None, min_length=1, max_length=MAX_FEATURES
    )
    top: int | None = Field(default=None, ge=1, le=MAX_FEATURES)
    """So many features of highest opposition; 20 if neither this nor `features` is given."""
    endpoint: str = Field(pattern=r"^https?://", max_length=2_000)
    """Where `/chat/completions` is, such as http://localhost:8080/v1; it is stored, so no secret."""
    model: str = Field(min_length=1, max_length=200)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key; the key itself is never stored."""
    concurrency: int = Field(default=4, ge=1, le=64)
    again: bool = False
    """Explain features anew that this model has explained already."""

    @field_validator("endpoint")
    @classmethod
    def _holds_no_secret(cls, endpoint: str) -> str:
        if re.match(r"https?://[^/?#]*@", endpoint):
            raise ValueError(
                "a user or a password in the address would be stored with the run: take it out,"
                " and name the variable that holds the key with --api-key-env"
            )
        if "?" in endpoint or "#" in endpoint:
            raise ValueError(
                "the address ends before /chat/completions, so it holds neither ? nor #: a key"
                " belongs into the variable that --api-key-env names"
            )
        return endpoint

    @model_validator(mode="after")
    def _features_or_top(self) -> "ExplainRequest":
        if self.features is not None and self.top is not None:
            raise ValueError("features and top exclude each other: give one of them")
        return self
