"""What a feature's dashboard says beyond its examples: logits, neighbours, labels of the poles.

Labels are the words at the extreme tokens of a pole's contexts that are most over-represented
against the corpus; no language model is asked. Knows nothing of databases.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.index.top import Examples, gather_slices

LOGITS = 10
NEIGHBOURS = 8
LABEL_WORDS = 3


class TokenLogits(NamedTuple):
    """Per feature: the tokens that its + pole promotes and suppresses most (− negates both)."""

    promoted: np.ndarray  # int64 [features, LOGITS]
    promoted_logits: np.ndarray  # float32
    suppressed: np.ndarray
    suppressed_logits: np.ndarray


class Neighbours(NamedTuple):
    """Per feature: other features by cosine of decoder rows, most aligned and most opposed."""

    aligned: np.ndarray  # int64 [features, n]
    aligned_cosine: np.ndarray
    opposed: np.ndarray
    opposed_cosine: np.ndarray


def token_logits(effect: Float[Tensor, "features vocabulary"]) -> TokenLogits:
    """The extremes of each row of a logit effect."""
    count = min(LOGITS, effect.shape[1])
    high, low = effect.topk(count, dim=-1), effect.topk(count, dim=-1, largest=False)
    return TokenLogits(
        high.indices.cpu().numpy(),
        high.values.float().cpu().numpy(),
        low.indices.cpu().numpy(),
        low.values.float().cpu().numpy(),
    )


@torch.inference_mode()
def find_neighbours(W_dec: Float[Tensor, "d_sae d_in"], features: Sequence[int]) -> Neighbours:
    """Neighbours of `features` among all latents, the feature itself left out."""
    unit = torch.nn.functional.normalize(W_dec.float(), dim=-1)
    chosen = torch.tensor(list(features), device=unit.device)
    cosine = unit[chosen] @ unit.T
    count = min(NEIGHBOURS, unit.shape[0] - 1)
    rows = torch.arange(len(chosen), device=unit.device)
    cosine[rows, chosen] = -2.0
    aligned = cosine.topk(count, dim=-1)
    cosine[rows, chosen] = 2.0
    opposed = cosine.topk(count, dim=-1, largest=False)
    arrays = (aligned.indices, aligned.values, opposed.indices, opposed.values)
    return Neighbours(*(array.cpu().numpy() for array in arrays))


def extreme_tokens(examples: Examples, tokens: Sequence[np.ndarray], first: int = 0) -> np.ndarray:
    """The token id at each example's extreme position; `tokens[w - first]` are window w's."""
    return np.array(
        [
            tokens[w - first][p]
            for w, p in zip(examples.window.tolist(), examples.position.tolist(), strict=True)
        ],
        dtype=np.int64,
    )


def label_pole(
    token_ids: Sequence[int], vocabulary: Sequence[str], background: np.ndarray
) -> tuple[str, ...]:
    """Up to LABEL_WORDS words of a pole, by count × log lift over the corpus; () for an empty pole.

    `background` [vocabulary] are corpus counts. Words that differ in space or capital count as one.
    """
    total = background.sum()
    counts: Counter[str] = Counter()
    common: Counter[str] = Counter()
    for token_id in token_ids:
        word = visible(vocabulary[token_id])
        counts[word] += 1
    for token_id in set(token_ids):
        common[visible(vocabulary[token_id])] += int(background[token_id])

    def weight(word: str) -> float:
        lift = counts[word] / len(token_ids) / max(common[word] / total, 1 / total)
        return counts[word] * math.log(max(lift, 1.0) + 1)

    return tuple(sorted(counts, key=lambda word: (-weight(word), word))[:LABEL_WORDS])


def visible(token: str) -> str:
    """A token as a word in a label: no outer space, lower case, line ends and blanks as signs."""
    word = token.strip().casefold()
    return word or token.replace("\n", "↵").replace(" ", "␣") or "∅"


def slice_of(examples: Examples, features: int) -> list[slice]:
    """Where each feature's rows stand in `examples`."""
    edges = np.searchsorted(examples.feature, np.arange(features + 1))
    return [slice(int(start), int(stop)) for start, stop in itertools.pairwise(edges)]


def firings_of(examples: Examples, row: int, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions and signed values of all firings in one example's window."""
    chosen = gather_slices(starts[row : row + 1], examples.length[row : row + 1])
    return examples.offsets[chosen], examples.values[chosen]
