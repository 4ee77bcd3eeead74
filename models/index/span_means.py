"""Mean signed codes over stretches of text, gathered in the pass that indexes them.

What `concepts.sentences.mean_activations` computes with a pass of its own, without one. Knows nothing of
what the stretches are for.
"""

from collections.abc import Sequence

import numpy as np

from models.concepts.sentences import Sentence
from models.index.blocks import WindowBlock
from models.index.firings import Firings


class SpanMeans:
    """The growing means of one SAE over these spans, whose windows are numbered as in the corpus.

    Spans must not overlap. `means` float32 [spans, d_sae] is whole once every window was added.
    """

    def __init__(self, spans: Sequence[Sentence], features: int) -> None:
        self.means = np.zeros((len(spans), features), dtype=np.float32)
        self._spans = spans
        self._length = np.array([span.stop - span.start for span in spans], dtype=np.float32)
        self._of_window: dict[int, list[int]] = {}
        for index, span in enumerate(spans):
            self._of_window.setdefault(span.window, []).append(index)

    def add_block(self, firings: Firings, block: WindowBlock) -> None:
        """Take in the codes of some windows."""
        place = np.full(block.tokens.shape, -1, dtype=np.int64)
        for row, number in enumerate(block.number.tolist()):
            for index in self._of_window.get(number, ()):
                place[row, self._spans[index].start : self._spans[index].stop] = index
        span = place[block.row_of(firings.window), firings.position]
        inside = np.flatnonzero(span >= 0)
        span = span[inside]
        cell = span * self.means.shape[1] + firings.feature[inside]
        np.add.at(self.means.reshape(-1), cell, firings.value[inside] / self._length[span])

    def flip(self, features: np.ndarray) -> None:
        """Negate the means of these features (bool [features])."""
        self.means[:, features] *= -1
