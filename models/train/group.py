"""The processes that train together, through torch.distributed; alone, every operation is free.

Sums are over all ranks, so that losses, norms and counts are those of the global batch.
Knows nothing of SAEs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Group:
    """This process among `world`: rank 0 writes and reports."""

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> "Group":
        """The initialised default group of torch.distributed, or one process alone.

        Counts and flags are CPU tensors: on GPUs, initialise it with "cpu:gloo,cuda:nccl".
        """
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all ranks' tensors (in place where there are several)."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def any(self, tensor: Tensor) -> Tensor:
        """True where any rank's boolean tensor is."""
        if self.world == 1:
            return tensor
        counted = tensor.to(torch.int32)
        dist.all_reduce(counted, dist.ReduceOp.MAX)
        return counted > 0

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors with rank 0's."""
        if self.world > 1:
            for tensor in tensors:
                whole = tensor.detach().contiguous()
                dist.broadcast(whole, 0)
                tensor.detach().copy_(whole)

    def agree(self, value: float) -> float:
        """Rank 0's number, on every rank."""
        told = torch.tensor(value, dtype=torch.float64)
        self.broadcast([told])
        return float(told)

    def wait(self) -> None:
        """Return once every rank is here."""
        if self.world > 1:
            dist.barrier()


class GradientSum:
    """All-reduces each gradient as soon as backward has it, so that transfers overlap with it."""

    def __init__(self, group: Group, parameters: Iterable[torch.nn.Parameter]) -> None:
        self._works: list[dist.Work] = []
        if group.world > 1:
            for parameter in parameters:
                parameter.register_post_accumulate_grad_hook(self._start)

    def wait(self) -> None:
        """Return once all gradients are those of the global batch."""
        for work in self._works:
            work.wait()
        self._works.clear()

    def _start(self, parameter: Tensor) -> None:
        assert parameter.grad is not None
        # Columns of W_enc lie contiguous: the transport wants memory order, and sums either way.
        gradient = parameter.grad if parameter.grad.is_contiguous() else parameter.grad.T
        work = dist.all_reduce(gradient, async_op=True)
        assert work is not None
        self._works.append(work)
