"""The tensors that steering by some edits takes, as one safetensors file for use without Dipole.

`add` and `project` take a direction; `clamp` and `scale` also what tells the code of one latent.
Knows edits and SAEs as they are loaded, their signs included; nothing of scripts or HTTP.
"""

import json
from typing import Any

from safetensors.torch import save
from torch import Tensor

from models.sae import SparseAutoencoder
from server.protocol import Edit
from server.protocol.effects import WeightsRequest
from server.worker.shelf import Shelf

READS_CODE = ("clamp", "scale")


def weights(shelf: Shelf, request: WeightsRequest) -> bytes:
    """A safetensors file: tensors `0.direction`, `0.W_enc` …, settings per edit in its metadata.

    Raises ValueError on an unknown SAE or a feature out of range.
    """
    tensors: dict[str, Tensor] = {}
    settings = []
    for place, edit in enumerate(request.edits):
        record, sae = shelf.sae(edit.sae)
        if edit.feature >= sae.config.d_sae:
            raise ValueError(
                f"feature {edit.feature} is out of range: {record.name} has 0 to {sae.config.d_sae - 1}"
            )
        parts = {"direction": sae.W_dec[edit.feature], **_encoder(sae, edit)}
        tensors |= {f"{place}.{name}": part.contiguous().cpu() for name, part in parts.items()}
        settings.append({"sae": record.name, "layer": record.layer, **_settings(sae, edit)})
    return save(tensors, {"edits": json.dumps(settings)})


def _encoder(sae: SparseAutoencoder, edit: Edit) -> dict[str, Tensor]:
    """What tells z_i: the whole encoder where latents are ranked, one column where they are not."""
    if edit.operation not in READS_CODE:
        return {}
    chosen = slice(None) if _is_ranked(sae) else slice(edit.feature, edit.feature + 1)
    parts = {"W_enc": sae.W_enc[:, chosen], "b_enc": sae.b_enc[chosen], "b_dec": sae.b_dec}
    if sae.config.token_bias:
        parts["token_means"] = sae.token_means
    return parts


def _settings(sae: SparseAutoencoder, edit: Edit) -> dict[str, Any]:
    config = sae.config
    found: dict[str, Any] = {"feature": edit.feature, "input_scale": config.input_scale}
    if edit.operation in READS_CODE:
        found |= {
            "sparsifier": config.sparsifier,
            "signed": config.is_signed,
            "k": config.k if _is_ranked(sae) else None,
            "threshold": _threshold(sae, edit.feature),
        }
    return found


def _threshold(sae: SparseAutoencoder, feature: int) -> float:
    """λ of the shrinking sparsifiers, θ of the others that have one, else 0."""
    if hasattr(sae, "log_threshold"):
        return float(sae.log_threshold[feature].exp())
    if sae.config.is_batched:
        return float(sae.threshold)
    return sae.config.threshold


def _is_ranked(sae: SparseAutoencoder) -> bool:
    return sae.config.is_k_sparse and not sae.config.is_batched
