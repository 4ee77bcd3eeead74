"""The built-in concepts as two sets of words each, and the tokens that spell them.

Knows nothing of activations.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class WordSets:
    """A concept's two sides by the words that mark them, as they stand in `words.json`."""

    name: str
    side_a: str
    side_b: str
    a: tuple[str, ...]
    b: tuple[str, ...]


@cache
def load_word_sets() -> tuple[WordSets, ...]:
    """The built-in concepts, by words."""
    raw = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
    return tuple(
        WordSets(name, sides["side_a"], sides["side_b"], tuple(sides["a"]), tuple(sides["b"]))
        for name, sides in raw.items()
    )


def token_sets(vocabulary: Sequence[str], words: Sequence[str]) -> list[int]:
    """The token ids that spell one of the words, with or without a space, capital or not."""
    wanted = {word.casefold() for word in words}
    return [index for index, text in enumerate(vocabulary) if text.strip().casefold() in wanted]
