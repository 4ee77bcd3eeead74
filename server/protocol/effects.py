"""Typed messages about what steering does: shift, safe band, closed loop, contributions.

Knows no torch, no database and no page. Same rules as `server.protocol`.
"""

from typing import Annotated

from pydantic import Field

from server.protocol.base import (
    MAX_EDITS,
    MAX_NEW_TOKENS,
    MAX_PROMPT_CHARACTERS,
    MAX_STRENGTH,
    Message,
    Positions,
    SaeKey,
)
from server.protocol.steer import Edit

MOST_STRENGTHS = 16
Strengths = Annotated[
    list[Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH)]],
    Field(min_length=1, max_length=MOST_STRENGTHS),
]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]


class ShiftRequest(Message):
    """How the next token's distribution moves at each strength of the first edit."""

    model: SaeKey
    prompt: Prompt
    edits: list[Edit] = Field(min_length=1, max_length=MAX_EDITS)
    strengths: Strengths
    positions: Positions = "all"
    limit: int = Field(default=8, ge=1, le=50)


class TokenShift(Message):
    """One token: its probability when steered, and Δ log p against the unsteered model, nats."""

    token: str
    token_id: int
    probability: float
    change: float


class ShiftRow(Message):
    """One strength. `promoted` and `suppressed` are by Δp, the change that is seen in the text."""

    strength: float
    kl: float
    promoted: list[TokenShift]
    suppressed: list[TokenShift]


class Oddness(Message):
    """Strengths ±size: 1 where they do the opposite, −1 where both do the same; None: no effect."""

    size: float
    value: float | None


class ShiftResponse(Message):
    """One row per strength, and the oddness of every size that was asked on both sides."""

    rows: list[ShiftRow]
    oddness: list[Oddness]


class BandRequest(Message):
    """Write at every strength and find where each side stops being safe."""

    model: SaeKey
    prompt: Prompt
    edit: Edit
    strengths: Strengths
    tokens: int = Field(default=40, ge=4, le=MAX_NEW_TOKENS)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    temperature: float = Field(default=0.8, ge=0.0, le=4.0)
    positions: Positions = "all"


class StrainRow(Message):
    """One strength: KL of the next token, rise of loss and of repeated 3-grams over the unsteered text."""

    strength: float
    kl: float
    loss: float
    loss_rise: float
    repetition: float
    text: str
    is_safe: bool


class BandLimits(Message):
    """What counted as broken."""

    kl: float
    loss: float
    repetition: float


class BandResponse(Message):
    """The safe strengths on this prompt and seed: `low` ≤ 0 ≤ `high`; rows ascending, 0 included."""

    low: float
    high: float
    rows: list[StrainRow]
    limits: BandLimits


class RereadRequest(Message):
    """Read a text that was written with `edits` again; the first edit's latent is watched."""

    model: SaeKey
    prompt: Prompt
    token_ids: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=MAX_NEW_TOKENS)
    edits: list[Edit] = Field(min_length=1, max_length=MAX_EDITS)
    positions: Positions = "all"


class RereadResponse(Message):
    """One activation per token of prompt and text, BOS first.

    `reread`: by the unsteered model. `in_effect`: at the hook while steered.
    """

    tokens: list[str]
    special: list[bool]
    written_from: int
    reread: list[float]
    in_effect: list[float]


class SizesRequest(Message):
    """How large the edits are beside what they change; their strengths do not matter."""

    model: SaeKey
    prompt: Prompt
    edits: list[Edit] = Field(min_length=1, max_length=MAX_EDITS)


class Size(Message):
    """At one edit's hook: ‖d‖ / input_scale, what strength 1 adds; and the median of ‖h‖."""

    layer: int
    unit_norm: float
    median_norm: float


class SizesResponse(Message):
    """One per edit. The median is over the prompt's tokens, BOS left out: `tokens` of them."""

    sizes: list[Size]
    tokens: int


class WeightsRequest(Message):
    """The tensors that a script without Dipole needs for these edits; their strengths do not matter."""

    edits: list[Edit] = Field(min_length=1, max_length=MAX_EDITS)


class ContributionsRequest(Message):
    """Which features push `wanted` over `other` as the next token of a text, along the direct path."""

    sae: SaeKey
    text: Prompt
    wanted: str = Field(min_length=1, max_length=100)
    other: str = Field(min_length=1, max_length=100)
    limit: int = Field(default=20, ge=1, le=200)


class Bar(Message):
    """One feature: its activation on the last token, and what it adds to the logit difference, nats."""

    feature: int
    activation: float
    contribution: float


class ContributionsResponse(Message):
    """bars + rest + error + bias + later = total = logit(wanted) − logit(other)."""

    wanted: str
    other: str
    bars: list[Bar]
    rest: float
    error: float
    bias: float
    later: float
    total: float
