"""What the address of the steering page says: edits, prompt, drawing, what is unfolded.

The first edit is `sae`, `feature`, `strength`, `operation` and `pole`; every further one is an
`edit=SAE.FEATURE.OPERATION.STRENGTH[.POLE]`, the form the page writes. Knows no database.
"""

import re
from typing import Annotated
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.protocol import (
    MAX_EDITS,
    MAX_NEW_TOKENS,
    MAX_PROMPT_CHARACTERS,
    MAX_STRENGTH,
    Edit,
    EditPole,
    Operation,
    Positions,
)

DEFAULT_PROMPT = "Once upon a time"
EDIT = re.compile(
    r"(?P<sae>.{1,200}?)\.(?P<feature>\d{1,9})\.(?P<operation>add|clamp|scale|project)"
    r"\.(?P<strength>-?\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?)(?:\.(?P<pole>both|plus|minus))?"
)
POLES: dict[str | None, EditPole] = {None: "both", "both": "both", "plus": "+", "minus": "-"}
POLE_NAMES: dict[EditPole, str] = {"both": "both", "+": "plus", "-": "minus"}
DEFAULTS = {
    "sae": "",
    "operation": "add",
    "pole": "both",
    "positions": "all",
    "wanted": "",
    "other": "",
    "open": "",
}
"""Left out of an address."""


class SteerQuery(BaseModel):
    """The query of the page and of its twins; everything has a default."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    sae: str = Field("", max_length=200, description="The SAE of the first edit, by id or name")
    feature: int | None = Field(None, ge=0, description="The feature of the first edit")
    strength: float | None = Field(None, ge=-MAX_STRENGTH, le=MAX_STRENGTH)
    operation: Operation = "add"
    pole: str = Field("both", pattern="^(both|plus|minus)$", description="For scale: which pole")
    edit: list[Annotated[str, Field(max_length=300)]] = Field(
        default_factory=list[str],
        max_length=MAX_EDITS - 1,
        description="Another edit: SAE.FEATURE.OPERATION.STRENGTH[.POLE]",
    )
    prompt: str = Field(DEFAULT_PROMPT, max_length=MAX_PROMPT_CHARACTERS)
    seed: int = Field(0, ge=0, le=2**31 - 1)
    temperature: float = Field(0.8, ge=0, le=4)
    tokens: int = Field(60, ge=1, le=MAX_NEW_TOKENS)
    positions: Positions = "all"
    wanted: str = Field("", max_length=100, description="A next word, to compare with `other`")
    other: str = Field("", max_length=100)
    open: str = Field("", max_length=100, description="The parts of the page that are unfolded")

    @field_validator("edit")
    @classmethod
    def _edits_can_be_read(cls, edits: list[str]) -> list[str]:
        for text in edits:
            parse_edit(text)
        return edits

    def further(self) -> list[Edit]:
        """The edits behind the first."""
        return [parse_edit(text) for text in self.edit]

    def address(self, path: str, **changes: object) -> str:
        """The address that says the same, without what is as it is by default."""
        values = {**self.model_dump(exclude_none=True), **changes}
        kept = {
            name: value
            for name, value in values.items()
            if value is not None and DEFAULTS.get(name) != value
        }
        return f"{path}?{urlencode(kept, doseq=True)}"


def parse_edit(text: str) -> Edit:
    """An edit from its form in an address. Raises ValueError, saying what the form is."""
    found = EDIT.fullmatch(text)
    if found is None or abs(float(found["strength"])) > MAX_STRENGTH:
        raise ValueError(
            f"{text!r} is not of the form SAE.FEATURE.OPERATION.STRENGTH, such as 1.23.add.-2.5"
        )
    return Edit(
        sae=found["sae"],
        feature=int(found["feature"]),
        operation=found["operation"],  # type: ignore[arg-type]
        strength=float(found["strength"]),
        pole=POLES[found["pole"]],
    )


def write_edit(edit: Edit) -> str:
    """An edit as an address carries it."""
    pole = "" if edit.pole == "both" else f".{POLE_NAMES[edit.pole]}"
    return f"{edit.sae}.{edit.feature}.{edit.operation}.{edit.strength:g}{pole}"
