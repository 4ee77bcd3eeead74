"""A synthetic SAE of any width: features and examples that weigh what real ones do, made fast.

Knows the store's rows and writers; no clock. The same numbers every time.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from server.store.corpora import SequenceRow, add_sequences, create_corpus
from server.store.encoding import encode_activations
from server.store.example_lists import HEAD, ExampleList
from server.store.index_rows import EXTREME, FeatureRow
from server.store.language_models import upsert_model
from server.store.saes import create_sae
from server.store.session import Database
from server.worker.example_rows import PLAIN

EXAMPLES, CONTEXT, WORDS = 20, 256, 30_000
AT_ONCE = 512  # features a transaction, as the index writes them


class Synthetic:
    """Features and examples that weigh what real ones weigh; the same ones every time."""

    def __init__(self, windows: int) -> None:
        self.random = np.random.default_rng(0)
        self.windows = windows
        letters = list("etaoinshrdlcumwfgypbvk")
        sizes = self.random.integers(2, 10, WORDS)
        self.words = ["".join(self.random.choice(letters, size)) for size in sizes]
        # Labels repeat some words often and most seldom, as tokens do.
        weights = 1 / np.arange(10, WORDS + 10) ** 0.8
        self.cumulated = np.cumsum(weights / weights.sum())
        self.blobs = [self._blob() for _ in range(4_096)]
        self.pairs = np.array([max(0, len(blob) - 1) // 4 for blob in self.blobs])
        self.details = [self._details() for _ in range(256)]

    def vocabulary(self) -> list[str]:
        """The strings of the tokens."""
        return [f" {word}" for word in self.words]

    def sequences(self) -> Iterator[SequenceRow]:
        """The windows of the text."""
        for window in range(self.windows):
            tokens = self.random.integers(0, WORDS, CONTEXT).tolist()
            yield SequenceRow.of(window, window // 4, window % 4 * CONTEXT, tokens)

    def features(self, features: range) -> list[FeatureRow]:
        """Rows of these features."""
        count = len(features)
        labels = np.searchsorted(self.cumulated, self.random.random((count, 10))).tolist()
        numbers = self.random.random((count, 6)).tolist()
        return [self._feature(*entry) for entry in zip(features, labels, numbers, strict=True)]

    def lists(self, features: range) -> list[ExampleList]:
        """Twenty examples of each pole of these features, packed as the indexer packs them."""
        count = len(features) * 2 * EXAMPLES
        blobs = self.random.integers(0, len(self.blobs), count)
        heads = np.zeros(count, dtype=PLAIN)
        sign = np.tile(np.repeat(np.float32([1, -1]), EXAMPLES), len(features))
        heads["seq"] = self.random.integers(0, self.windows, count)
        heads["position"] = self.random.integers(0, CONTEXT, count)
        heads["value"] = sign * self.random.random(count).astype(np.float32)
        heads["mean"] = heads["value"] / CONTEXT
        heads["count"] = self.pairs[blobs]
        whole, chosen, size = heads.tobytes(), blobs.tolist(), EXAMPLES * PLAIN.itemsize
        lists = []
        for at in range(2 * len(features)):
            behind = b"".join(self.blobs[n] for n in chosen[at * EXAMPLES : (at + 1) * EXAMPLES])
            packed = HEAD.pack(EXAMPLES) + whole[at * size : (at + 1) * size] + behind
            lists.append(ExampleList(features[at // 2], EXTREME, at % 2, packed))
        return lists

    def _feature(self, feature: int, labels: list[int], numbers: list[float]) -> FeatureRow:
        plus, minus = ([self.words[word] for word in half] for half in (labels[:5], labels[5:]))
        density_pos, density_neg = numbers[0] ** 4 / 100, numbers[1] ** 4 / 100
        return FeatureRow(
            feature=feature,
            label=f"{', '.join(minus[:3])} ↔ {', '.join(plus[:3])}",
            label_pos=", ".join(plus[:3]),
            label_neg=", ".join(minus[:3]),
            firings_pos=int(density_pos * 1e6),
            firings_neg=int(density_neg * 1e6),
            density_pos=density_pos,
            density_neg=density_neg,
            sum_pos=density_pos * 2e6,
            sum_neg=-density_neg * 2e6,
            max_pos=numbers[2] * 8,
            max_neg=-numbers[3] * 8,
            quantile_pos=numbers[2] * 7,
            quantile_neg=-numbers[3] * 7,
            pole_balance=(density_pos - density_neg) / (density_pos + density_neg),
            opposition=None if numbers[4] < 0.1 else numbers[4] * 2 - 1,
            consistency=numbers[5],
            details=self.details[feature % len(self.details)],
            tokens_pos=plus,
            tokens_neg=minus,
        )

    def _blob(self) -> bytes:
        """Six activations on average in one window."""
        count = int(self.random.geometric(1 / 6))
        places = np.sort(self.random.choice(CONTEXT, min(count, 60), replace=False)).tolist()
        return encode_activations((place, float(self.random.normal())) for place in places)

    def _details(self) -> dict[str, Any]:
        def pairs(names: list[Any], low: float, high: float) -> list[list[Any]]:
            return [[name, round(float(self.random.uniform(low, high)), 6)] for name in names]

        def tokens() -> list[str]:
            return [f" {self.words[word]}" for word in self.random.integers(0, WORDS, 10)]

        edges = [2.0 ** (step / 2) for step in range(-4, 6)]
        return {
            "histogram": {
                "edges": [*(-edge for edge in edges[::-1]), *edges],
                "counts": self.random.integers(0, 5_000, 2 * len(edges) - 1).tolist(),
                "zeros": 990_000,
                "tokens": 1_000_000,
            },
            "promoted": pairs(tokens(), 0, 1),
            "suppressed": pairs(tokens(), -1, 0),
            "neighbours": {
                "aligned": pairs(self.random.integers(0, AT_ONCE, 8).tolist(), 0.1, 0.3),
                "opposed": pairs(self.random.integers(0, AT_ONCE, 8).tolist(), -0.3, -0.1),
            },
        }


def prepare(database: Database, synthetic: Synthetic, features: int) -> tuple[int, int]:
    """A model, its text, and an SAE without an index; the ids of the latter two."""
    with database.write() as session:
        model = upsert_model(
            session, name="synthetic", source="benchmark", family="none", d_in=1, layers=1,
            parameters=1, vocabulary=synthetic.vocabulary(), bos_token_id=None, is_demo=False,
        )  # fmt: skip
        corpus = create_corpus(
            session, name="synthetic", source="benchmark", model_id=model, fingerprint="0" * 64,
            windows=synthetic.windows, tokens=synthetic.windows * CONTEXT, context=CONTEXT,
            bos_policy="none",
        )  # fmt: skip
        sae = create_sae(
            session, name="synthetic", model_id=model, layer=0, hook="resid_post",
            sparsifier="abstopk", d_in=1, d_sae=features, k=1, path="", sha256="", config={},
        )  # fmt: skip
        add_sequences(session, corpus, synthetic.sequences())
    return corpus, sae
