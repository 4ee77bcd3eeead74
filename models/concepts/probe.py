"""Two lists of texts put to an SAE: the best single signed feature, the best pair of one-sided ones, DiM.

Everything is chosen on the train texts only and scored on the held-out ones, with a bootstrap
interval. A text's score is its mean signed activation (or projection) behind position 0.
Source: science §4. Knows nothing of steering or storage.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.activations import window_activations
from models.corpus import Window
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

DRAWS = 1_000
CANDIDATES = 32
"""How many features of each side are tried in pairs."""
FEWEST = 4


class Auc(NamedTuple):
    """P(score of A > score of B) on held-out texts, with its 95 % bootstrap interval over texts."""

    value: float
    low: float
    high: float
    texts: int


class Single(NamedTuple):
    """One signed feature. `sign` +1: its + pole is side A. `both_signs`: see concepts.score."""

    feature: int
    sign: int
    train_auc: float
    auc: Auc
    both_signs: float


class Pair(NamedTuple):
    """Two one-sided features, one per side: score = activation of `a` − activation of `b`.

    `pole_a` and `pole_b`: which pole was used of each, "+" wherever the SAE is one-sided.
    """

    a: int
    pole_a: str
    b: int
    pole_b: str
    train_auc: float
    auc: Auc


class Direction(NamedTuple):
    """Difference-in-Mean: a unit vector of the residual stream, A positive."""

    direction: Float[Tensor, "d_in"]
    train_auc: float
    auc: Auc


class Probe(NamedTuple):
    """The three answers; `null_95`: held-out AUC of the single feature with sides drawn at random."""

    single: Single
    pair: Pair
    dim: Direction
    null_95: float


class Texts(NamedTuple):
    """Means of every text: codes [texts, d_sae], hidden [texts, d_in], and its side and split."""

    codes: np.ndarray
    hidden: Tensor
    is_a: np.ndarray
    is_train: np.ndarray


@torch.inference_mode()
def read_texts(
    lm: LanguageModel,
    sae: SparseAutoencoder | None,
    layer: int,
    a: Sequence[str],
    b: Sequence[str],
    train_share: float = 0.5,
    is_train: Sequence[bool] | None = None,
) -> Texts:
    """Mean codes and residuals of the texts of both sides; no codes without an SAE.

    Without `is_train` (A's flags, then B's) the first `train_share` of each side trains. Raises
    ValueError when a side has fewer than 2 × FEWEST texts, or a text no token.
    """
    for name, side in (("A", a), ("B", b)):
        if len(side) < 2 * FEWEST:
            raise ValueError(
                f"side {name} has {len(side)} texts, but at least {2 * FEWEST} are needed, to choose on "
                "half of them and score on the other"
            )
    windows = [_window(lm, place, text) for place, text in enumerate([*a, *b])]
    codes = np.zeros((len(windows), sae.config.d_sae if sae else 0), dtype=np.float32)
    hidden = torch.zeros(len(windows), lm.d_in)
    for batch, residual in window_activations(lm, layer, windows):
        for row, place in enumerate(batch):
            length = len(windows[place].tokens)
            x = residual[row, 1:length].float()
            hidden[place] = x.mean(0).cpu()
            if sae is not None:
                tokens = torch.from_numpy(windows[place].tokens[1:].astype(np.int64)).to(x.device)
                codes[place] = sae.encode(x, tokens).mean(0).cpu().numpy()
    sides = np.array([True] * len(a) + [False] * len(b))
    if is_train is None:
        split = [place < train_share * len(side) for side in (a, b) for place in range(len(side))]
    else:
        split = list(is_train)
    return Texts(codes, hidden, sides, np.array(split))


def probe(texts: Texts, is_signed: bool, seed: int = 0) -> Probe:
    """Choose on train, score on the rest. Raises ValueError when a split lacks a side."""
    train, test = _splits(texts)
    random = np.random.default_rng(seed)
    ranks = _ranks(texts.codes[train])
    single = _single(texts, ranks, test, texts.is_a, random)
    null = [
        _single(texts, ranks, test, _shuffled(texts, random), random, draws=0).auc.value
        for _ in range(100)
    ]
    pair = _pair(texts, train, test, is_signed, random)
    direction = _direction(texts, train, test, np.random.default_rng(seed))
    return Probe(single, pair, direction, float(np.quantile(null, 0.95)))


def difference_in_mean(texts: Texts, seed: int = 0) -> Direction:
    """The direction of `probe` by itself. Raises ValueError when the sides do not differ at all."""
    train, test = _splits(texts)
    found = _direction(texts, train, test, np.random.default_rng(seed))
    if not float(found.direction.norm()) > 0:
        raise ValueError("both sides have the same mean activation: give two lists that differ")
    return found


def aucs(scores: np.ndarray, is_a: np.ndarray) -> np.ndarray:
    """P(A > B) + ½ P(A = B) of every column of scores [texts, n]."""
    return _aucs_of(_ranks(scores), is_a)


def _splits(texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """The train texts and the held-out ones."""
    train, test = texts.is_train, ~texts.is_train
    for name, chosen in (("train", train), ("test", test)):
        counts = (texts.is_a & chosen).sum(), (~texts.is_a & chosen).sum()
        if min(counts) < 2:
            raise ValueError(
                f"the {name} split has {counts[0]} texts of A and {counts[1]} of B: two of each are needed"
            )
    return train, test


def _aucs_of(ranks: np.ndarray, is_a: np.ndarray) -> np.ndarray:
    count_a, count_b = int(is_a.sum()), int((~is_a).sum())
    return (ranks[is_a].sum(0) - count_a * (count_a + 1) / 2) / (count_a * count_b)


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Mean ranks from 1 of every column, ties shared."""
    order = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(scores, order, 0)
    first = np.ones(ordered.shape, dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    place = np.arange(1, len(scores) + 1)[:, None]
    start = np.maximum.accumulate(np.where(first, place, 0), axis=0)
    last = np.ones(ordered.shape, dtype=bool)
    last[:-1] = first[1:]
    stop = np.minimum.accumulate(np.where(last, place, len(scores) + 1)[::-1], axis=0)[::-1]
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, (start + stop) / 2, 0)
    return ranks


