"""What every message is made of: its base class, limits, keys and names.

Knows no torch, no database and no page.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

MAX_PROMPT_CHARACTERS = 20_000
MAX_PROMPT_TOKENS = 1_024
MAX_NEW_TOKENS = 256
MAX_EDITS = 16
MAX_ROWS = 9
MAX_STRENGTH = 10_000.0

Item = TypeVar("Item")
OneOrMore = Annotated[
    Annotated[Item, Tag("value")]
    | Annotated[list[Item], Field(min_length=1, max_length=64), Tag("list")],
    Discriminator(lambda given: "list" if isinstance(given, list) else "value"),
]
"""A value or a list of them; complaints name only the one that was given."""
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""Of anything that is drawn at random: what torch, numpy and scikit-learn all take."""
SaeKey = int | Annotated[str, Field(min_length=1, max_length=200)]
Operation = Literal["add", "clamp", "scale", "project"]
EditPole = Literal["both", "+", "-"]
Positions = Literal["all", "generated", "last"]
TrainableSparsifier = Literal[
    "relu",
    "soft_threshold",
    "jumprelu",
    "hard_threshold",
    "topk",
    "abstopk",
    "batchtopk",
    "batchabstopk",
    "vsae",
]
Sparsifier = Literal[TrainableSparsifier, "dim"]
SPARSIFIERS_WITH_K = ("topk", "abstopk", "batchtopk", "batchabstopk", "vsae")
SIGNED_SPARSIFIERS = ("abstopk", "batchabstopk", "soft_threshold", "hard_threshold")
"""Those whose codes may be below zero, as may those of `dim` and of a vsae by magnitude."""
ONE_SIDED_SPARSIFIERS = ("relu", "jumprelu", "topk", "batchtopk", "vsae")
"""Those whose codes are never below zero (vsae: unless it chooses by magnitude)."""


class Message(BaseModel):
    """The base of every message: immutable, no unknown fields, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
