"""Minimal pairs: two sentences that differ in one concept and in nothing else.

Sentences are frames crossed with fillers; train and test share neither. Knows nothing of models.
"""

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "test"]
SOURCE = Path(__file__).with_name("contrasts.json")


@dataclass(frozen=True)
class Pair:
    """One minimal pair: the sentence of side A, that of side B, and which filler made them."""

    a: str
    b: str
    filler: int


@dataclass(frozen=True)
class Contrast:
    """A concept with two sides and its frames and fillers."""

    name: str
    side_a: str
    side_b: str
    frames: tuple[str, ...]
    fillers: tuple[tuple[dict[str, str], dict[str, str]], ...]

    def pairs(self, split: Split) -> list[Pair]:
        """All minimal pairs of one split: even frames and fillers train, odd ones test."""
        offset = 0 if split == "train" else 1
        frames = self.frames[offset::2]
        fillers = range(offset, len(self.fillers), 2)
        return [self._pair(frame, index) for frame, index in itertools.product(frames, fillers)]

    def _pair(self, frame: str, index: int) -> Pair:
        a, b = self.fillers[index]
        return Pair(_fill(frame, a), _fill(frame, b), index)


@cache
def load_contrasts() -> dict[str, Contrast]:
    """The built-in contrasts by name."""
    return {
        name: _contrast(name, raw)
        for name, raw in json.loads(SOURCE.read_text(encoding="utf-8")).items()
    }


def _contrast(name: str, raw: dict[str, Any]) -> Contrast:
    fillers = []
    for row in raw["fillers"]:
        words = dict(zip(raw["slots"], row.split(" "), strict=True)) | raw["fixed"]
        fillers.append(
            tuple({slot: _side(word, side) for slot, word in words.items()} for side in (0, 1))
        )
    return Contrast(name, raw["side_a"], raw["side_b"], tuple(raw["frames"]), tuple(fillers))


def _side(word: str, side: int) -> str:
    sides: Sequence[str] = word.split("/")
    return sides[side] if len(sides) == 2 else word


def _fill(frame: str, words: dict[str, str]) -> str:
    """Fill the slots, and mend the article before a vowel."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", frame.format_map(words))
    return text[0].upper() + text[1:]
