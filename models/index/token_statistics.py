"""On which tokens each pole of each feature fires, from a sample of the corpus's tokens.

Exact over the sample, which is the whole corpus where that is short. Knows nothing of strings.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix

from models.index.token_sample import SampledTokens
from models.index.top import rank_of

TOKENS = 10  # per pole


class PoleTokens(NamedTuple):
    """Rows by pole and feature, the token with the most activation (Σ|z|) first."""

    list: np.ndarray  # int64: pole · features + feature, pole 0 for +
    token: np.ndarray  # int32: its id
    firings: np.ndarray  # int64: how often the pole fires at it, in the sample
    mean: np.ndarray  # float64, signed: the mean of those firings
    lift: np.ndarray  # float64: P(token | the pole fires) / P(token)


def rank_tokens(
    sample: SampledTokens, features: int, background: np.ndarray, most: int = TOKENS
) -> PoleTokens:
    """The `most` tokens of each pole by activation mass; `background` [vocabulary] are corpus counts.

    Ties go to the lower id. P(token) is its share of the whole indexed corpus.
    """
    vocabulary = max(len(background), int(sample.token.max(initial=0)) + 1)
    owner = sample.feature.astype(np.int64) + features * (sample.value < 0)
    # A sparse matrix sums what stands in one cell without a sort of all codes: Σz and, in the
    # imaginary part, how many there are.
    cells = coo_matrix(
        (sample.value + np.complex128(1j), (owner, sample.token[sample.row])),
        shape=(2 * features, vocabulary),
    ).tocsr()
    owner = np.repeat(np.arange(2 * features), np.diff(cells.indptr))
    token, total = cells.indices.astype(np.int64), cells.data.real
    count = np.rint(cells.data.imag).astype(np.int64)
    firings = np.bincount(owner, weights=count, minlength=2 * features)
    best = np.lexsort((token, -np.abs(total), owner))
    best = best[rank_of(owner[best]) < most]
    owner, token, count, total = owner[best], token[best], count[best], total[best]
    share = np.maximum(background, 1)[token] / max(1, background.sum())
    lift = count / np.maximum(firings[owner], 1) / share
    return PoleTokens(owner, token.astype(np.int32), count, total / np.maximum(count, 1), lift)
