"""Messages about steering: what is asked, and the events of a steered text.

Knows no torch, no database and no page.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from server.protocol.base import (
    MAX_EDITS,
    MAX_NEW_TOKENS,
    MAX_PROMPT_CHARACTERS,
    MAX_ROWS,
    MAX_STRENGTH,
    EditPole,
    Message,
    Operation,
    Positions,
    SaeKey,
)

Strength = Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH)]


class Edit(Message):
    """One change of the residual stream along one feature (docs/science.md §5).

    Strength is in the feature's own activation units: `add` adds strength·d_i /
    input_scale to the residual stream, `clamp` sets z_i, `scale` multiplies z_i (1 is unsteered), `project` sets the
    projection on d_i.
    """

    sae: SaeKey
    feature: int = Field(ge=0)
    operation: Operation = "add"
    strength: Strength = 0.0
    pole: EditPole = "both"
    """scale only: act only where the activation has that sign."""


class SteerRequest(Message):
    """Generate from a prompt with edits; several rows (one per entry of `strengths`) in one batch."""

    model: SaeKey
    prompt: str = Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)
    edits: list[Edit] = Field(default_factory=list[Edit], max_length=MAX_EDITS)
    strengths: list[Strength] | None = Field(default=None, min_length=1, max_length=MAX_ROWS)
    """One row per entry: the strength that replaces the *first* edit's in that row. None: one row."""
    rows: list[list[Strength | None]] | None = Field(
        default=None, min_length=1, max_length=MAX_ROWS
    )
    """In place of `strengths`: per row a strength for every edit, null where that edit is left out."""
    max_new_tokens: int = Field(default=60, ge=1, le=MAX_NEW_TOKENS)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    temperature: float = Field(default=0.8, ge=0.0, le=4.0)
    """0 is greedy."""
    positions: Positions = "all"
    """Where edits act: prompt and generated tokens, generated only, or the last prompt token too."""

    @model_validator(mode="after")
    def _strengths_need_an_edit(self) -> "SteerRequest":
        if self.strengths is not None and not self.edits:
            raise ValueError(
                "strengths needs at least one entry in edits: name the feature to steer"
            )
        return self

    @model_validator(mode="after")
    def _rows_fit_the_edits(self) -> "SteerRequest":
        if self.rows is None:
            return self
        if self.strengths is not None:
            raise ValueError("rows and strengths both say what the rows are: give one of them")
        if any(len(row) != len(self.edits) for row in self.rows):
            raise ValueError(
                f"every row needs {len(self.edits)} strengths, one for each entry in edits (null: without it)"
            )
        return self

    @property
    def table(self) -> list[list[float | None]]:
        """The strength of every edit in every row; None where a row leaves an edit out."""
        if self.rows is not None:
            return self.rows
        own = [edit.strength for edit in self.edits]
        if self.strengths is None:
            return [[*own]]
        return [[first, *own[1:]] for first in self.strengths]


class SteerQueued(Message):
    """How many requests are written before this one; server-sent event `queued`, 0 is next."""

    position: int


class SteerToken(Message):
    """One generated token of one row. Server-sent event `token`; `text` may be '' inside a character.

    `strength` is the row's for the first edit, 0 without one.
    """

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
