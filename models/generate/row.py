"""One continuation to write: its prompt, its edits, how it draws, and how far it has come.

Knows nothing of other rows or of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch

from models.generate.edits import Edit

Positions = Literal["all", "generated", "last"]
"""Where edits act: prompt and generated tokens (BOS left out), generated only, or the last prompt
token and all generated ones."""


@dataclass(eq=False)
class Row:
    """A row of the batch; equal seeds draw the same numbers, whatever else is in the batch.

    `prompt` are token ids, BOS first where the model has one; temperature 0 is greedy.
    """

    prompt: Sequence[int]
    edits: Sequence[Edit] = ()
    max_new_tokens: int = 60
    seed: int = 0
    temperature: float = 0.8
    positions: Positions = "all"
    written: list[int] = field(default_factory=list)
    has_ended: bool = False
    """Whether the model has ended the text."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("the prompt has no token: give a text")
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}, but at least 1 is written")
        self._random = torch.Generator().manual_seed(self.seed)

    @property
    def length(self) -> int:
        """Prompt and written tokens."""
        return len(self.prompt) + len(self.written)

    @property
    def is_done(self) -> bool:
        """Whether nothing more is written to this row."""
        return self.has_ended or len(self.written) >= self.max_new_tokens

    def draw(self) -> float:
        """The next number in [0, 1) of this row's own stream."""
        return float(torch.rand((), generator=self._random, dtype=torch.float64))
