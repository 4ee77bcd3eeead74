"""Some whole windows of a corpus as arrays, and a hash of every token that depends on nothing else.

The hash decides which tokens are sampled, so that every split of a corpus samples the same ones.
Knows nothing of codes.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from models.corpus import Window

POSITION_BITS = np.uint64(20)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class WindowBlock(NamedTuple):
    """Windows as rows, in ascending order of their number in the corpus."""

    number: np.ndarray  # int64 [n]
    document: np.ndarray  # int64 [n]
    length: np.ndarray  # int64 [n], BOS included
    tokens: np.ndarray  # int32 [n, longest], 0 behind the end

    @classmethod
    def of(cls, windows: Mapping[int, Window]) -> Self:
        """The block of windows keyed by their number in the corpus."""
        number = np.array(sorted(windows), dtype=np.int64)
        chosen = [windows[int(key)] for key in number]
        length = np.array([len(window.tokens) for window in chosen], dtype=np.int64)
        tokens = np.zeros((len(chosen), int(length.max(initial=1))), dtype=np.int32)
        for row, window in zip(tokens, chosen, strict=True):
            row[: len(window.tokens)] = window.tokens
        document = np.array([window.document for window in chosen], dtype=np.int64)
        return cls(number, document, length, tokens)

    @property
    def indexed_tokens(self) -> int:
        """Tokens that count: all but the one at position 0 of each window."""
        return int(self.length.sum()) - len(self.length)

    def row_of(self, window: np.ndarray) -> np.ndarray:
        """The row of each window number, all of which must be here."""
        first = int(self.number[0]) if len(self.number) else 0
        span = int(self.number[-1]) - first + 1 if len(self.number) else 1
        if span > 64 * len(self.number) + 1024:  # far apart: no table
            return np.searchsorted(self.number, window)
        table = np.zeros(span, dtype=np.int64)
        table[self.number - first] = np.arange(len(self.number))
        return table[window - first]

    def is_indexed(self) -> np.ndarray:
        """Which places of `tokens` hold a token that counts: bool [n, longest]."""
        place = np.arange(self.tokens.shape[1])
        return (place > 0) & (place < self.length[:, None])

    def hashes(self) -> np.ndarray:
        """A hash of (window, position) for every place: uint64 [n, longest], no two alike."""
        place = np.arange(self.tokens.shape[1], dtype=np.uint64)
        return mix((self.number.astype(np.uint64)[:, None] << POSITION_BITS) | place)


def mix(key: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014, §4): a bijection on uint64."""
    key = key + GOLDEN
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))
