"""Typed messages between web, worker and command line: what is asked, what comes back.

Knows no torch, no database and no page. Every request refuses unknown fields, infinities and NaN.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_PROMPT_CHARACTERS = 20_000
MAX_PROMPT_TOKENS = 1_024
MAX_NEW_TOKENS = 256
MAX_EDITS = 16
MAX_ROWS = 9
MAX_STRENGTH = 10_000.0

SaeKey = int | Annotated[str, Field(min_length=1, max_length=200)]
Operation = Literal["add", "clamp", "scale", "project"]
Sparsifier = Literal["relu", "jumprelu", "topk", "abstopk", "vsae", "dim"]
TrainableSparsifier = Literal["relu", "jumprelu", "topk", "abstopk", "vsae"]


class Message(BaseModel):
    """The base of every message: immutable, no unknown fields, finite numbers only."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- reading a prompt ---------------------------------------------------------------------------


class PromptRequest(Message):
    """Signed activations of the strongest features on a text."""

    sae: SaeKey
    text: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    rank: Literal["abs", "+", "-", "sum_abs"] = "abs"
    limit: int = Field(default=40, ge=1, le=200)
    features: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=200)
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


# --- steering -----------------------------------------------------------------------------------


class Edit(Message):
    """One change of the residual stream along one feature (spec: science §5).

    Strength is in the feature's own activation units: `add` adds strength·d_i /
    input_scale to the residual stream, `clamp` sets z_i, `scale` multiplies z_i (1 is unsteered), `project` sets the
    projection on d_i.
    """

    sae: SaeKey
    feature: int = Field(ge=0)
    operation: Operation = "add"
    strength: float = Field(default=0.0, ge=-MAX_STRENGTH, le=MAX_STRENGTH)


class SteerRequest(Message):
    """Generate from a prompt with edits; several rows (one per entry of `strengths`) in one batch."""

    model: SaeKey
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    edits: list[Edit] = Field(default_factory=list, max_length=MAX_EDITS)
    strengths: list[Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH)]] | None = Field(
        default=None, min_length=1, max_length=MAX_ROWS
    )
    """One row per entry: the strength that replaces the *first* edit's in that row. None: one row."""
    max_new_tokens: int = Field(default=60, ge=1, le=MAX_NEW_TOKENS)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    temperature: float = Field(default=0.8, ge=0.0, le=4.0)
    """0 is greedy."""

    @model_validator(mode="after")
    def _strengths_need_an_edit(self) -> "SteerRequest":
        if self.strengths is not None and not self.edits:
            raise ValueError(
                "strengths needs at least one entry in edits: name the feature to steer"
            )
        return self


class SteerToken(Message):
    """One generated token of one row. Server-sent event `token`; `text` may be '' inside a character."""

    row: int
    strength: float
    index: int
    token_id: int
    text: str


class SteerEnd(Message):
    """The end of one row: server-sent event `end`, with its whole text (prompt not included)."""

    row: int
    strength: float
    reason: Literal["length", "end_of_text"]
    text: str


class WorkerError(Message):
    """What went wrong, in a sentence that says what to do; HTTP 4xx body or server-sent event `error`."""

    detail: str


# --- long work ----------------------------------------------------------------------------------


class TrainRequest(Message):
    """Train one SAE, then index and map it."""

    model: str = "demo"
    layer: int | None = Field(default=None, ge=0)
    """Residual stream after this block, counted from 0; None takes the middle one."""
    text: str
    """A .txt, .txt.gz or .jsonl file; documents end with a line <|endoftext|> or at blank lines."""
    sae: TrainableSparsifier = "abstopk"
    width: int = Field(default=1024, ge=1)
    k: int = Field(default=24, ge=1)
    tokens: int = Field(default=1_000_000, ge=1)
    seed: int = Field(default=0, ge=0)
    name: str | None = Field(default=None, max_length=200)


class IndexRequest(Message):
    """Index SAEs of one model over one text in a single pass of the model."""

    saes: list[SaeKey] = Field(min_length=1)
    text: str | None = None
    """None: the text the SAE was trained on, or the demo corpus."""
    tokens: int | None = Field(default=None, ge=1)


class MapRequest(Message):
    """Lay out one SAE's decoder rows in two dimensions."""

    sae: SaeKey
    metric: Literal["axis", "directed"] = "axis"
    seed: int = Field(default=0, ge=0)


class DemoRequest(Message):
    """Bring in the demo model, its SAEs and axes; index the first tokens, map, then the rest."""

    first_tokens: int = Field(default=100_000, ge=1)
