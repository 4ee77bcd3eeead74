"""One change of the residual stream along one latent, as science §5 defines it.

Knows nothing of rows, tokens to come or requests.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.sae import SparseAutoencoder

Operation = Literal["add", "clamp", "scale", "project"]
Pole = Literal["both", "+", "-"]
NEUTRAL: dict[Operation, float | None] = {"add": 0.0, "scale": 1.0, "clamp": None, "project": None}
"""The strength at which an operation is exactly the unsteered model; None: there is none."""


@dataclass(frozen=True)
class Edit:
    """An operation on one latent of an SAE at the residual stream after block `layer`.

    `strength` is in the latent's own (scaled) units: c·d_i / input_scale in the residual stream.
    `pole`: scale only, acts only where the code has that sign.
    """

    sae: SparseAutoencoder
    layer: int
    feature: int
    operation: Operation
    strength: float
    pole: Pole = "both"

    def __post_init__(self) -> None:
        if not 0 <= self.feature < self.sae.config.d_sae:
            raise ValueError(
                f"feature {self.feature} is out of range: the SAE has 0 to {self.sae.config.d_sae - 1}"
            )
        if self.operation not in NEUTRAL:
            raise ValueError(
                f"operation {self.operation!r} is unknown: choose one of {', '.join(NEUTRAL)}"
            )
        if self.pole != "both" and self.operation != "scale":
            raise ValueError(
                f"pole {self.pole!r} has no meaning for operation {self.operation!r}: only scale acts on one pole"
            )

    @property
    def is_neutral(self) -> bool:
        """Whether this leaves the model exactly as it is."""
        return self.strength == NEUTRAL[self.operation]

    @property
    def direction(self) -> Float[Tensor, "d_in"]:
        """The latent's decoder row d_i."""
        return self.sae.W_dec[self.feature]

    @property
    def shift(self) -> Float[Tensor, "d_in"]:
        """What `add` adds to the residual stream: c·d_i / input_scale."""
        return self.strength * self.direction / self.sae.config.input_scale


def apply_edit(
    hidden: Float[Tensor, "rows position d_in"],
    edit: Edit,
    tokens: Int[Tensor, "rows position"] | None = None,
) -> Float[Tensor, "rows position d_in"]:
    """h with one edit at every position; a neutral edit returns `hidden` itself.

    add: h + c·d. clamp: h + (c − z)·d, so that the error x − x̂ is kept. scale: h + (c − 1)·z·d,
    on one pole if so asked. project: h − (h·d)d/‖d‖² + c·d. With d in units of the residual stream.
    clamp and scale read the code: an SAE with a token bias needs `tokens` for them (ValueError).
    """
    if edit.is_neutral:
        return hidden
    direction = edit.direction.to(hidden)
    scale = edit.sae.config.input_scale
    match edit.operation:
        case "add":
            return hidden + edit.shift.to(hidden)
        case "project":
            # Imported rows need not be of unit norm: the projection is divided by ‖d‖².
            size = direction.square().sum()
            change = edit.strength / scale - (hidden @ direction)[..., None] / size
            return hidden + change * direction
        case "clamp":
            change = edit.strength - read_code(edit.sae, edit.feature, hidden, tokens)
        case "scale":
            change = (edit.strength - 1) * _of_pole(
                read_code(edit.sae, edit.feature, hidden, tokens), edit.pole
            )
    return hidden + change * direction / scale


def read_code(
    sae: SparseAutoencoder,
    feature: int,
    hidden: Float[Tensor, "rows position d_in"],
    tokens: Int[Tensor, "rows position"] | None = None,
) -> Float[Tensor, "rows position 1"]:
    """One latent's signed code at every position."""
    flat = hidden.reshape(-1, hidden.shape[-1]).float()
    code = sae.encode_sparse(flat, None if tokens is None else tokens.flatten())
    value = (code.values * (code.indices == feature)).sum(-1)
    return value.reshape(*hidden.shape[:-1], 1).to(hidden.dtype)


def _of_pole(code: Tensor, pole: Pole) -> Tensor:
    if pole == "both":
        return code
    return torch.relu(code) if pole == "+" else -torch.relu(-code)
