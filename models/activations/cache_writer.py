"""Writing an activation cache: one pass of the language model, shard by shard, `cache.json` last.

Knows nothing of how it is read again.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.activations.cache import (
    FORMAT,
    SETTINGS,
    TYPES,
    CacheSettings,
    CacheType,
    clear_cache,
    shard_name,
)
from models.activations.forward import window_activations
from models.artifact import save_json, write_atomically
from models.corpus import Window
from models.language_model import LanguageModel

SHARD_TOKENS = 262_144
SPARE_BYTES = 64 << 20
"""What must stay free on the disk beside the cache."""


class CacheProgress(NamedTuple):
    """How many positions are on disk, of how many."""

    done: int
    total: int


def write_cache(
    folder: Path,
    lm: LanguageModel,
    layer: int,
    windows: Sequence[Window],
    fingerprint: str,
    dtype: CacheType = "float16",
) -> Iterator[CacheProgress]:
    """Read all windows once and keep their activations; whatever stood in `folder` is replaced.

    Raises ValueError before anything is written when the disk has no room for it, OSError with
    advice when it fills up meanwhile, OverflowError when an activation does not fit the dtype.
    """
    lm.check_layer(layer)
    lengths = [len(window.tokens) for window in windows]
    total = sum(lengths)
    _require_room(folder, total * (lm.d_in * TYPES[dtype].itemsize + 4))
    clear_cache(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shards = _shards(lengths)
    scale, done, first = None, 0, 0
    try:
        for number, count in enumerate(shards):
            chosen = windows[first : first + count]
            x, first = _read(lm, layer, chosen), first + count
            if scale is None:
                scale = _scale(x) if dtype == "float16" else 1.0
            _write_shard(folder, number, _rounded(x, scale, dtype), chosen)
            done += len(x)
            yield CacheProgress(done, total)
        settings = CacheSettings(
            dtype, scale or 1.0, lm.name, layer, fingerprint, lm.d_in, lengths, shards
        )
        save_json(folder / SETTINGS, {"format": FORMAT, **asdict(settings)})
    except OSError as error:
        clear_cache(folder)
        raise OSError(
            f"the activation cache could not be written to {folder} ({error.strerror or error}): "
            "free some space, or train without a cache"
        ) from error


def _shards(lengths: Sequence[int]) -> list[int]:
    """How many windows go into each shard."""
    counts: list[int] = []
    held = SHARD_TOKENS
    for length in lengths:
        if held + length > SHARD_TOKENS:
            counts.append(0)
            held = 0
        counts[-1] += 1
        held += length
    return counts


def _read(lm: LanguageModel, layer: int, windows: Sequence[Window]) -> Tensor:
    """Float32 [position, d_in] of consecutive windows, on the CPU, in their order."""
    lengths = np.array([len(window.tokens) for window in windows])
    starts = np.cumsum(lengths) - lengths
    x = torch.empty(int(lengths.sum()), lm.d_in)
    for chosen, activations in window_activations(lm, layer, windows):
        for window, row in zip(chosen, activations.float().cpu(), strict=True):
            x[starts[window] : starts[window] + lengths[window]] = row[: lengths[window]]
    return x


def _scale(x: Tensor) -> float:
    """What brings these to a root mean square of 1; 1 where they are all 0, or not finite."""
    root = float(x.square().mean().sqrt())
    return 1 / root if 0 < root < float("inf") else 1.0


def _rounded(x: Tensor, scale: float, dtype: CacheType) -> Tensor:
    stored = (x * scale).to(TYPES[dtype])
    if bool((torch.isinf(stored) & torch.isfinite(x)).any()):
        raise OverflowError(f"an activation does not fit {dtype}: cache in bfloat16 or float32")
    return stored


def _write_shard(folder: Path, number: int, stored: Tensor, windows: Sequence[Window]) -> None:
    raw = stored.view(torch.int32 if stored.dtype == torch.float32 else torch.int16).numpy()
    tokens = np.concatenate([window.tokens for window in windows]).astype("<u4")
    write_atomically(
        folder / shard_name("activations", number),
        lambda path: raw.astype(raw.dtype.newbyteorder("<")).tofile(path),
    )
    write_atomically(folder / shard_name("tokens", number), lambda path: tokens.tofile(path))


def _require_room(folder: Path, needed: int) -> None:
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + SPARE_BYTES:
        raise ValueError(
            f"the activation cache needs {needed / 1e9:.2f} GB in {folder}, but {free / 1e9:.2f} GB "
            "are free: free some space, choose a narrower dtype, or train without a cache"
        )
