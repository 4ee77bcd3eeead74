"""One pass of the language model over a corpus fills the index of several SAEs at once.

Memory depends on the width of the SAE, not on the length of the corpus; two indexers over two shards
merge to the same result, in any order. Knows nothing of databases: it hands out arrays.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from models.activations import TOKENS_PER_FORWARD
from models.corpus import Window, batch_windows, pad
from models.heap import give_back
from models.index.blocks import WindowBlock
from models.index.encode import encode_block
from models.index.firings import Firings, Groups, group_firings
from models.index.intervals import IntervalSamples
from models.index.span_means import SpanMeans
from models.index.statistics import Statistics
from models.index.token_sample import TokenSample
from models.index.top import Examples, TopExamples, swap_poles
from models.index.turns import TURNS, find_turns
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

EXAMPLES = 20
SHORTEST_FOR_MEAN = 8  # tokens: a mean over fewer says little
WINDOWS_AT_ONCE = 256
KINDS = ("extreme", "mean")
POLES = ("+", "-")


class IndexStep(NamedTuple):
    """How far a pass has come."""

    windows: int
    tokens: int


class Indexer:
    """The growing index of one SAE: statistics, the strongest examples of each pole, and samples.

    `top[kind, pole]` are its strongest examples, `turns[pole]` those where the sign changes to this
    pole, `intervals` a sample per activation interval, `sample` whole tokens with all their codes,
    `background` int64 [vocabulary so far] how often each token was indexed.
    """

    def __init__(self, sae: SparseAutoencoder, layer: int, examples: int = EXAMPLES) -> None:
        features = sae.config.d_sae
        self.sae = sae
        self.layer = layer
        self.statistics = Statistics(features)
        self.top = {
            (kind, pole): TopExamples(features, examples) for kind in KINDS for pole in POLES
        }
        self.turns = {pole: TopExamples(features, TURNS) for pole in POLES}
        self.intervals = IntervalSamples(features)
        self.sample = TokenSample(features)
        self.background = np.zeros(0, dtype=np.int64)

    def add(self, firings: Firings, windows: Mapping[int, Window]) -> None:
        """Take in the codes of whole windows, keyed by their number in the corpus."""
        self.add_block(firings, WindowBlock.of(windows))

    def add_block(self, firings: Firings, block: WindowBlock) -> None:
        """Take in the codes of the windows of a block."""
        groups = group_firings(firings, block)
        self.statistics.add(firings, groups, block.indexed_tokens)
        self._count_tokens(np.bincount(block.tokens[block.is_indexed()]))
        self._add_extremes(firings, groups, block)
        self._add_turns(firings, groups, block)
        hashes = block.hashes()
        place = block.row_of(firings.window) * block.tokens.shape[1] + firings.position
        self.intervals.add(firings, groups, block, hashes.reshape(-1)[place])
        self.sample.add(firings, block, place, hashes)

    def merge(self, other: "Indexer") -> None:
        """Take in the index of another shard of the same corpus."""
        self.statistics.merge(other.statistics)
        self._count_tokens(other.background)
        for name, top in self.lists().items():
            top.merge(other.lists()[name])
        self.sample.merge(other.sample)

    def flip(self, features: np.ndarray) -> None:
        """Turn these features (bool [features]) round, in the SAE and in everything indexed so far.

        Exactly what indexing the turned SAE would have given. Raises ValueError for a one-sided SAE.
        """
        self.sae.flip(torch.from_numpy(features))
        self.statistics.flip(features)
        for kind in KINDS:
            swap_poles(self.top[kind, "+"], self.top[kind, "-"], features)
        swap_poles(self.turns["+"], self.turns["-"], features)
        self.intervals.flip(features)
        self.sample.flip(features)

    def lists(self) -> dict[str, TopExamples]:
        """Every list of examples by a name of its own."""
        lists = {f"{kind}{pole}": top for (kind, pole), top in self.top.items()}
        lists |= {f"turn{pole}": top for pole, top in self.turns.items()}
        return lists | {f"interval{pole}": top for pole, top in self.intervals.top.items()}

    def _count_tokens(self, counts: np.ndarray) -> None:
        longer, shorter = sorted((self.background, counts), key=len, reverse=True)
        self.background = longer.copy()
        self.background[: len(shorter)] += shorter

    def _add_extremes(self, firings: Firings, groups: Groups, block: WindowBlock) -> None:
        is_long = block.length[groups.row] > SHORTEST_FOR_MEAN
        for (kind, pole), top in self.top.items():
            is_plus = pole == "+"
            value = groups.highest if is_plus else groups.lowest
            position = groups.highest_position if is_plus else groups.lowest_position
            score = value if kind == "extreme" else groups.mean
            score = score if is_plus else -score
            wanted = top.wants(groups.feature, score)
            if kind == "mean":
                wanted &= is_long
            chosen = np.flatnonzero(wanted)
            top.add(
                Examples.at(
                    firings,
                    groups,
                    block,
                    chosen,
                    position[chosen],
                    value[chosen],
                    score[chosen],
                )
            )

    def _add_turns(self, firings: Firings, groups: Groups, block: WindowBlock) -> None:
        found = find_turns(firings, groups)
        value = firings.value[found.place]
        feature = firings.feature[found.place]
        for pole, (name, top) in enumerate(self.turns.items()):
            arrives = value > 0 if name == "+" else value < 0
            self.statistics.add_turns(pole, feature[arrives])
            chosen = np.flatnonzero(arrives & top.wants(feature, found.size))
            position = firings.position[found.place[chosen]]
            top.add(
                Examples.at(
                    firings,
                    groups,
                    block,
                    found.group[chosen],
                    position,
                    value[chosen],
                    found.size[chosen],
                )
            )


def run_index(
    lm: LanguageModel,
    indexers: Sequence[Indexer],
    windows: Sequence[Window],
    first: int = 0,
    means: Mapping[int, SpanMeans] | None = None,
) -> Iterator[IndexStep]:
    """Index windows into every indexer; the first of them has number `first` in the corpus.

    `means`, by the place of an indexer, are filled on the way.
    """
    layers = {indexer.layer for indexer in indexers}
    done = tokens = 0
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        part = list(windows[start : start + WINDOWS_AT_ONCE])
        for batch in batch_windows(part, TOKENS_PER_FORWARD):
            block = WindowBlock.of({first + start + index: part[index] for index in batch})
            batch.sort()  # as the block's rows
            residuals = lm.residuals(torch.from_numpy(pad([part[i] for i in batch])), layers)
            for place, indexer in enumerate(indexers):
                firings = encode_block(indexer.sae, residuals[indexer.layer], block)
                indexer.add_block(firings, block)
                if means and place in means:
                    means[place].add_block(firings, block)
            tokens += int(block.length.sum())
        done += len(part)
        give_back()  # else memory grows with the corpus: 1 GB in three million tokens
        yield IndexStep(done, tokens)
