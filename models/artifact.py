"""Files that are either whole or absent: safetensors and JSON, written beside and renamed.

Knows nothing of what the tensors mean.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary neighbour of `path`, sync it, then rename it into place.

    Raises OSError when it cannot be written, whatever wrote it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            write(temporary)
        except SafetensorError as error:  # a full disk, as safetensors says it
            raise OSError(f"{path} cannot be written ({error})") from error
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors of any shape as one safetensors file; aliases are copied apart."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(
        path, lambda target: save_file(plain, target, metadata=dict(metadata or {"format": "pt"}))
    )


def load_tensors(path: Path, device: str | torch.device = "cpu") -> dict[str, torch.Tensor]:
    """Read a safetensors file. Raises ValueError, saying what to do, when it is absent or broken."""
    if not path.is_file():
        raise ValueError(f"no file {path}: check the path, or make it again")
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}): copy or make it again"
        ) from error


def save_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda target: _write_text(target, text))


def load_json(path: Path) -> Any:
    """Read JSON. Raises ValueError, saying what to do, when it is absent or broken."""
    if not path.is_file():
        raise ValueError(f"no file {path}: check the path, or make it again")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}): copy or make it again") from error


def sha256_of(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
