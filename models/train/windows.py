"""Windows of text as one file, so that other processes train on exactly the ones that were chosen.

Knows nothing of where the text came from.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.artifact import load_tensors, save_tensors
from models.corpus import Window


def save_windows(path: Path, windows: Sequence[Window]) -> None:
    """Write windows as safetensors: all token ids in a row, and each window's length, document, start."""
    tokens = np.concatenate([window.tokens for window in windows]).astype(np.int32)
    places = [(len(window.tokens), window.document, window.start) for window in windows]
    save_tensors(
        path,
        {
            "tokens": torch.from_numpy(tokens),
            "places": torch.tensor(places, dtype=torch.int64).reshape(-1, 3),
        },
    )


def load_windows(path: Path) -> list[Window]:
    """Read windows as they were. Raises ValueError, saying what to do, on another file."""
    tensors = load_tensors(path)
    if set(tensors) != {"tokens", "places"}:
        raise ValueError(f"{path} holds no windows: write it with models.train.windows")
    lengths = tensors["places"][:, 0]
    pieces = tensors["tokens"].split(lengths.tolist())
    return [
        Window(document, start, piece.numpy())
        for piece, (_, document, start) in zip(pieces, tensors["places"].tolist(), strict=True)
    ]
