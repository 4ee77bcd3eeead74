"""From the edits of many rows to one function per edited layer, for a first pass and for a step.

Rows without an edit at a layer come back bit for bit. Knows rows and edits; nothing of models.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.generate.edits import Edit, apply_edit
from models.generate.row import Row

Hook = Callable[[Tensor], Tensor]
NOTHING = -0.0
"""x + (−0.0) is x in every bit, −0.0 included; x + 0.0 is not."""


class StepHooks:
    """The edits of a batch whose rows write one token each; made once for a set of rows.

    A layer where every edit adds costs one addition of [rows, 1, d_in] a step.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)
        self._edits = {layer: edits_at(rows, layer) for layer in layers_of(rows)}
        self._shifts: dict[int, Tensor] = {}

    def of(self, tokens: Int[Tensor, "rows 1"]) -> dict[int, Hook]:
        """One function per layer for the pass that reads these tokens."""
        return {layer: self._hook(layer, tokens) for layer in self._edits}

    def _hook(self, layer: int, tokens: Tensor) -> Hook:
        edits = self._edits[layer]
        if any(edit.operation != "add" for own in edits.values() for edit in own):
            return lambda hidden: edit_rows(hidden, edits, dict.fromkeys(edits, 0), tokens)

        def add(hidden: Tensor) -> Tensor:
            if layer not in self._shifts:
                self._shifts[layer] = shift_of(edits, hidden)
            return hidden + self._shifts[layer]

        return add


def hooks_of(rows: Sequence[Row], tokens: Int[Tensor, "rows position"]) -> dict[int, Hook]:
    """One function per edited layer for the pass that reads prompts, from each row's first position."""
    starts = {place: first_position(row) for place, row in enumerate(rows)}

    def at(layer: int) -> Hook:
        edits = edits_at(rows, layer)
        return lambda hidden: edit_rows(hidden, edits, starts, tokens)

    return {layer: at(layer) for layer in layers_of(rows)}


def edit_rows(
    hidden: Float[Tensor, "rows position d_in"],
    edits: dict[int, list[Edit]],
    starts: dict[int, int],
    tokens: Int[Tensor, "rows position"],
) -> Float[Tensor, "rows position d_in"]:
    """Each row's edits in their order, from its start."""
    edited = hidden.clone()
    for place, own in edits.items():
        start = starts[place]
        part = hidden[place : place + 1, start:]
        for edit in own:
            part = apply_edit(part, edit, tokens[place : place + 1, start:])
        edited[place, start:] = part[0]
    return edited


def shift_of(
    edits: dict[int, list[Edit]], hidden: Float[Tensor, "rows position d_in"]
) -> Float[Tensor, "rows 1 d_in"]:
    """What rows of adding edits add; those without add nothing at all."""
    shift = torch.full_like(hidden[:, :1], NOTHING)
    for place, own in edits.items():
        shift[place, 0] = torch.stack([edit.shift for edit in own]).sum(0).to(hidden)
    return shift


def layers_of(rows: Sequence[Row]) -> list[int]:
    """The layers at which something is edited."""
    return sorted({edit.layer for row in rows for edit in row.edits if not edit.is_neutral})


def edits_at(rows: Sequence[Row], layer: int) -> dict[int, list[Edit]]:
    """The edits of each row that has any at this layer, in their order."""
    found = {
        place: [edit for edit in row.edits if edit.layer == layer and not edit.is_neutral]
        for place, row in enumerate(rows)
    }
    return {place: own for place, own in found.items() if own}


def first_position(row: Row) -> int:
    """Where in its prompt a row's edits begin."""
    last = max(1, len(row.prompt) - 1)  # never position 0, be it all there is
    return {"all": 1, "last": last, "generated": len(row.prompt)}[row.positions]
