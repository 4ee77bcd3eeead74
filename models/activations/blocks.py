"""Blocks: the activations of a random group of windows, shuffled, as many as memory should hold.

A block is a function of the source, the seed and its cursor alone, so any block can be made again.
Knows nothing of batches or threads.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.activations.batch import Batch
from models.activations.sinks import SinkPolicy, is_outlier
from models.activations.sources import Part, Source

BLOCK_TOKENS = 131_072
BLOCK_BYTES = 512 << 20
"""A block is the smaller of the two: wide models would fill the memory otherwise."""


class Cursor(NamedTuple):
    """Where a block starts: its number, and the next window of which pass over the text."""

    block: int = 0
    epoch: int = 0
    place: int = 0


class Block(NamedTuple):
    """One shuffled block, where it starts, where the next one does, and the norm it was cut at."""

    rows: Batch
    cursor: Cursor
    following: Cursor
    threshold: float


class _Group(NamedTuple):
    windows: list[int]
    following: Cursor


class Blocks:
    """The endless sequence of blocks of one source; the text is repeated as needed.

    Rank r of `world` processes reads windows r, r + world, r + 2·world, …
    """

    def __init__(
        self,
        source: Source,
        sinks: SinkPolicy,
        size: int,
        seed: int,
        rank: int,
        world: int,
        agree: Callable[[float], float] | None = None,
    ) -> None:
        """`agree` gives every process the threshold of the first one's block; None: there is one."""
        self.source = source
        self.sinks = sinks
        self.size = size
        self.seed = seed
        self.rank = rank
        self._agree = agree or float
        self.own = np.arange(rank, len(source.lengths), world)
        skipped = 1 if sinks.first else 0
        if len(self.own) == 0 or int((source.lengths[self.own] - skipped).max()) < 1:
            raise ValueError(
                f"the text yields no window of two tokens or more for process {rank + 1} of {world}: "
                "give a longer text"
            )

    def make(
        self, cursor: Cursor, threshold: float | None, stopped: Callable[[], bool]
    ) -> Block | None:
        """The block that starts at `cursor`; None when `stopped` says so between two forward passes.

        `threshold` None: this is the first block, whose median norm sets it.
        """
        group = self._group(cursor)
        skipped = 1 if self.sinks.first else 0
        counts = np.maximum(self.source.lengths[group.windows] - skipped, 0)
        starts = np.cumsum(counts) - counts
        total = int(counts.sum())
        order = np.random.default_rng([self.seed, 1, self.rank, cursor.block]).permutation(total)
        destination = torch.from_numpy(order).to(self.source.device)
        activations = torch.empty(total, self.source.d_in, device=self.source.device)
        for part in self.source.read(group.windows):
            if stopped():
                return None
            self._fill(activations, destination, part, starts, counts)
        tokens = np.empty(total, dtype=np.int64)
        tokens[order] = np.concatenate([self.source.tokens(w)[skipped:] for w in group.windows])
        rows = Batch(activations, torch.from_numpy(tokens).to(self.source.device))
        return self._without_outliers(rows, cursor, group.following, threshold)

    def _group(self, cursor: Cursor) -> _Group:
        """Windows from the cursor on, in this pass's order, until they hold a block."""
        skipped = 1 if self.sinks.first else 0
        lengths = self.source.lengths
        windows: list[int] = []
        held, epoch, place = 0, cursor.epoch, cursor.place
        order = self._order(epoch)
        while held < self.size:
            if place == len(order):
                epoch, place = epoch + 1, 0
                order = self._order(epoch)
            windows.append(int(order[place]))
            held += max(int(lengths[order[place]]) - skipped, 0)
            place += 1
        return _Group(windows, Cursor(cursor.block + 1, epoch, place))

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 0, self.rank, epoch]).permutation(self.own)

    def _fill(
        self,
        activations: Tensor,
        destination: Tensor,
        part: Part,
        starts: np.ndarray,
        counts: np.ndarray,
    ) -> None:
        """Write the kept positions of a part into their shuffled rows, padding left out."""
        skipped = 1 if self.sinks.first else 0
        device = activations.device
        held = part.activations[:, skipped:]
        places = torch.arange(held.shape[1], device=device)[None]
        chosen = list(part.places)
        is_kept = places < torch.from_numpy(counts[chosen]).to(device)[:, None]
        rows = torch.from_numpy(starts[chosen]).to(device)[:, None] + places
        activations[destination[rows[is_kept]]] = held[is_kept].to(device, torch.float32)

    def _without_outliers(
        self, rows: Batch, cursor: Cursor, following: Cursor, threshold: float | None
    ) -> Block:
        if threshold is not None and np.isinf(threshold):
            return Block(rows, cursor, following, threshold)
        norms = rows.activations.norm(dim=-1)
        if threshold is None:
            threshold = self._agree(self.sinks.threshold(norms))
        is_kept = ~is_outlier(norms, threshold)
        if not bool(is_kept.all()):
            rows = Batch(rows.activations[is_kept], rows.tokens[is_kept])
        if len(rows.tokens) == 0:
            raise ValueError(
                f"every activation of a block is larger than {threshold:.4g}, "
                f"{self.sinks.outlier_norm:g} × the median of the first: raise outlier_norm"
            )
        return Block(rows, cursor, following, threshold)


def block_size(batch: int, tokens: int, d_in: int) -> int:
    """How many activations one block should hold: never less than two batches."""
    return max(2 * batch, min(BLOCK_TOKENS, BLOCK_BYTES // (4 * d_in), tokens))
