"""Residual activations of a text as shuffled training batches.

Runs the language model, leaves out the attention-sink position, shuffles in a bounded buffer.
Knows nothing of SAEs.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.corpus import Window, batch_windows, pad
from models.language_model import LanguageModel

TOKENS_PER_FORWARD = 8_192
BUFFER = 131_072  # activations


def window_activations(
    lm: LanguageModel, layer: int, windows: Sequence[Window]
) -> Iterator[tuple[list[int], Float[Tensor, "batch position d_in"]]]:
    """The residual stream of windows, batch by batch: positions in `windows`, padded activations."""
    for batch in batch_windows(windows, TOKENS_PER_FORWARD):
        ids = torch.from_numpy(pad([windows[index] for index in batch]))
        yield batch, lm.residual(ids, layer)


def training_batches(
    lm: LanguageModel, layer: int, windows: Sequence[Window], batch: int, tokens: int, seed: int
) -> Iterator[Float[Tensor, "batch d_in"]]:
    """Batches of residual activations until `tokens` are served; the text is repeated as needed.

    Position 0 (BOS or its stand-in, the attention sink) is left out. Every batch is drawn from a
    buffer of up to BUFFER activations, refilled when half empty; the order depends on the seed alone.
    """
    if not windows:
        raise ValueError("the text yields no window of two tokens or more: give a longer text")
    random = np.random.default_rng(seed)
    source = _forever(lm, layer, windows, random)
    held: Tensor | None = None
    served = 0
    size = max(2 * batch, min(BUFFER, tokens))
    while served < tokens:
        if held is None or len(held) < max(batch, size // 2):
            held = _refill(held, source, size, random)
        serving = min(batch, tokens - served)
        yield held[:serving]
        held = held[serving:]
        served += serving


def _refill(
    held: Tensor | None, source: Iterator[Tensor], size: int, random: np.random.Generator
) -> Tensor:
    parts = [] if held is None else [held]
    count = sum(map(len, parts))
    while count < size:
        part = next(source)
        parts.append(part)
        count += len(part)
    joined = torch.cat(parts)
    return joined[torch.from_numpy(random.permutation(len(joined)))]


def _forever(
    lm: LanguageModel, layer: int, windows: Sequence[Window], random: np.random.Generator
) -> Iterator[Tensor]:
    """Activations of all windows, in a new order at each pass, position 0 and padding left out."""
    while True:
        order = random.permutation(len(windows))
        for start in range(0, len(order), 512):
            part = [windows[index] for index in order[start : start + 512]]
            for chosen, activations in window_activations(lm, layer, part):
                lengths = torch.tensor(
                    [len(part[index].tokens) for index in chosen], device=activations.device
                )
                places = torch.arange(activations.shape[1], device=activations.device)
                kept = (places[None] < lengths[:, None]) & (places[None] > 0)
                yield activations[kept].float()
