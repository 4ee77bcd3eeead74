"""An SAE on disk: a folder with `cfg.json` and `sae.safetensors`, nothing else.

Weights and buffers (evaluation threshold, token means) are float32; a field that a file does not have
takes its default, so that older folders load; one that is not known is refused. Knows nothing of foreign formats or databases.
"""

import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import torch

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.sae.autoencoder import SparseAutoencoder
from models.sae.config import SAEConfig

WEIGHTS = "sae.safetensors"
SETTINGS = "cfg.json"
UNUSED = ("W_var", "b_var")  # written by early vSAEs that had a learnt σ and never drew by it


def save_sae(directory: Path, sae: SparseAutoencoder, about: dict[str, Any]) -> None:
    """Write weights and settings; `about` (model, layer, training, measures) stands beside them."""
    save_tensors(directory / WEIGHTS, dict(sae.state_dict()))
    save_json(
        directory / SETTINGS, {"format": "dipole-sae-1", "sae": asdict(sae.config), "about": about}
    )


def load_sae(directory: Path, device: str = "cpu") -> SparseAutoencoder:
    """Read an SAE in float32, ready for evaluation. Raises ValueError on a wrong or broken folder."""
    config = read_config(directory)
    sae = SparseAutoencoder(config)
    expected = {name: tensor.shape for name, tensor in sae.state_dict().items()}
    tensors = {
        name: tensor.float()
        for name, tensor in load_tensors(directory / WEIGHTS).items()
        if name in expected or name not in UNUSED
    }
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        raise ValueError(
            f"{directory / WEIGHTS} holds {_shapes(found)}, but {SETTINGS} describes {_shapes(expected)}"
        )
    if broken := [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(
            f"{directory / WEIGHTS} holds infinities or NaN in {', '.join(broken)}: "
            "copy or train the SAE again"
        )
    sae.load_state_dict(tensors)
    return sae.to(device).eval().requires_grad_(False)


def read_config(directory: Path) -> SAEConfig:
    """The settings of a saved SAE. Raises ValueError on those that are missing, wrong or not known."""
    given, path = _read(directory)["sae"], directory / SETTINGS
    known = {field.name: field.default for field in fields(SAEConfig)}
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(
            f"{path} has settings that this version does not know ({', '.join(unknown)}): was it "
            "written by a newer Dipole? update this one"
        )
    missing = [name for name, usual in known.items() if usual is MISSING and name not in given]
    if missing:
        raise ValueError(f"{path} lacks {' and '.join(missing)}: copy or train the SAE again")
    try:
        return SAEConfig(**given)
    except ValueError as error:
        raise ValueError(f"{path} describes no SAE: {error}") from error


def read_about(directory: Path) -> dict[str, Any]:
    """What was recorded beside the settings: model, layer, training, measures."""
    return _read(directory)["about"]


def _read(directory: Path) -> dict[str, Any]:
    if not (directory / SETTINGS).is_file():
        raise ValueError(
            f"no SAE in {directory} (no {SETTINGS}): check the path, or run `dipole train` first"
        )
    document = load_json(directory / SETTINGS)
    if not isinstance(document, dict) or document.get("format") != "dipole-sae-1":
        raise ValueError(
            f"{directory / SETTINGS} was not written by Dipole: only its own format can be read yet"
        )
    if not isinstance(document.get("sae"), dict) or not isinstance(document.get("about"), dict):
        raise ValueError(f"{directory / SETTINGS} lacks its settings: copy or train the SAE again")
    try:
        json.dumps(document, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"{directory / SETTINGS} holds a number that is not finite: copy or train the SAE again"
        ) from error
    return document


def _shapes(tensors: dict[str, Any]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(tensors.items()))
