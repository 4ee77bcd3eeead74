"""Names for the poles of features, without any language model: their distinctive words.

A word is what the tokens at the extremes of a pole's contexts look like, space and capitals aside;
those that are most over-represented against the corpus make the label. Knows nothing of databases.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

LABEL_WORDS = 3


class LabelWord(NamedTuple):
    """A word of a label; `lift` is P(word | an extreme of the pole) / P(word in the corpus)."""

    word: str
    lift: float


class Labeller:
    """Names poles by their tokens; `background` [vocabulary] are corpus counts."""

    def __init__(self, vocabulary: Sequence[str], background: np.ndarray) -> None:
        self._vocabulary = vocabulary
        self._background = background

    def label(self, token_ids: Sequence[int]) -> tuple[LabelWord, ...]:
        """The label of one pole; () for an empty one."""
        ids = np.array(token_ids, dtype=np.int64)
        return self.label_all(np.zeros_like(ids), ids, 1)[0]

    def label_all(
        self, pole: np.ndarray, token_ids: np.ndarray, poles: int
    ) -> list[tuple[LabelWord, ...]]:
        """Up to LABEL_WORDS words for each of `poles` poles, by count × log (1 + lift).

        `pole` int [n] says to which of them each token belongs. Ties go by the alphabet.
        """
        labels: list[tuple[LabelWord, ...]] = [()] * poles
        if len(token_ids) == 0:
            return labels
        used, place = np.unique(token_ids, return_inverse=True)
        names = [visible(self._vocabulary[token]) for token in used.tolist()]
        words = sorted(set(names))
        number = {word: at for at, word in enumerate(words)}
        word_of = np.array([number[name] for name in names], dtype=np.int64)
        key, count = np.unique(pole * len(words) + word_of[place], return_counts=True)
        owner, word = np.divmod(key, len(words))
        common = self._common(pole, place, used, word_of, key)
        share = np.maximum(common, 1) / max(1, int(self._background.sum()))
        lift = count / np.bincount(pole, minlength=poles)[owner] / share
        weight = count * np.log1p(np.maximum(lift, 1.0))
        order = np.lexsort((word, -weight, owner))
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order], side="left")
        best = order[rank < LABEL_WORDS]
        for at, each, raised in zip(
            owner[best].tolist(), word[best].tolist(), lift[best].tolist(), strict=True
        ):
            labels[at] += (LabelWord(words[each], raised),)
        return labels

    def _common(
        self,
        pole: np.ndarray,
        place: np.ndarray,
        used: np.ndarray,
        word_of: np.ndarray,
        key: np.ndarray,
    ) -> np.ndarray:
        """How often the corpus has the tokens of each (pole, word), those that the pole shows."""
        known = np.zeros(len(used), dtype=np.int64)
        counted = used < len(self._background)
        known[counted] = self._background[used[counted]]
        shown, token = np.divmod(np.unique(pole * len(used) + place), len(used))
        word = np.searchsorted(key, shown * (word_of.max() + 1) + word_of[token])
        return np.bincount(word, weights=known[token], minlength=len(key))


@lru_cache(maxsize=1 << 18)
def visible(token: str) -> str:
    """A token as a word in a label: no outer space, lower case, line ends and blanks as signs."""
    word = token.strip().casefold()
    return word or token.replace("\n", "↵").replace(" ", "␣") or "∅"
