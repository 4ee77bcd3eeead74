"""Is one latent an axis? Chosen on some documents, scored on others, beside a matched null.

A sentence belongs to side A of a concept if it holds a word of A and none of B. The null repeats
choice and scoring with sets of unrelated words of the same frequencies: two-sided latents whose
poles are strangers pass for axes there, so a concept counts only above it (docs/opposition.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAST = 25  # sentences per side and split
DRAWS = 200


class ConceptScore(NamedTuple):
    """The single best latent for one concept, and how it does on documents it was not chosen on.

    `both_signs` = min(P(mean > 0 | A), P(mean < 0 | B)) after orientation by `sign` (+1: A is the
    + pole). `null_95` is the 95th percentile of the same figure over word sets drawn at random,
    `p_value` the share of draws at least as good, `pairs` the held-out sentences scored.
    """

    concept: str
    feature: int
    sign: int
    auc: float
    both_signs: float
    null_95: float
    p_value: float
    pairs: int


class Sides(NamedTuple):
    """Which sentences stand on which side: float32 [draws, sentences] indicators, disjoint."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class WordSets:
    """A concept's two sides by the words that mark them, as they stand in `words.json`."""

    name: str
    side_a: str
    side_b: str
    a: tuple[str, ...]
    b: tuple[str, ...]


@cache
def load_word_sets() -> tuple[WordSets, ...]:
    """The built-in concepts, by words."""
    raw = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
    return tuple(
        WordSets(name, sides["side_a"], sides["side_b"], tuple(sides["a"]), tuple(sides["b"]))
        for name, sides in raw.items()
    )


def score_concepts(
    vocabulary: Sequence[str], means: np.ndarray, held: Tensor, document: np.ndarray, seed: int = 0
) -> list[ConceptScore]:
    """Score every built-in concept of which the text holds enough sentences."""
    sets = load_word_sets()
    tokens = {
        item.name: (token_sets(vocabulary, item.a), token_sets(vocabulary, item.b)) for item in sets
    }
    barred = sorted({token for pair in tokens.values() for side in pair for token in side})
    scores = [
        score_concept(name, means, held, document, a, b, barred, seed)
        for name, (a, b) in tokens.items()
    ]
    return [score for score in scores if score is not None]


def token_sets(vocabulary: Sequence[str], words: Sequence[str]) -> list[int]:
    """The token ids that spell one of the words, with or without a space, capital or not."""
    wanted = {word.casefold() for word in words}
    return [index for index, text in enumerate(vocabulary) if text.strip().casefold() in wanted]


def score_concept(
    name: str,
    means: np.ndarray,
    held: Tensor,
    document: np.ndarray,
    side_a: Sequence[int],
    side_b: Sequence[int],
    barred: Sequence[int],
    seed: int = 0,
) -> ConceptScore | None:
    """Score one concept; None when the text holds too few of its sentences.

    means [sentences, d_sae]; held bool [sentences, vocabulary]; even documents choose, odd ones
    score. Words in `barred` (those of all concepts) do not enter the null's word sets.
    """
    signs = Signs(means, document)
    sides = _sides(held, [side_a], [side_b])
    if not signs.has_enough(sides)[0]:
        return None
    choice = signs.choose_and_score(sides)
    feature, sign, both = int(choice.feature[0]), int(choice.sign[0]), float(choice.both_signs[0])
    test = torch.from_numpy(document % 2 == 1)
    side_masks = [(side[0].bool() & test).numpy() for side in sides]
    auc = _auc(sign * means[:, feature], *side_masks)
    null = _null(signs, held, side_a, side_b, barred, seed)
    return ConceptScore(
        name,
        feature,
        sign,
        auc,
        both,
        float(np.quantile(null, 0.95)) if len(null) else float("nan"),
        float((np.sum(null >= both) + 1) / (len(null) + 1)),
        sum(int(mask.sum()) for mask in side_masks),
    )


