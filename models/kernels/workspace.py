"""Memory that one training step hands to the next: fresh pages cost more than what is written there.

At 512 × 16,384 the two weights' gradients alone are 67 MB a step. Knows nothing of what it holds.
"""

from collections import defaultdict

import torch
from torch import Tensor


class Workspace:
    """Buffers taken during a step and free again at the next `begin`.

    Call `begin` before each forward pass and drop the gradients of the step before
    (`zero_grad(set_to_none=True)`): they lie in these buffers and are about to be overwritten.
    """

    def __init__(self) -> None:
        self._free: dict[tuple, list[Tensor]] = defaultdict(list)
        self._taken: list[tuple[tuple, Tensor]] = []

    @property
    def held(self) -> int:
        """How many elements all buffers hold, free ones and taken."""
        free = [buffer for buffers in self._free.values() for buffer in buffers]
        return sum(buffer.numel() for buffer in [*free, *(buffer for _, buffer in self._taken)])

    def begin(self) -> None:
        """Everything handed out so far may be handed out again."""
        for kind, buffer in self._taken:
            self._free[kind].append(buffer)
        self._taken.clear()

    def take(self, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
        """An uninitialised tensor, valid until the next `begin`."""
        kind = (shape, dtype, device)
        buffer = (
            self._free[kind].pop()
            if self._free[kind]
            else torch.empty(shape, dtype=dtype, device=device)
        )
        self._taken.append((kind, buffer))
        return buffer.detach()  # a tensor of its own, so that autograd may keep it as the gradient
