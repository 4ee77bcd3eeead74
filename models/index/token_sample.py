"""A sample of whole tokens with all their codes, of bounded size, the same for every split.

A token of the corpus is kept while its hash starts with at least `level` zero bits; whenever more
than `cells` codes are held, the level rises by one and half of the tokens go. What is left depends
only on what was seen, so shards merge exactly (adaptive sampling: Wegman; Flajolet 1990). A short
corpus is kept whole. Knows nothing of what is computed from it.
"""

from typing import NamedTuple

import numpy as np

from models.index.blocks import WindowBlock
from models.index.firings import Firings

CELLS_EACH = 512  # codes held per feature, on average
FEWEST_CELLS, MOST_CELLS = 1 << 22, 1 << 25
LEVELS = 65


class SampledTokens(NamedTuple):
    """Tokens, and their codes as (row, feature, value) triples in no particular order."""

    tokens: int  # tokens sampled, silent ones included
    zeros: np.ndarray  # uint8 [tokens with a code]: leading zero bits of each one's hash
    token: np.ndarray  # int32 [tokens with a code]: its id
    row: np.ndarray  # int32 [codes]: into `token`
    feature: np.ndarray  # int32 [codes]
    value: np.ndarray  # float32 [codes], signed


class TokenSample:
    """The growing sample of one SAE's codes."""

    def __init__(self, features: int, cells: int | None = None) -> None:
        usual = min(MOST_CELLS, max(FEWEST_CELLS, CELLS_EACH * features))
        self.cells = usual if cells is None else cells
        self.level = 0
        self.seen = np.zeros(LEVELS, dtype=np.int64)  # tokens by leading zeros of their hash
        self._parts: list[SampledTokens] = []
        self._held = 0

    def add(
        self, firings: Firings, block: WindowBlock, place: np.ndarray, hashes: np.ndarray
    ) -> None:
        """Sample from these windows.

        `hashes` uint64 [n, longest] are those of the block's tokens, and `place` int64 [firings] says
        which of them, counted row by row, each firing stands at.
        """
        # The exponent of a float64 is the number of bits that are left.
        zeros = (64 - np.frexp(hashes.astype(np.float64))[1]).clip(min=0).astype(np.uint8)
        self.seen += np.bincount(zeros[block.is_indexed()], minlength=LEVELS)
        zeros = zeros.reshape(-1)
        kept = np.flatnonzero(zeros[place] >= self.level)
        is_there = np.zeros(len(zeros), dtype=bool)
        is_there[place[kept]] = True
        row = np.cumsum(is_there, dtype=np.int32) - 1
        self._hold(
            SampledTokens(
                0,
                zeros[is_there],
                block.tokens.reshape(-1)[is_there],
                row[place[kept]],
                firings.feature[kept].astype(np.int32),
                firings.value[kept],
            )
        )

    def merge(self, other: "TokenSample") -> None:
        """Take in the sample of another shard of the corpus."""
        self.seen += other.seen
        self.level = max(self.level, other.level)
        self._parts = [_thinned(part, self.level) for part in self._parts]
        self._held = sum(len(part.value) for part in self._parts)
        self._hold(_thinned(other.result(), self.level))

    def flip(self, features: np.ndarray) -> None:
        """Negate the codes of these features (bool [features])."""
        sample = self.result()
        sign = np.where(features[sample.feature], np.float32(-1), np.float32(1))
        self._parts = [sample._replace(value=sample.value * sign)]

    def result(self) -> SampledTokens:
        """The sample so far."""
        joined = _joined(self._parts)
        self._parts = [joined]
        return joined._replace(tokens=int(self.seen[self.level :].sum()))

    def state(self) -> dict[str, np.ndarray]:
        """The sample as arrays to be saved."""
        arrays = self.result()._asdict()
        del arrays["tokens"]
        return {"level": np.array([self.level]), "seen": self.seen, **arrays}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned."""
        self.level = int(state["level"][0])
        self.seen[:] = state["seen"]
        self._parts = [SampledTokens(0, *(state[name] for name in SampledTokens._fields[1:]))]
        self._held = len(state["value"])

    def _hold(self, part: SampledTokens) -> None:
        self._parts.append(part)
        self._held += len(part.value)
        while self._held > self.cells:
            self.level += 1
            self._parts = [_thinned(_joined(self._parts), self.level)]
            self._held = len(self._parts[0].value)


def at_level(sample: SampledTokens, seen: np.ndarray, level: int) -> SampledTokens:
    """A smaller sample from a sample: its tokens of this level and above."""
    return _thinned(sample, level)._replace(tokens=int(seen[level:].sum()))


def _thinned(sample: SampledTokens, level: int) -> SampledTokens:
    stays = sample.zeros >= level
    if stays.all():
        return sample
    renumbered = np.cumsum(stays, dtype=np.int32) - 1
    cells = stays[sample.row]
    return SampledTokens(
        0,
        sample.zeros[stays],
        sample.token[stays],
        renumbered[sample.row[cells]],
        sample.feature[cells],
        sample.value[cells],
    )


def _joined(parts: list[SampledTokens]) -> SampledTokens:
    if not parts:
        whole = np.zeros(0, dtype=np.int32)
        zeros, value = np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.float32)
        return SampledTokens(0, zeros, whole, whole, whole, value)
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(len(part.token) for part in parts[:-1])], dtype=np.int32)
    rows = [part.row + offset for part, offset in zip(parts, offsets, strict=True)]
    columns = zip(*(part[1:] for part in parts), strict=True)
    zeros, token, _, feature, value = (np.concatenate(column) for column in columns)
    return SampledTokens(0, zeros, token, np.concatenate(rows), feature, value)
