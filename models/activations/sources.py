"""Where activations come from: a language model at work; see `models.activations.cache` for a disk.

A source is asked for whole windows and answers in any order. Knows nothing of shuffling.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.activations.forward import window_activations
from models.corpus import Window
from models.language_model import LanguageModel
from models.weights_mark import weights_mark


class Part(NamedTuple):
    """Some of the windows asked for: their places in the question, and padded activations."""

    places: Sequence[int]
    activations: Float[Tensor, "window position d_in"]


class Source(Protocol):
    """Activations by window."""

    d_in: int
    device: torch.device
    lengths: np.ndarray
    """Tokens of each window, position 0 included: int64 [windows]."""

    def read(self, windows: Sequence[int]) -> Iterator[Part]:
        """The activations of these windows, each once, in any order."""
        ...

    def tokens(self, window: int) -> np.ndarray:
        """The token ids of one window."""
        ...

    def origin(self) -> dict[str, Any]:
        """What computed the activations: names and values of JSON, alike where they are alike."""
        ...


class LiveSource:
    """Runs the language model for every question."""

    def __init__(self, lm: LanguageModel, layer: int, windows: Sequence[Window]) -> None:
        lm.check_layer(layer)
        self.lm = lm
        self.layer = layer
        self.windows = windows
        self.d_in = lm.d_in
        self.device = lm.device
        self.lengths = np.array([len(window.tokens) for window in windows], dtype=np.int64)

    def read(self, windows: Sequence[int]) -> Iterator[Part]:
        """One part per forward pass, windows of similar length together."""
        chosen = [self.windows[window] for window in windows]
        for places, activations in window_activations(self.lm, self.layer, chosen):
            yield Part(places, activations)

    def tokens(self, window: int) -> np.ndarray:
        """The token ids of one window."""
        return self.windows[window].tokens

    def origin(self) -> dict[str, Any]:
        """The model, by name and weights, and the layer."""
        return {
            "model": self.lm.name,
            "layer": self.layer,
            "dtype": "float32",  # as a stream serves them
            "weights": weights_mark(self.lm.model),
        }
