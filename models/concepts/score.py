"""Is one latent an axis? Chosen on some documents, scored on others, beside a matched null.

A sentence belongs to side A of a concept if it holds a word of A and none of B. The null repeats
choice and scoring with sets of unrelated words of the same frequencies: two-sided latents whose
poles are strangers pass for axes there, so a concept counts only above it (docs/opposition.md).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.concepts.word_sets import load_word_sets, token_sets

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


class Question(NamedTuple):
    """A concept put to a text: its two sides (one row), and those of the null (a row per draw)."""

    concept: str
    sides: Sides
    null: Sides


def ask_concepts(
    vocabulary: Sequence[str], held: Tensor, document: np.ndarray, seed: int = 0
) -> list[Question]:
    """Every built-in concept of which the text holds enough sentences; the same for all SAEs.

    held bool [sentences, vocabulary]: which tokens a sentence holds; document [sentences].
    """
    tokens = {
        item.name: (token_sets(vocabulary, item.a), token_sets(vocabulary, item.b))
        for item in load_word_sets()
    }
    barred = sorted({token for pair in tokens.values() for side in pair for token in side})
    counts = held.sum(0).numpy()
    asked = [
        _ask(name, held, counts, document, a, b, barred, seed) for name, (a, b) in tokens.items()
    ]
    return [question for question in asked if question is not None]


def ask(
    concept: str,
    held: Tensor,
    document: np.ndarray,
    side_a: Sequence[int],
    side_b: Sequence[int],
    barred: Sequence[int],
    seed: int = 0,
) -> Question | None:
    """One concept by its tokens; None when the text holds too few of its sentences.

    Tokens in `barred` (those of all concepts) do not enter the null's word sets.
    """
    return _ask(concept, held, held.sum(0).numpy(), document, side_a, side_b, barred, seed)


def _ask(
    concept: str,
    held: Tensor,
    counts: np.ndarray,
    document: np.ndarray,
    side_a: Sequence[int],
    side_b: Sequence[int],
    barred: Sequence[int],
    seed: int,
) -> Question | None:
    """The same, with how many sentences hold each token."""
    sides = _sides(held, [side_a], [side_b])
    if not _has_enough(sides, document)[0]:
        return None
    random = np.random.default_rng(seed)
    free = np.setdiff1d(np.flatnonzero(counts > 0), np.array(list(barred)))
    free = free[np.argsort(counts[free], kind="stable")]
    near = [_near(counts, free, side) for side in (side_a, side_b)]
    drawn_a = [_drawn(random, near[0]) for _ in range(DRAWS)]
    drawn_b = [sorted({*_drawn(random, near[1])} - {*drawn}) for drawn in drawn_a]
    null = _sides(held, drawn_a, drawn_b)
    enough = _has_enough(null, document)
    return Question(concept, sides, Sides(null.a[enough], null.b[enough]))


def answer(
    questions: Sequence[Question], means: np.ndarray, document: np.ndarray
) -> list[ConceptScore]:
    """For each, choose the best latent on the even documents and score it on the odd ones, with its null.

    means float32 [sentences, d_sae]: mean signed activations.
    """
    signs = Signs(means, document)
    return [_answer(question, signs, means, document) for question in questions]


def _answer(
    question: Question, signs: "Signs", means: np.ndarray, document: np.ndarray
) -> ConceptScore:
    choice = signs.choose_and_score(question.sides)
    feature, sign, both = int(choice.feature[0]), int(choice.sign[0]), float(choice.both_signs[0])
    test = torch.from_numpy(document % 2 == 1)
    masks = [(side[0].bool() & test).numpy() for side in question.sides]
    null = np.zeros(0)
    if len(question.null.a):
        null = signs.choose_and_score(question.null).both_signs
    return ConceptScore(
        question.concept,
        feature,
        sign,
        _auc(sign * means[:, feature], *masks),
        both,
        float(np.quantile(null, 0.95)) if len(null) else float("nan"),
        float((np.sum(null >= both) + 1) / (len(null) + 1)),
        sum(int(mask.sum()) for mask in masks),
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
        self._rows = [torch.from_numpy(np.flatnonzero(document % 2 == half)) for half in (0, 1)]
        self._positive = [(values[rows] > 0).float() for rows in self._rows]
        self._negative = [(values[rows] < 0).float() for rows in self._rows]

    def both_signs(self, sides: Sides, split: int) -> Tensor:
        """min over sides of the share with the right sign: [draws, 2 orientations, d_sae]."""
        a, b = self._shares(sides, split)
        positive, negative = self._positive[split], self._negative[split]
        forward = torch.minimum(a @ positive, b @ negative)
        backward = torch.minimum(a @ negative, b @ positive)
        return torch.stack([forward, backward], dim=1)

    def choose_and_score(self, sides: Sides) -> Choice:
        """Choose latent and orientation on the even documents; the figure is that on the odd ones."""
        train = self.both_signs(sides, 0)
        best = train.flatten(1).argmax(1)
        orientation, feature = best // train.shape[2], best % train.shape[2]
        a, b = self._shares(sides, 1)
        positive, negative = (half[1][:, feature].T for half in (self._positive, self._negative))
        turned = orientation[:, None].bool()
        of_a = (a * torch.where(turned, negative, positive)).sum(-1)
        of_b = (b * torch.where(turned, positive, negative)).sum(-1)
        sign = (1 - 2 * orientation).numpy()
        return Choice(feature.numpy(), sign, torch.minimum(of_a, of_b).numpy())

    def _shares(self, sides: Sides, split: int) -> tuple[Tensor, Tensor]:
        """Each side's sentences of this split, weighted so that a row sums to 1: [draws, sentences]."""
        a, b = (side[:, self._rows[split]] for side in sides)
        return a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)


