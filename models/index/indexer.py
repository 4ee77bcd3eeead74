"""One pass of the language model over a corpus fills the index of several SAEs at once.

Memory does not grow with the corpus; two indexers over two shards merge to the same result.
Knows nothing of databases: it hands out arrays.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from models.activations import TOKENS_PER_FORWARD
from models.corpus import Window, batch_windows, pad
from models.index.firings import Firings, Groups, group_firings, sort_firings
from models.index.statistics import Statistics
from models.index.top import Examples, TopExamples, gather_slices
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

EXAMPLES = 20
SHORTEST_FOR_MEAN = 8  # tokens: a mean over fewer says little
WINDOWS_AT_ONCE = 256
CODES_AT_ONCE = 1 << 26  # pre-activations held at once
KINDS = ("extreme", "mean")
POLES = ("+", "-")


class IndexStep(NamedTuple):
    """How far a pass has come."""

    windows: int
    tokens: int


class Indexer:
    """The growing index of one SAE: statistics and, per kind and pole, its strongest examples."""

    def __init__(self, sae: SparseAutoencoder, layer: int, examples: int = EXAMPLES) -> None:
        self.sae = sae
        self.layer = layer
        self.statistics = Statistics(sae.config.d_sae)
        self.top = {
            (kind, pole): TopExamples(sae.config.d_sae, examples)
            for kind in KINDS
            for pole in POLES
        }

    def add(self, firings: Firings, windows: dict[int, Window]) -> None:
        """Take in the codes of whole windows, keyed by their number in the corpus."""
        lengths = {number: len(window.tokens) for number, window in windows.items()}
        groups = group_firings(firings, lengths)
        self.statistics.add(firings, groups, sum(lengths.values()) - len(lengths))
        documents = {number: window.document for number, window in windows.items()}
        for (kind, pole), top in self.top.items():
            sign = 1 if pole == "+" else -1
            extreme = groups.highest if sign > 0 else groups.lowest
            position = groups.highest_position if sign > 0 else groups.lowest_position
            score = sign * (extreme if kind == "extreme" else groups.mean)
            wanted = top.wants(groups.feature, score)
            if kind == "mean":
                long = [number for number, length in lengths.items() if length > SHORTEST_FOR_MEAN]
                wanted &= np.isin(groups.window, long)
            top.add(
                _examples(
                    firings, groups, np.flatnonzero(wanted), score, position, extreme, documents
                )
            )

    def merge(self, other: "Indexer") -> None:
        """Take in the index of another shard of the same corpus."""
        self.statistics.merge(other.statistics)
        for key, top in self.top.items():
            top.merge(other.top[key])


def run_index(
    lm: LanguageModel, indexers: Sequence[Indexer], windows: Sequence[Window], first: int = 0
) -> Iterator[IndexStep]:
    """Index windows into every indexer; the first of them has number `first` in the corpus.

    Position 0 (BOS, the attention sink) is left out of every statistic.
    """
    layers = {indexer.layer for indexer in indexers}
    done = tokens = 0
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        part = windows[start : start + WINDOWS_AT_ONCE]
        for batch in batch_windows(part, TOKENS_PER_FORWARD):
            batch.sort()  # codes must come in the order of windows
            chosen = [part[index] for index in batch]
            numbers = np.array([first + start + index for index in batch])
            residuals = lm.residuals(torch.from_numpy(pad(chosen)), layers)
            for indexer in indexers:
                firings = _encode(indexer.sae, residuals[indexer.layer], chosen, numbers)
                indexer.add(firings, dict(zip(numbers.tolist(), chosen, strict=True)))
            tokens += sum(len(window.tokens) for window in chosen)
        done += len(part)
        yield IndexStep(done, tokens)


@torch.inference_mode()
def _encode(
    sae: SparseAutoencoder, residual: torch.Tensor, windows: Sequence[Window], numbers: np.ndarray
) -> Firings:
    """The non-zero codes of padded windows, position 0 and padding left out."""
    lengths = torch.tensor([len(window.tokens) for window in windows])
    places = torch.arange(residual.shape[1])[None]
    row, position = torch.nonzero((places > 0) & (places < lengths[:, None]), as_tuple=True)
    step = max(256, CODES_AT_ONCE // sae.config.d_sae)
    parts = [
        _codes(sae, residual, numbers, row[start : start + step], position[start : start + step])
        for start in range(0, len(row), step)
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return sort_firings(*columns, sae.config.d_sae)


def _codes(
    sae: SparseAutoencoder,
    residual: torch.Tensor,
    numbers: np.ndarray,
    row: torch.Tensor,
    position: torch.Tensor,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Feature, window, position and value of every code at these tokens, zeros included."""
    code = sae.encode_sparse(
        residual[row.to(residual.device), position.to(residual.device)].float()
    )
    width = code.indices.shape[1]
    return (
        code.indices.cpu().numpy().ravel(),
        np.repeat(numbers[row.numpy()], width),
        np.repeat(position.numpy(), width),
        code.values.float().cpu().numpy().ravel(),
    )


def _examples(
    firings: Firings,
    groups: Groups,
    chosen: np.ndarray,
    score: np.ndarray,
    position: np.ndarray,
    value: np.ndarray,
    documents: dict[int, int],
) -> Examples:
    window = groups.window[chosen]
    length = (groups.stop - groups.start)[chosen]
    slices = gather_slices(groups.start[chosen], length)
    return Examples(
        groups.feature[chosen],
        score[chosen],
        np.array([documents[int(number)] for number in window], dtype=np.int64),
        window,
        position[chosen],
        value[chosen],
        groups.mean[chosen],
        length,
        firings.position[slices],
        firings.value[slices],
    )
