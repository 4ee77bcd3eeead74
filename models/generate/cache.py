"""The keys and values of a batch whose rows come and go: joined, selected, cut.

Rows of unlike length are padded on the left; the mask says which columns count. Knows
transformers' DynamicCache and nothing of tokens.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 64
"""Columns allocated at once, so that a new token is written and not the whole cache copied."""


class BatchCache:
    """A DynamicCache with a mask [rows, columns], True where a column holds a token of the row."""

    def __init__(self, cache: DynamicCache, mask: Bool[Tensor, "rows columns"]) -> None:
        self.cache = cache
        self.lengths: Tensor = mask.sum(1)
        self.is_full = bool(mask.all())
        """Whether every column counts in every row: then the model needs no mask."""
        self._mask = mask

    @property
    def mask(self) -> Bool[Tensor, "rows columns"]:
        """Which columns count; brought up to date only when somebody looks."""
        missing = self.cache.get_seq_length() - self._mask.shape[1]
        if missing:
            self._mask = torch.nn.functional.pad(self._mask, (0, missing), value=True)
        return self._mask

    def next_mask(self) -> Bool[Tensor, "rows columns"] | None:
        """The mask for a pass that reads one more token per row; None where all columns count."""
        return None if self.is_full else torch.nn.functional.pad(self.mask, (0, 1), value=True)

    def join(self, other: "BatchCache") -> "BatchCache":
        """Both batches as one, this one's rows first."""
        width = max(self.mask.shape[1], other.mask.shape[1])
        parts = [(part, width - part.mask.shape[1]) for part in (self, other)]
        both = zip(*(_layers_of(part.cache) for part in (self, other)), strict=True)
        layers = [
            tuple(
                torch.cat(
                    [_pad(tensor, gap, 2) for tensor, (_, gap) in zip(pair, parts, strict=True)]
                )
                for pair in zip(*layer, strict=True)
            )
            for layer in both
        ]
        masks = [_pad(part.mask, gap, 1) for part, gap in parts]
        return BatchCache(_cache_of(layers), torch.cat(masks))

    def select(self, rows: Sequence[int]) -> "BatchCache":
        """Only these rows, without the columns that none of them uses."""
        chosen = torch.tensor(list(rows), device=self.mask.device)
        mask = self.mask[chosen]
        first = int(mask.any(0).long().argmax())
        layers = [
            (keys[chosen, :, first:], values[chosen, :, first:])
            for keys, values in _layers_of(self.cache)
        ]
        return BatchCache(_cache_of(layers), mask[:, first:])

    def extend(self) -> Int[Tensor, "rows 1"]:
        """Take note of the token that every row is about to read; returns its position."""
        positions = self.lengths[:, None]
        self.lengths = self.lengths + 1
        return positions


class GrowingLayer(DynamicLayer):
    """A cache layer whose keys and values [rows, heads, columns, width] are views of roomier tensors."""

    _room: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new columns behind those there are; copies only when the room is used up."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return key_states, value_states
        assert isinstance(self.keys, Tensor)
        assert isinstance(self.values, Tensor)
        start = self.keys.shape[-2]
        end = start + key_states.shape[-2]
        if self._room is None or end > self._room[0].shape[-2]:
            self._room = _roomier(self.keys, end), _roomier(self.values, end)
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, start:end] = new
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values


def new_cache() -> DynamicCache:
    """An empty cache that keeps every token.

    Not made from the model's config: layers with a sliding window would drop columns that rows
    of unlike length still need; the model's own mask keeps to the window.
    """
    cache = DynamicCache()
    cache.layer_class_to_replicate = GrowingLayer
    return cache


def _layers_of(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of every layer. Raises ValueError on layers that keep something else."""
    pairs = [
        (getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in cache.layers
    ]
    found = [
        (keys, values)
        for keys, values in pairs
        if isinstance(keys, Tensor) and isinstance(values, Tensor)
    ]
    if len(found) != len(pairs):
        raise ValueError(
            "this model has layers without keys and values: its rows cannot be written together"
        )
    return found


def _cache_of(layers: Sequence[tuple[Tensor, ...]]) -> DynamicCache:
    cache = new_cache()
    for place, (keys, values) in enumerate(layers):
        cache.update(keys, values, place)
    return cache


def _roomier(tensor: Tensor, columns: int) -> Tensor:
    """The same behind which there is room; at least that many columns."""
    rows, heads, filled, width = tensor.shape
    room = tensor.new_empty(rows, heads, max(columns, filled) + max(ROOM, filled // 2), width)
    room[:, :, :filled] = tensor
    return room


def _pad(tensor: Tensor, columns: int, dim: int) -> Tensor:
    """Zeros (False) before the first column."""
    if columns == 0:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = columns
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)
