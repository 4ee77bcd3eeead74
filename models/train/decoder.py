"""What is done to the gradients and to the decoder around an optimiser step, in few passes.

Each pass over W_dec goes by blocks of rows that stay in the processor's cache. Knows nothing of losses.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from models.sae import SparseAutoencoder

BLOCK_ENTRIES = 1 << 18  # 1 MB of float32 of each operand


@torch.no_grad()
def remove_parallel_gradient(sae: SparseAutoencoder) -> None:
    """g ← g − (g·d) d for each decoder row d: unit norm allows no step there (science §3)."""
    gradient = sae.W_dec.grad
    assert gradient is not None
    rows = _rows(sae.W_dec)
    for g, d in zip(gradient.split(rows), sae.W_dec.split(rows), strict=True):
        along = torch.linalg.vecdot(g, d)
        g.addcmul_(along[:, None], d, value=-1)


@torch.no_grad()
def normalise_decoder(sae: SparseAutoencoder) -> None:
    """d ← d / ‖d‖ for each decoder row (science §3)."""
    for d in sae.W_dec.split(_rows(sae.W_dec)):
        d.div_(torch.linalg.vector_norm(d, dim=-1, keepdim=True).clamp_(min=1e-8))


@torch.no_grad()
def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> Tensor:
    """The norm of all gradients together."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


@torch.no_grad()
def shrink_gradients(parameters: Iterable[torch.nn.Parameter], share: float) -> None:
    """Multiply every gradient by the same number."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(share)


def _rows(weight: Tensor) -> int:
    """Rows per block: small enough for the cache on a CPU, everything at once elsewhere."""
    if weight.device.type != "cpu":
        return len(weight)
    return max(1, BLOCK_ENTRIES // weight.shape[-1])