def _single(
    texts: Texts,
    ranks: np.ndarray,
    test: np.ndarray,
    is_a: np.ndarray,
    random: np.random.Generator,
    draws: int = DRAWS,
) -> Single:
    """The feature whose train AUC is furthest from ½; ties go to the lower number.

    `ranks` are those of the train codes, whichever side a text is on.
    """
    found = _aucs_of(ranks, is_a[texts.is_train])
    feature = int(np.abs(found - 0.5).argmax())
    sign = 1 if found[feature] >= 0.5 else -1
    score = sign * texts.codes[:, feature]
    on_a, on_b = score[test & is_a], score[test & ~is_a]
    return Single(
        feature,
        sign,
        float(0.5 + abs(found[feature] - 0.5)),
        _auc(score[test], is_a[test], random, draws),
        float(min((on_a > 0).mean(), (on_b < 0).mean())),
    )


def _pair(
    texts: Texts, train: np.ndarray, test: np.ndarray, is_signed: bool, random: np.random.Generator
) -> Pair:
    """The best difference of two one-sided activations, among the best features of each side."""
    positive = np.maximum(texts.codes, 0)
    parts = [positive, np.maximum(-texts.codes, 0)] if is_signed else [positive]
    codes = np.concatenate(parts, axis=1)
    width = texts.codes.shape[1]
    found = aucs(codes[train], texts.is_a[train])
    for_a = np.argsort(-found, kind="stable")[:CANDIDATES]
    for_b = np.argsort(found, kind="stable")[:CANDIDATES]
    difference = codes[:, for_a][:, :, None] - codes[:, for_b][:, None, :]
    scored = aucs(difference[train].reshape(int(train.sum()), -1), texts.is_a[train])
    best = int(scored.argmax())
    a, b = int(for_a[best // len(for_b)]), int(for_b[best % len(for_b)])
    score = codes[:, a] - codes[:, b]
    return Pair(
        a % width,
        "+" if a < width else "-",
        b % width,
        "+" if b < width else "-",
        float(scored[best]),
        _auc(score[test], texts.is_a[test], random, DRAWS),
    )


def _direction(
    texts: Texts, train: np.ndarray, test: np.ndarray, random: np.random.Generator
) -> Direction:
    """v = mean(h | A) − mean(h | B) on the train texts, unit norm."""
    a, b = (texts.hidden[torch.from_numpy(train & side)] for side in (texts.is_a, ~texts.is_a))
    direction = torch.nn.functional.normalize(a.mean(0) - b.mean(0), dim=0)
    score = (texts.hidden @ direction).numpy()
    return Direction(
        direction,
        float(aucs(score[train, None], texts.is_a[train])[0]),
        _auc(score[test], texts.is_a[test], random, DRAWS),
    )


def _auc(scores: np.ndarray, is_a: np.ndarray, random: np.random.Generator, draws: int) -> Auc:
    """The AUC with a percentile interval: texts of each side drawn again with replacement."""
    value = float(aucs(scores[:, None], is_a)[0])
    if draws == 0:
        return Auc(value, value, value, len(scores))
    a, b = scores[is_a], scores[~is_a]
    drawn_a = random.integers(0, len(a), (len(a), draws))
    drawn_b = random.integers(0, len(b), (len(b), draws))
    sides = np.array([True] * len(a) + [False] * len(b))
    again = aucs(np.concatenate([a[drawn_a], b[drawn_b]]), sides)
    low, high = np.quantile(again, [0.025, 0.975])
    return Auc(value, float(low), float(high), len(scores))


def _shuffled(texts: Texts, random: np.random.Generator) -> np.ndarray:
    """Sides drawn at random within each split."""
    is_a = texts.is_a.copy()
    for chosen in (texts.is_train, ~texts.is_train):
        is_a[chosen] = random.permutation(is_a[chosen])
    return is_a


def _window(lm: LanguageModel, place: int, text: str) -> Window:
    ids = lm.tokenize(text)[: lm.context]
    if len(ids) < 2:
        raise ValueError(f"the text {text[:40]!r} yields no token: leave it out")
    return Window(place, 0, np.array(ids, dtype=np.int32))
