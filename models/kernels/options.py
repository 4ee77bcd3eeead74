"""How the sparse maths is computed: to which precision, by which of the paths, in whose memory.

Knows nothing of the maths itself.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from models.kernels.workspace import Workspace

Precision = Literal["exact", "candidates"]
Backend = Literal["auto", "torch", "compiled", "triton"]


@dataclass(frozen=True)
class KernelOptions:
    """Which path computes the sparse maths. The default is exact, by the fastest path there is.

    `candidates`: latents are shortlisted by a rough encode and the chosen ones computed in float32:
    same choice on nearly every row; worth it from d_in ≈ 128 on. Rough is 8-bit integers on the
    compiled path (exact where the processor has no instructions for them), bf16 on the others.
    `auto`: Triton on CUDA and the compiled path on the CPU where they are installed, else torch.
    `workspace`: memory that steps share; without one every step allocates its own.
    """

    precision: Precision = "exact"
    backend: Backend = "auto"
    workspace: Workspace | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.precision not in ("exact", "candidates"):
            raise ValueError(
                f"precision is {self.precision!r}: choose one of 'exact', 'candidates'"
            )
        if self.backend not in ("auto", "torch", "compiled", "triton"):
            raise ValueError(
                f"backend is {self.backend!r}: choose one of 'auto', 'torch', 'compiled', 'triton'"
            )

    def space(self, shape: tuple[int, ...], like: Tensor, dtype: torch.dtype | None = None):
        """An uninitialised tensor on the device of `like`, from the workspace if there is one."""
        dtype = like.dtype if dtype is None else dtype
        if self.workspace is None:
            return torch.empty(shape, dtype=dtype, device=like.device)
        return self.workspace.take(shape, dtype, like.device)