def _sides(held: Tensor, side_a: Sequence[Sequence[int]], side_b: Sequence[Sequence[int]]) -> Sides:
    """One row per draw: sentences with a word of one side and none of the other."""
    has_a, has_b = (_has_any(held, side) for side in (side_a, side_b))
    return Sides((has_a & ~has_b).float(), (has_b & ~has_a).float())


def _has_any(held: Tensor, draws: Sequence[Sequence[int]]) -> Tensor:
    """Which sentences hold any token of each draw: bool [draws, sentences]."""
    wanted = torch.zeros(len(draws), held.shape[1])
    for row, tokens in zip(wanted, draws, strict=True):
        row[list(tokens)] = 1
    used = wanted.any(0)
    return wanted[:, used] @ held[:, used].T.float() > 0


def _has_enough(sides: Sides, document: np.ndarray) -> Tensor:
    """Per draw, whether both sides have LEAST sentences in both splits: bool [draws]."""
    splits = [torch.from_numpy(document % 2 == half).float() for half in (0, 1)]
    return (torch.stack([side @ split for side in sides for split in splits]) >= LEAST).all(0)


def _near(counts: np.ndarray, free: np.ndarray, words: Sequence[int]) -> list[np.ndarray]:
    """For each word that occurs, the 10 free tokens nearest to it in frequency; `free` is sorted by it."""
    ranked = counts[free]
    near = []
    for word in words:
        if counts[word] > 0:
            place = int(np.searchsorted(ranked, counts[word]))
            low = max(0, min(place - 5, len(free) - 10))
            near.append(free[low : low + 10])
    return near


def _drawn(random: np.random.Generator, near: list[np.ndarray]) -> list[int]:
    """One token from each of these."""
    return sorted({int(choices[random.integers(len(choices))]) for choices in near})


def _auc(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """P(value of A > value of B), ties half (Mann–Whitney)."""
    first, second = values[a], np.sort(values[b])
    below = np.searchsorted(second, first, side="left")
    upto = np.searchsorted(second, first, side="right")
    return float((below + upto).sum() / 2 / (len(first) * len(second)))
