"""The activations of many examples as the bytes the store keeps, all at once.

Byte for byte what `server.store.encoding.encode_activations` makes of each one alone.
"""

from typing import NamedTuple

import numpy as np

LARGEST = 0x7F7FFF80  # bits of the float32 from which rounding up would give infinity


class PackedActivations(NamedTuple):
    """The blobs of many examples, one behind the other; `ends` [examples] says where each ends."""

    whole: bytes
    ends: np.ndarray


def pack_activations(
    length: np.ndarray, offsets: np.ndarray, values: np.ndarray
) -> PackedActivations:
    """One blob per example; `length` [examples] says how many of the pairs belong to each."""
    if len(length) == 0:
        return PackedActivations(b"", np.zeros(0, dtype=np.int64))
    count = length.astype(np.int64)
    first = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(count)), count)
    widest = np.zeros(len(count), dtype=np.int64)
    np.maximum.at(widest, owner, offsets.astype(np.int64))
    width = np.where(widest < 256, 1, 2)
    sizes = np.where(count > 0, 1 + count * (width + 3), 0)
    start = np.cumsum(sizes) - sizes
    packed = np.zeros(int(sizes.sum()), dtype=np.uint8)
    packed[start[count > 0]] = width[count > 0]
    within = np.arange(len(owner)) - first[owner]
    place = start[owner] + 1 + within * width[owner]
    packed[place] = offsets & 0xFF
    is_wide = width[owner] == 2
    packed[place[is_wide] + 1] = offsets[is_wide] >> 8
    bits = values.astype("<f4").view(np.uint32)
    bits = np.where(bits & 0x7FFFFFFF < LARGEST, bits + 0x80, bits)
    place = start[owner] + 1 + (count * width)[owner] + 3 * within
    for byte in range(3):
        packed[place + byte] = (bits >> (8 * (byte + 1))) & 0xFF
    return PackedActivations(packed.tobytes(), start + sizes)
