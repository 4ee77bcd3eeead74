"""What a norm does to a vector, found by what it answers: centring or not, its gain and its shift.

Every family has norms of its own classes, and a name says nothing of the mean. Knows no model.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

LOUD = 64.0
"""Size of what is asked: next to it no ε matters."""
ALIKE = 0.02
"""Relative error up to which a norm is one of ours: above bfloat16's rounding, far below a mean's."""


class NormForm(NamedTuple):
    """norm(x) = gain · (x − mean x, or x) / its root mean square + shift, in float32."""

    is_centred: bool
    gain: Float[Tensor, "d_in"]
    shift: Float[Tensor, "d_in"]

    def direction(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        """x as the norm sees it before its scale: without its mean where the norm takes it away."""
        return x - x.mean(-1, keepdim=True) if self.is_centred else x


@torch.inference_mode()
def read_norm(norm: nn.Module, d_in: int, dtype: torch.dtype, device: torch.device) -> NormForm:
    """The form of a norm module.

    Raises ValueError when it is neither LayerNorm nor RMS norm, with or without weights.
    """
    # ±1 in turn has mean 0 (nearly, for an odd width) and root mean square 1 for both kinds.
    even = torch.ones(d_in, device=device)
    even[1::2] = -1
    uneven = 1 + torch.randn(d_in, generator=torch.Generator().manual_seed(0)).to(device)
    asked = LOUD * torch.stack([torch.zeros_like(even), even, uneven])
    shift, at_even, at_uneven = norm(asked.to(dtype)[None])[0].float()
    for is_centred in (True, False):
        plain = NormForm(is_centred, torch.ones_like(even), shift)
        gain = (at_even - shift) / _normed(plain, even)
        found = plain._replace(gain=gain)
        expected = gain * _normed(found, uneven) + shift
        if (expected - at_uneven).norm() <= ALIKE * at_uneven.norm():
            return found
    raise ValueError(
        f"the final norm {type(norm).__name__} is neither a LayerNorm nor an RMS norm, so what reaches "
        "the logits directly cannot be told: choose another model"
    )


def _normed(form: NormForm, x: Tensor) -> Tensor:
    direction = form.direction(x)
    return direction / direction.square().mean().sqrt()
