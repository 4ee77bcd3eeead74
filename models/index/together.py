"""Features that fire together, from a sample of the corpus's tokens, with the signs they then have.

Counts are exact over the sample; which tokens it holds depends on a hash alone. For a pair (i, j) of
n_i and n_j firings on N tokens, n_ij of them shared:

    correlation = (N n_ij − n_i n_j) / √(n_i (N − n_i) n_j (N − n_j))      (φ of firing or not)
    lift        = N n_ij / (n_i n_j)
    same_sign   = shared firings in which both have the same sign / n_ij

Knows nothing of decoder rows: features may fire together without being aligned.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from models.index.token_sample import SampledTokens, TokenSample, at_level
from models.index.top import rank_of

PARTNERS = 8  # per feature
LEAST = 3  # shared firings
FIRINGS_EACH = 256  # per feature on average: more say little more
FEWEST_FIRINGS = 1 << 19  # that are used in any case
MOST_PAIRS = 1 << 25
MOST_TOKENS = (1 << 16) - 1  # so that four counts fit into 64 bits
PAIRS_AT_ONCE = 1 << 21
EVERY_SECOND = np.uint64(0x0000FFFF0000FFFF)


class Together(NamedTuple):
    """Rows by feature, the most correlated partner first; only partners above chance."""

    tokens: int  # how many were sampled
    feature: np.ndarray  # int64
    partner: np.ndarray  # int64
    correlation: np.ndarray  # float64 in (0, 1]
    lift: np.ndarray  # float64
    same_sign: np.ndarray  # float64 in [0, 1]
    shared: np.ndarray  # int64: shared firings in the sample


def find_together(sample: TokenSample, features: int, most: int = PARTNERS) -> Together:
    """The `most` features that fire together with each feature; ties go to the lower number."""
    held = _smaller(sample, features)
    fired = np.bincount(held.feature, minlength=features)
    parts = [
        _best(counts, first, fired, held.tokens, most)
        for first, counts in _shared_firings(held, features)
    ]
    if not parts:
        return Together(held.tokens, *(np.zeros(0, dtype=np.int64) for _ in range(6)))
    return Together(held.tokens, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _smaller(sample: TokenSample, features: int) -> SampledTokens:
    """As much of the sample as is worth its pairs: the tokens of some level and above."""
    held = sample.result()
    codes = np.bincount(held.row, minlength=len(held.token)).astype(np.int64)
    by_level = [
        np.bincount(held.zeros, weights=weights, minlength=len(sample.seen))[::-1].cumsum()[::-1]
        for weights in (codes, codes**2)
    ]
    level = sample.level
    while (
        by_level[0][level] > max(FEWEST_FIRINGS, FIRINGS_EACH * features)
        or by_level[1][level] > MOST_PAIRS
        or sample.seen[level:].sum() > MOST_TOKENS
    ):
        level += 1
    return at_level(held, sample.seen, level)


def _shared_firings(held: SampledTokens, features: int) -> Iterator[tuple[int, csr_matrix]]:
    """Blocks of rows of the [features, features] matrix of shared firings, with their first row.

    An entry holds four 16-bit counts, by the signs of row and column: ++, −+, +−, −− from the
    lowest: one sparse product counts them all.
    """
    is_minus = held.value < 0
    one = np.uint64(1)
    by_row = np.where(is_minus, one << np.uint64(16), one)
    by_column = np.where(is_minus, one << np.uint64(32), one)
    shape = (features, max(1, len(held.token)))
    left = coo_matrix((by_row, (held.feature, held.row)), shape=shape).tocsr()
    right = coo_matrix((by_column, (held.row, held.feature)), shape=shape[::-1]).tocsr()
    codes = np.diff(right.indptr)
    pairs = np.cumsum(np.bincount(held.feature, weights=codes[held.row], minlength=features))
    first = 0
    while first < features:
        before = pairs[first - 1] if first else 0
        stop = int(np.searchsorted(pairs, before + PAIRS_AT_ONCE, side="right"))
        stop = min(features, max(first + 1, stop))
        yield first, left[first:stop] @ right
        first = stop


def _best(
    counts: csr_matrix, first: int, fired: np.ndarray, tokens: int, most: int
) -> tuple[np.ndarray, ...]:
    """feature, partner, correlation, lift, same_sign and shared of a block's best pairs."""
    packed = np.asarray(counts.data, dtype=np.uint64)
    # Two additions for four counts: pairs of them side by side in 32 bits each.
    halves = (packed & EVERY_SECOND) + ((packed >> np.uint64(16)) & EVERY_SECOND)
    shared = (halves & np.uint64(0xFFFFFFFF)) + (halves >> np.uint64(32))
    chosen = np.flatnonzero(shared >= LEAST)
    row = np.searchsorted(counts.indptr, chosen, side="right") - 1 + first
    column = counts.indices[chosen].astype(np.int64)
    chosen, row, column = (array[row != column] for array in (chosen, row, column))
    shared, packed = shared[chosen].astype(np.int64), packed[chosen]
    same = ((packed & np.uint64(0xFFFF)) + (packed >> np.uint64(48))) / np.maximum(shared, 1)
    own, other = fired[row].astype(np.float64), fired[column].astype(np.float64)
    spread = own * (tokens - own) * other * (tokens - other)
    excess = tokens * shared - own * other
    above = np.flatnonzero((spread > 0) & (excess > 0))
    correlation = excess[above] / np.sqrt(spread[above])
    order = np.lexsort((column[above], -correlation, row[above]))
    order = order[rank_of(row[above][order]) < most]
    best = above[order]
    lift = tokens * shared[best] / (own[best] * other[best])
    return row[best], column[best], correlation[order], lift, same[best], shared[best]
