"""Residual activations of windows, as the language model gives them: padded, in its own dtype.

Knows nothing of shuffling, sinks or SAEs.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from models.corpus import Window, batch_windows, pad
from models.language_model import LanguageModel

TOKENS_PER_FORWARD = 8_192


def window_activations(
    lm: LanguageModel, layer: int, windows: Sequence[Window]
) -> Iterator[tuple[list[int], Float[Tensor, "batch position d_in"]]]:
    """The residual stream of windows, batch by batch: positions in `windows`, padded activations."""
    for batch in batch_windows(windows, TOKENS_PER_FORWARD):
        ids = torch.from_numpy(pad([windows[index] for index in batch]))
        yield batch, lm.residual(ids, layer)
