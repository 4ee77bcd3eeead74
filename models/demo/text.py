"""Story files for the demo model: plain or gzipped text, stories ended by a line `<|endoftext|>`.

Knows nothing of tokens except how to pack them.
"""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerFast

from models.demo.tokenizer import END_OF_TEXT

OPEN_WINDOWS = 64


def read_stories(path: Path) -> list[str]:
    """All stories of one file, stripped, the empty ones left out."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        stories = [story.strip() for story in file.read().split(END_OF_TEXT)]
    return [story for story in stories if story]


def encode_stories(tokenizer: PreTrainedTokenizerFast, stories: Sequence[str]) -> list[np.ndarray]:
    """Token ids of each story, begun and ended by the end-of-text piece."""
    end = [tokenizer.convert_tokens_to_ids(END_OF_TEXT)]
    encoded = tokenizer.backend_tokenizer.encode_batch(list(stories), add_special_tokens=False)
    return [np.array(end + item.ids + end, dtype=np.uint16) for item in encoded]


def pack(stories: Sequence[np.ndarray], context: int, seed: int) -> np.ndarray:
    """Pack shuffled stories into windows, each story whole where it fits.

    Returns int32 [windows, context + 1], padded with -1. A window always starts at the start of
    a story, so that the model sees the same openings in training as in use.
    """
    order = np.random.default_rng(seed).permutation(len(stories))
    size = context + 1
    windows = list(_fill(stories, order, size))
    packed = np.full((len(windows), size), -1, dtype=np.int32)
    for row, window in zip(packed, windows, strict=True):
        tokens = np.concatenate(window)
        row[: len(tokens)] = tokens
    return packed[np.random.default_rng(seed + 1).permutation(len(packed))]


def _fill(
    stories: Sequence[np.ndarray], order: np.ndarray, size: int
) -> Iterator[list[np.ndarray]]:
    """First-fit over a few open windows; a story longer than a window is cut into windows."""
    opened: list[tuple[int, list[np.ndarray]]] = []
    for index in order:
        story = stories[index]
        pieces = [story[start : start + size] for start in range(0, len(story), size)]
        for piece in pieces:
            fit = next((slot for slot, (left, _) in enumerate(opened) if left >= len(piece)), None)
            if fit is None:
                if len(opened) == OPEN_WINDOWS:
                    fullest = min(range(OPEN_WINDOWS), key=lambda slot: opened[slot][0])
                    yield opened.pop(fullest)[1]
                opened.append((size - len(piece), [piece]))
            else:
                left, window = opened[fit]
                opened[fit] = (left - len(piece), [*window, piece])
    yield from (window for _, window in opened)