class Choice(NamedTuple):
    """Per draw: the latent, its orientation, and its figure on the documents it was not chosen on."""

    feature: np.ndarray
    sign: np.ndarray
    both_signs: np.ndarray


class Signs:
    """The signs of mean activations, ready to be counted for any two sets of sentences."""

    def __init__(self, means: np.ndarray, document: np.ndarray) -> None:
        values = torch.from_numpy(means)
        self.positive = (values > 0).float()
        self.negative = (values < 0).float()
        self.splits = [torch.from_numpy(document % 2 == half).float() for half in (0, 1)]

    def has_enough(self, sides: Sides) -> np.ndarray:
        """Per draw, whether both sides have LEAST sentences in both splits: bool [draws]."""
        counts = torch.stack([(side * split).sum(-1) for side in sides for split in self.splits])
        return (counts >= LEAST).all(0).numpy()

    def both_signs(self, sides: Sides, split: int) -> Tensor:
        """min over sides of the share with the right sign: [draws, 2 orientations, d_sae]."""
        a, b = (side * self.splits[split] for side in sides)
        a, b = a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)
        forward = torch.minimum(a @ self.positive, b @ self.negative)
        backward = torch.minimum(a @ self.negative, b @ self.positive)
        return torch.stack([forward, backward], dim=1)

    def choose_and_score(self, sides: Sides) -> Choice:
        """Choose latent and orientation on the even documents; the figure is that on the odd ones."""
        train = self.both_signs(sides, 0)
        best = train.flatten(1).argmax(1)
        test = self.both_signs(sides, 1).flatten(1).gather(1, best[:, None])[:, 0]
        orientation, feature = best // train.shape[2], best % train.shape[2]
        return Choice(feature.numpy(), (1 - 2 * orientation).numpy(), test.numpy())


def _sides(held: Tensor, side_a: Sequence[Sequence[int]], side_b: Sequence[Sequence[int]]) -> Sides:
    """One row per draw: sentences with a word of one side and none of the other."""
    has_a, has_b = (
        torch.stack([held[:, list(words)].any(1) for words in side]) for side in (side_a, side_b)
    )
    return Sides((has_a & ~has_b).float(), (has_b & ~has_a).float())


def _null(
    signs: Signs,
    held: Tensor,
    side_a: Sequence[int],
    side_b: Sequence[int],
    barred: Sequence[int],
    seed: int,
) -> np.ndarray:
    """The held-out figure for DRAWS pairs of unrelated word sets, matched word by word in frequency."""
    random = np.random.default_rng(seed)
    counts = held.sum(0).numpy()
    free = np.setdiff1d(np.flatnonzero(counts > 0), np.array(list(barred)))
    free = free[np.argsort(counts[free], kind="stable")]
    drawn_a = [_matched(random, counts, free, side_a) for _ in range(DRAWS)]
    drawn_b = [np.setdiff1d(_matched(random, counts, free, side_b), drawn) for drawn in drawn_a]
    sides = _sides(held, drawn_a, drawn_b)
    enough = torch.from_numpy(signs.has_enough(sides))
    if not enough.any():
        return np.zeros(0)
    return signs.choose_and_score(Sides(sides.a[enough], sides.b[enough])).both_signs


def _matched(
    random: np.random.Generator, counts: np.ndarray, free: np.ndarray, words: Sequence[int]
) -> np.ndarray:
    """For each word one of the 10 free tokens nearest to it in frequency."""
    chosen = []
    for word in words:
        if counts[word] == 0:
            continue
        place = int(np.searchsorted(counts[free], counts[word]))
        low = max(0, min(place - 5, len(free) - 10))
        chosen.append(int(random.choice(free[low : low + 10])))
    return np.unique(chosen)


def _auc(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """P(value of A > value of B), ties half (Mann–Whitney)."""
    first, second = values[a], np.sort(values[b])
    below = np.searchsorted(second, first, side="left")
    upto = np.searchsorted(second, first, side="right")
    return float((below + upto).sum() / 2 / (len(first) * len(second)))
