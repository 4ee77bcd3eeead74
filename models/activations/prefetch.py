"""Blocks made ahead in a thread of their own, while the ones before are trained on.

The sequence is the same with and without the thread. Knows nothing of batches.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import torch

from models.activations.blocks import Block, Blocks, Cursor


class Prefetch:
    """Makes blocks in order, the next one in the background if asked to."""

    def __init__(self, blocks: Blocks, ahead: bool) -> None:
        self._blocks = blocks
        self._ahead = ahead
        self._stopped = Event()
        self._executor: ThreadPoolExecutor | None = None
        self._coming: tuple[Cursor, Future[Block | None]] | None = None

    def take(self, cursor: Cursor, threshold: float | None) -> Block:
        """The block at `cursor`, prepared or made now. What went wrong in the thread is raised here."""
        if self._coming is not None and self._coming[0] == cursor:
            _, future = self._coming
            self._coming = None
            block = future.result()
        else:
            self.close()
            block = self._make(cursor, threshold)
        if block is None:
            raise RuntimeError("the stream was closed while a block was being made")
        if block.rows.activations.is_cuda:
            # It was allocated on the thread's own CUDA stream: not to be reused before we are done.
            for tensor in block.rows:
                tensor.record_stream(torch.cuda.current_stream(tensor.device))
        return block

    def prepare(self, cursor: Cursor, threshold: float) -> None:
        """Start on the block at `cursor` while the caller works on."""
        if not self._ahead or self._coming is not None:
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="activations")
        self._coming = cursor, self._executor.submit(self._make, cursor, threshold)

    def close(self) -> None:
        """Stop the thread, after the forward pass it is in; a later `take` starts afresh."""
        self._stopped.set()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None
        self._coming = None
        self._stopped.clear()

    def _make(self, cursor: Cursor, threshold: float | None) -> Block | None:
        device = self._blocks.source.device
        if device.type != "cuda":
            return self._blocks.make(cursor, threshold, self._stopped.is_set)
        # A CUDA stream of its own, or the forward passes would queue up behind the training step.
        side = torch.cuda.Stream(device)
        with torch.cuda.stream(side):
            block = self._blocks.make(cursor, threshold, self._stopped.is_set)
        side.synchronize()
        return block
