"""Everything an index says of its features, as rows of the store, a range of features at a time.

`details` of a row, everything of the − pole signed (± stands for a pair of keys, "+" and "-"):

    histogram   {edges, counts, zeros, tokens}: half octaves of |z|, mirrored about 0
    quantiles   {shares, ±: values}: of |z| among the pole's firings, 0 for an empty pole
    intervals   [[low, high, firings of +, firings of −], …]: octaves of |z|, interval 0 first
    labels      {±: [[word, lift], …]}: the words of the pole's label against the corpus
    turns       {±: count}: neighbouring tokens at which the sign changes to this one
    tokens      {sampled, ±: [[token, firings, mean, lift], …]}: most activation first
    together    {sampled, features: [[feature, correlation, lift, same_sign, shared], …]}
    promoted, suppressed  [[token, logit], …]: of the + pole; the − pole's are these, negated
    logits      {reach, counts}: tokens of the vocabulary by logit, in equal bins from −reach to reach
    neighbours  {aligned, opposed: [[feature, cosine], …]}

Numbers have six digits. Knows nothing of sessions.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from models.index.details import shorten, token_logits
from models.index.indexer import POLES, Indexer
from models.index.intervals import intervals_of
from models.index.labels import Labeller
from models.index.neighbours import Neighbours, NeighbourSearch
from models.index.statistics import SHARES
from models.index.together import find_together
from models.index.token_statistics import rank_tokens
from models.language_model import LanguageModel
from server.store.index_rows import FeatureRow

LOGITS_AT_ONCE = 1 << 25  # features × vocabulary

Pairs = list[list[object]]


class FeatureFacts:
    """The features of one index; `axis_labels` names the (−, +) poles of Difference-in-Mean axes.

    An empty name leaves a pole the words of its contexts.
    """

    def __init__(
        self,
        lm: LanguageModel,
        indexer: Indexer,
        axis_labels: list[tuple[str, str]] | None = None,
    ) -> None:
        self._lm = lm
        self._indexer = indexer
        self._axis_labels = axis_labels
        self._count = indexer.sae.config.d_sae
        statistics = indexer.statistics
        self._density, self._balance = statistics.density(), statistics.pole_balance()
        self._quantiles = np.stack([statistics.quantile(share) for share in SHARES])
        self._short_quantiles = shorten(self._quantiles)
        self._consistency = statistics.consistency().kappa
        labeller = Labeller(lm.vocabulary, indexer.background)
        extremes = {pole: indexer.top["extreme", pole].result() for pole in POLES}
        self._labels = {
            pole: labeller.label_all(found.feature.astype(np.int64), found.token, self._count)
            for pole, found in extremes.items()
        }
        self._search = NeighbourSearch(indexer.sae.W_dec)
        self._together = find_together(indexer.sample, self._count)
        self._partners = np.searchsorted(self._together.feature, np.arange(self._count + 1))
        sample = indexer.sample.result()
        self._sampled = sample.tokens
        self._tokens = rank_tokens(sample, self._count, indexer.background)
        self._token_rows = np.searchsorted(self._tokens.list, np.arange(2 * self._count + 1))

    @property
    def at_once(self) -> int:
        """For how many features the logits fit into memory."""
        return max(1, min(512, LOGITS_AT_ONCE // max(1, len(self._lm.vocabulary))))

    def rows(self, features: range) -> Iterator[FeatureRow]:
        """One row per feature, the silent ones included."""
        W_dec = self._indexer.sae.W_dec
        logits = token_logits(self._lm.logit_effect(W_dec[features.start : features.stop]))
        near = None
        if self._count > 1 and self._search.is_affordable:
            near = self._search.find(features)
        parts = {
            "promoted": self._named(logits.promoted, logits.promoted_logits),
            "suppressed": self._named(logits.suppressed, logits.suppressed_logits),
            "logits": [
                {"reach": reach, "counts": counts}
                for reach, counts in zip(
                    shorten(logits.reach).tolist(), logits.counts.tolist(), strict=True
                )
            ],
            "neighbours": neighbours_of(near, len(features)),
            "tokens": self._token_lists(features),
            "together": self._partner_lists(features),
        }
        return (self._row(feature, place, parts) for place, feature in enumerate(features))

    def _row(self, feature: int, place: int, parts: Mapping[str, Sequence[object]]) -> FeatureRow:
        statistics = self._indexer.statistics
        words = {pole: [each.word for each in self._labels[pole][feature]] for pole in POLES}
        labels = {pole: ", ".join(words[pole]) for pole in POLES}
        if self._axis_labels is not None:
            given = dict(zip("-+", self._axis_labels[feature], strict=True))
            labels = {pole: given[pole] or labels[pole] for pole in POLES}
        return FeatureRow(
            feature=feature,
            label=axis_label(labels),
            label_pos=labels["+"],
            label_neg=labels["-"],
            firings_pos=int(statistics.firings[0, feature]),
            firings_neg=int(statistics.firings[1, feature]),
            density_pos=float(self._density[0, feature]),
            density_neg=float(self._density[1, feature]),
            sum_pos=float(statistics.sums[0, feature]),
            sum_neg=float(statistics.sums[1, feature]),
            max_pos=float(statistics.extremes[0, feature]),
            max_neg=float(statistics.extremes[1, feature]),
            quantile_pos=float(self._quantiles[-1, 0, feature]),
            quantile_neg=float(self._quantiles[-1, 1, feature]),
            pole_balance=_number(self._balance[feature]),
            consistency=_number(self._consistency[feature]),
            details=self._counted(feature) | {name: part[place] for name, part in parts.items()},
            tokens_pos=words["+"],
            tokens_neg=words["-"],
        )

    def _counted(self, feature: int) -> dict[str, object]:
        """What was counted of a feature: everything of `details` that its weights do not say."""
        statistics = self._indexer.statistics
        edges, counts = statistics.display_histogram(feature)
        return {
            "histogram": {
                "edges": edges,
                "counts": counts,
                "zeros": int(statistics.tokens - statistics.firings[:, feature].sum()),
                "tokens": int(statistics.tokens),
            },
            "quantiles": {
                "shares": list(SHARES),
                "+": self._short_quantiles[:, 0, feature].tolist(),
                "-": self._short_quantiles[:, 1, feature].tolist(),
            },
            "intervals": [list(each) for each in intervals_of(statistics.octaves(feature))],
            "labels": {
                pole: [[word, float(f"{lift:.6g}")] for word, lift in self._labels[pole][feature]]
                for pole in POLES
            },
            "turns": {
                "+": int(statistics.turns[0, feature]),
                "-": int(statistics.turns[1, feature]),
            },
        }

    def _named(self, token_ids: np.ndarray, logits: np.ndarray) -> list[Pairs]:
        """Per feature: [token, logit]."""
        vocabulary = self._lm.vocabulary
        return [
            [[vocabulary[token], logit] for token, logit in zip(tokens, values, strict=True)]
            for tokens, values in zip(token_ids.tolist(), shorten(logits).tolist(), strict=True)
        ]

    def _token_lists(self, features: range) -> list[dict[str, object]]:
        """Per feature and pole: [token, firings, mean, lift], the most activation first."""
        vocabulary, found = self._lm.vocabulary, self._tokens
        sides: dict[str, list[Pairs]] = {}
        for pole, first in (("+", 0), ("-", self._count)):
            bounds = self._token_rows[first + features.start : first + features.stop + 1]
            rows = slice(int(bounds[0]), int(bounds[-1]))
            names = [vocabulary[token] for token in found.token[rows].tolist()]
            columns = (found.firings[rows], shorten(found.mean[rows]), shorten(found.lift[rows]))
            sides[pole] = _split(bounds - bounds[0], names, *(each.tolist() for each in columns))
        sampled = self._sampled
        return [
            {"sampled": sampled, "+": plus, "-": minus}
            for plus, minus in zip(*sides.values(), strict=True)
        ]

    def _partner_lists(self, features: range) -> list[dict[str, object]]:
        """Per feature: [feature, correlation, lift, same_sign, shared], the most correlated first."""
        found = self._together
        bounds = self._partners[features.start : features.stop + 1]
        rows = slice(int(bounds[0]), int(bounds[-1]))
        numbers = [shorten(each[rows]) for each in (found.correlation, found.lift, found.same_sign)]
        columns = (found.partner[rows], *numbers, found.shared[rows])
        lists = _split(bounds - bounds[0], *(each.tolist() for each in columns))
        return [{"sampled": found.tokens, "features": each} for each in lists]


def _split(bounds: np.ndarray, *columns: list[object]) -> list[Pairs]:
    """Rows made of these columns, cut at these bounds."""
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [rows[start:stop] for start, stop in itertools.pairwise(bounds.tolist())]


def axis_label(labels: dict[str, str]) -> str:
    """`− label ↔ + label`; one label alone for a one-sided feature, nothing for a silent one."""
    sides = [labels[pole] for pole in ("-", "+") if labels[pole]]
    return " ↔ ".join(sides)


def neighbours_of(near: Neighbours | None, features: int) -> list[dict[str, object]]:
    """Per feature: [feature, cosine] of both sides; empty where they were not searched for."""
    if near is None:
        return [{"aligned": [], "opposed": []} for _ in range(features)]
    sides = []
    for found, cosine in ((near.aligned, near.aligned_cosine), (near.opposed, near.opposed_cosine)):
        pairs = zip(found.tolist(), shorten(cosine).tolist(), strict=True)
        sides.append([[list(pair) for pair in zip(*each, strict=True)] for each in pairs])
    return [
        {"aligned": aligned, "opposed": opposed} for aligned, opposed in zip(*sides, strict=True)
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
