"""Activations on disk: a folder of raw shards, read through the memory map.

`cache.json` is written last: a cache without it is not whole. Every position is kept, sinks
included, so that any sink policy can be applied when it is read. `CachedSource` serves a stream
what the language model would. Knows nothing of batches, nor how a cache is written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from models.activations.sources import Part
from models.artifact import load_json

SETTINGS = "cache.json"
FORMAT = "dipole-activations-1"
CacheType = Literal["float32", "float16", "bfloat16"]
TYPES: dict[CacheType, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True)
class CacheSettings:
    """What a cache holds. Stored value = activation × scale, rounded to dtype.

    `scale` is 1 except in float16, where it brings the first windows to a root mean square of 1:
    sinks of some models lie beyond float16's 65,504 otherwise.
    """

    dtype: CacheType
    scale: float
    model: str
    layer: int
    fingerprint: str
    d_in: int
    lengths: list[int]
    """Tokens of each window, in the order of the windows."""
    shards: list[int]
    """Windows in each shard."""

    @property
    def tokens(self) -> int:
        """How many positions, position 0 of every window included."""
        return sum(self.lengths)


def open_cache(folder: Path) -> "ActivationCache":
    """The cache in a folder. Raises ValueError, saying what to do, when it is absent or not whole."""
    if not (folder / SETTINGS).is_file():
        raise ValueError(f"no whole activation cache in {folder} (no {SETTINGS}): write it again")
    document = load_json(folder / SETTINGS)
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise ValueError(f"{folder / SETTINGS} was not written by this version: write it again")
    try:
        settings = CacheSettings(**document)
        return ActivationCache(folder, settings)
    except TypeError as error:
        raise ValueError(
            f"{folder / SETTINGS} lacks settings ({error}): delete the folder and write it again"
        ) from error


def clear_cache(folder: Path) -> None:
    """Remove a cache, whole or not; what else is in the folder stays."""
    (folder / SETTINGS).unlink(missing_ok=True)  # first: a half-removed cache is no cache
    for pattern in ("activations-*.bin", "tokens-*.bin", ".*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


class ActivationCache:
    """A whole cache, its files mapped into memory."""

    def __init__(self, folder: Path, settings: CacheSettings) -> None:
        self.folder = folder
        self.settings = settings
        lengths = np.array(settings.lengths, dtype=np.int64)
        if int(sum(settings.shards)) != len(lengths):
            raise ValueError(f"{folder / SETTINGS} contradicts itself: write the cache again")
        self.lengths = lengths
        self._shard_of = np.repeat(np.arange(len(settings.shards)), settings.shards)
        counts = np.array(settings.shards, dtype=np.int64)
        first = np.cumsum(counts) - counts
        starts = np.cumsum(lengths) - lengths
        self._start = starts - starts[first][self._shard_of]
        rows = [int(lengths[self._shard_of == shard].sum()) for shard in range(len(first))]
        # A type of the same width that numpy knows: it has no bfloat16.
        self._raw = "<i4" if settings.dtype == "float32" else "<i2"
        self._values = [
            _map(folder / shard_name("activations", number), self._raw, count * settings.d_in)
            for number, count in enumerate(rows)
        ]
        self._tokens = [
            _map(folder / shard_name("tokens", number), "<u4", count)
            for number, count in enumerate(rows)
        ]

    def tokens(self, window: int) -> np.ndarray:
        """The token ids of one window."""
        start, end = self._span(window)
        return self._tokens[self._shard_of[window]][start:end]

    def activations(self, window: int) -> Tensor:
        """Float32 [position, d_in] of one window, the scale undone."""
        start, end = self._span(window)
        d_in = self.settings.d_in
        raw = np.array(self._values[self._shard_of[window]][start * d_in : end * d_in])
        stored = torch.from_numpy(raw).view(TYPES[self.settings.dtype]).view(-1, d_in)
        return stored.float() / self.settings.scale

    def _span(self, window: int) -> tuple[int, int]:
        return int(self._start[window]), int(self._start[window] + self.lengths[window])


class CachedSource:
    """Serves a stream from a cache, onto a device; the language model is not needed."""

    def __init__(self, cache: ActivationCache, device: str | torch.device = "cpu") -> None:
        self.cache = cache
        self.d_in = cache.settings.d_in
        self.device = torch.device(device)
        self.lengths = cache.lengths

    def read(self, windows: Sequence[int]) -> Iterator[Part]:
        """One part per window."""
        for place, window in enumerate(windows):
            yield Part([place], self.cache.activations(window).to(self.device)[None])

    def tokens(self, window: int) -> np.ndarray:
        """The token ids of one window."""
        return self.cache.tokens(window)

    def origin(self) -> dict[str, Any]:
        """The model and layer that the cache was written of, and how it was rounded."""
        settings = self.cache.settings
        return {
            "model": settings.model,
            "layer": settings.layer,
            "dtype": settings.dtype,
            "fingerprint": settings.fingerprint,
        }


def _map(path: Path, dtype: str, count: int) -> np.ndarray:
    wanted = count * np.dtype(dtype).itemsize
    size = path.stat().st_size if path.is_file() else None
    if size != wanted:
        found = "is missing" if size is None else f"has {size:,} of {wanted:,} bytes"
        raise ValueError(f"{path} {found}: delete {path.parent} and write the cache again")
    return np.memmap(path, dtype=dtype, mode="r", shape=(count,))


def shard_name(kind: str, number: int) -> str:
    """The file of one shard's activations or tokens."""
    return f"{kind}-{number:05d}.bin"
