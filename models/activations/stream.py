"""Residual activations as shuffled training batches, resumable bit for bit.

The language model reads a random group of windows (a block) while the block before is trained on.
Knows nothing of SAEs.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from models.activations.batch import Batch
from models.activations.blocks import Block, Blocks, Cursor, block_size
from models.activations.origin import check_origin, pack_origin
from models.activations.prefetch import Prefetch
from models.activations.sinks import SinkPolicy
from models.activations.sources import LiveSource, Source
from models.corpus import Window
from models.language_model import LanguageModel


class BlockStream:
    """Batches from any source until `tokens` are served; the text is repeated as needed.

    `batch` and `tokens` count all `world` processes: each of them serves batch / world rows of
    its own share of the windows per step, and all take the same number of steps. The order depends
    on source, seed, rank and world alone. `agree` gives all processes the first one's outlier
    threshold; without it each cuts at the median of its own first block. Iterating goes on from where the stream stands; leaving
    the loop stops the thread.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        tokens: int,
        seed: int,
        *,
        sinks: SinkPolicy | None = None,
        rank: int = 0,
        world: int = 1,
        prefetch: bool = True,
        agree: Callable[[float], float] | None = None,
    ) -> None:
        if batch < 1 or tokens < 1:
            raise ValueError(f"batch ({batch}) and tokens ({tokens}) must be at least 1")
        if not 0 <= rank < world:
            raise ValueError(
                f"rank {rank} is out of range: world {world} has ranks 0 to {world - 1}"
            )
        if batch % world:
            raise ValueError(
                f"batch {batch} cannot be shared out among world = {world} processes: "
                f"choose a multiple of {world}"
            )
        self.sinks = SinkPolicy() if sinks is None else sinks
        self.batch = batch
        self.tokens = tokens
        self.tokens_served = 0
        """By all processes together."""
        self._world = world
        size = block_size(batch // world, -(-tokens // world), source.d_in)
        self._source = source
        self._blocks = Blocks(source, self.sinks, size, seed, rank, world, agree)
        self._prefetch = Prefetch(self._blocks, prefetch)
        self._identity = torch.tensor(
            [seed, batch, rank, world, len(source.lengths), int(source.lengths.sum()), source.d_in]
        )
        self._block: Block | None = None
        self._cursor = Cursor()  # of the block being served, or of the first one
        self._offset = 0  # rows of that block that were served
        self._threshold: float | None = None

    @property
    def outlier_threshold(self) -> float | None:
        """The norm beyond which positions are left out; None before the first batch."""
        return self._threshold

    def __iter__(self) -> Iterator[Batch]:
        try:
            while self.tokens_served < self.tokens:
                serving = min(self.batch, self.tokens - self.tokens_served)
                rows = self._take(max(1, serving // self._world))
                # Before the yield: `state` then describes what the receiver has.
                self.tokens_served += serving
                yield rows
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading ahead and let go of the block; the position is kept."""
        self._prefetch.close()
        self._block = None

    def state(self) -> dict[str, Tensor]:
        """Where the stream stands: a few numbers, for `restore`.

        Batches are cut from blocks in order, so what was served is the block's cursor and an offset;
        no activation needs to be kept.
        """
        threshold = float("nan") if self._threshold is None else self._threshold
        return {
            "position": torch.tensor([self.tokens_served, self._offset, *self._cursor]),
            "threshold": torch.tensor(threshold, dtype=torch.float64),
            "identity": self._identity.clone(),
            "origin": self._origin.clone(),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on behind the last batch served before `state`; makes one block again.

        Raises ValueError, naming what differs, when the state is that of another stream.
        """
        if "origin" in state:  # a checkpoint of before says nothing
            check_origin(state["origin"], self._origin)
        if not torch.equal(state["identity"].cpu(), self._identity):
            raise ValueError(
                "the saved position belongs to another text, batch, seed or number of processes "
                f"({state['identity'].tolist()}, here {self._identity.tolist()}): "
                "resume with what the training began with, or start anew"
            )
        self.close()
        served, offset, *cursor = (int(value) for value in state["position"].tolist())
        threshold = float(state["threshold"])
        self.tokens_served, self._offset, self._cursor = served, offset, Cursor(*cursor)
        self._threshold = None if threshold != threshold else threshold

    @cached_property
    def _origin(self) -> Tensor:
        return pack_origin(self._source, self.sinks)

    def _take(self, count: int) -> Batch:
        """The next `count` rows, across blocks where one ends."""
        parts: list[Batch] = []
        held = 0
        while held < count:
            block = self._current()
            end = self._offset + count - held
            part = Batch(*(tensor[self._offset : end] for tensor in block.rows))
            parts.append(part)
            held += len(part.tokens)
            self._offset += len(part.tokens)
        if len(parts) == 1:
            return parts[0]
        return Batch(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def _current(self) -> Block:
        """A block with rows left, the one behind it under way if it will be needed."""
        if self._block is None:
            self._block = self._load(self._cursor)
        while self._offset >= len(self._block.rows.tokens):
            self._cursor, self._offset = self._block.following, 0
            self._block = None  # its memory is free before the next one is made
            self._block = self._load(self._cursor)
        return self._block

    def _load(self, cursor: Cursor) -> Block:
        block = self._prefetch.take(cursor, self._threshold)
        self._threshold = block.threshold
        left = (len(block.rows.tokens) - self._offset) * self._world
        if left < self.tokens - self.tokens_served:
            self._prefetch.prepare(block.following, block.threshold)
        return block


class ActivationStream(BlockStream):
    """Batches of residual activations of windows, straight from the language model.

    While the loop runs, the model works in the stream's thread: leave the loop (or `close`) before
    it is used for anything else.
    """

    def __init__(
        self,
        lm: LanguageModel,
        layer: int,
        windows: Sequence[Window],
        batch: int,
        tokens: int,
        seed: int,
        *,
        sinks: SinkPolicy | None = None,
        rank: int = 0,
        world: int = 1,
        prefetch: bool = True,
        agree: Callable[[float], float] | None = None,
    ) -> None:
        source = LiveSource(lm, layer, windows)
        super().__init__(
            source,
            batch,
            tokens,
            seed,
            sinks=sinks,
            rank=rank,
            world=world,
            prefetch=prefetch,
            agree=agree,
        )
