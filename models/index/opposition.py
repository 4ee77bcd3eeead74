"""Opposition without labels: does what stands at one pole have counterparts at the other?

Opposites take each other's place: the model's unembedding rows of "hot" and "cold" point the same
way, because the model offers either in the same slots; those of strangers do not. Shown against
poles of other features, matched in frequency. Definition, validation and what failed:
docs/opposition.md. Runs no language model. Knows nothing of databases.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.heap import give_back
from models.index.indexer import Indexer
from models.index.top import rank_of
from models.language_model import LanguageModel

CONTEXTS = 8  # extreme tokens per pole
STRANGERS = 32  # per pole: those nearest in frequency
CELLS = 1 << 24  # numbers of gathered unembedding rows held at once
PERCENTILES = tuple(range(1, 100))
AT_ONCE = 1 << 14  # features standardised at a time
SMALLEST_NORM = 1e-12
MIN_SPREAD = 1e-6  # cosine: strangers that are all alike say nothing


class Opposition(NamedTuple):
    """How far each feature's poles stand above strangers' poles, nan where a pole is empty.

    `score` float64 [features] is in standard deviations of the feature's own strangers, `p_value`
    float64 [features] the share of them that are at least as alike. `percentiles` are those of the
    strangers' own scores (each against the others), 1 to 99.
    """

    score: np.ndarray
    p_value: np.ndarray
    percentiles: tuple[float, ...]
    draws: int

    @property
    def null_95(self) -> float:
        """Below it are 95 % of the strangers; nan where nothing could be scored."""
        return self.percentiles[94] if self.percentiles else float("nan")

    @property
    def beating(self) -> float:
        """The share of scored features above the null's 95th percentile (0.05 is chance)."""
        scored = self.score[~np.isnan(self.score)]
        return float((scored > self.null_95).mean()) if len(scored) else 0.0


class PoleTokens(NamedTuple):
    """The tokens at the extremes of every pole; row 2f is feature f's + pole, row 2f + 1 its − pole.

    `ids` int64 [2 · features, CONTEXTS], −1 pads; `weight` float32, how many of the pole's extremes
    are that token, each row summing to 1; `level` float64 [2 · features], their mean log frequency,
    nan for a pole without tokens of its own.
    """

    ids: np.ndarray
    weight: np.ndarray
    level: np.ndarray


def score_opposition(lm: LanguageModel, indexer: Indexer, background: np.ndarray) -> Opposition:
    """Score every feature of an index; `background` [vocabulary] counts the tokens of its text."""
    frequency = (background + 1) / (background + 1).sum()
    poles = pole_tokens(indexer, np.log(frequency))
    head = lm.model.get_output_embeddings()
    assert head is not None, "a causal language model has an unembedding"
    return compare_poles(poles, head.weight, frequency)


@torch.inference_mode()
def compare_poles(
    poles: PoleTokens, unembedding: Float[Tensor, "vocabulary d_in"], frequency: np.ndarray
) -> Opposition:
    """The score of every feature, a few features at a time; the same input gives the same figures."""
    features = len(poles.ids) // 2
    partners = partners_of(poles.level)
    weights = torch.from_numpy(frequency).to(unembedding.device, unembedding.dtype)
    centre = (weights @ unembedding).float()
    alike = np.full((features, 1 + 2 * partners.shape[1]), np.nan, dtype=np.float32)
    scored = np.flatnonzero(~np.isnan(poles.level).reshape(features, 2).any(1))
    step = max(1, CELLS // (unembedding.shape[1] * CONTEXTS * alike.shape[1]))
    if partners.shape[1]:
        for start in range(0, len(scored), step):
            chosen = scored[start : start + step]
            pairs = pairs_of(chosen, partners)
            alike[chosen] = _alike(poles, pairs, unembedding, centre)
            give_back()  # else as much again stays behind as the index holds
    return against_strangers(alike)


def pole_tokens(indexer: Indexer, log_frequency: np.ndarray) -> PoleTokens:
    """The tokens at the strongest extremes of each pole, one per document; shared ones left out."""
    features = indexer.sae.config.d_sae
    ids = np.full((2, features, CONTEXTS), -1, dtype=np.int64)
    for pole, sign in enumerate(("+", "-")):
        examples = indexer.top["extreme", sign].result()
        rank = rank_of(examples.feature)
        kept = rank < CONTEXTS
        ids[pole, examples.feature[kept], rank[kept]] = examples.token[kept]
    shared = (ids[0][:, :, None] == ids[1][:, None, :]) & (ids[0][:, :, None] >= 0)
    ids[0][shared.any(2)] = -1
    ids[1][shared.any(1)] = -1
    return summarise_tokens(ids.transpose(1, 0, 2).reshape(2 * features, CONTEXTS), log_frequency)


def summarise_tokens(ids: np.ndarray, log_frequency: np.ndarray) -> PoleTokens:
    """Count repeated tokens of each row once, with their weight."""
    ordered = np.sort(ids, axis=1)[:, ::-1].copy()  # the −1s go last
    is_first = np.ones_like(ordered, dtype=bool)
    is_first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    count = (ordered[:, :, None] == ordered[:, None, :]).sum(2)
    is_first &= ordered >= 0
    weight = np.where(is_first, count, 0).astype(np.float64)
    total = weight.sum(1, keepdims=True)
    weight = np.divide(weight, total, out=weight, where=total > 0)
    level = np.where(is_first, weight * log_frequency[np.maximum(ordered, 0)], 0).sum(1)
    return PoleTokens(
        np.where(is_first, ordered, -1),
        weight.astype(np.float32),
        np.where(total[:, 0] > 0, level, np.nan),
    )


def partners_of(level: np.ndarray) -> np.ndarray:
    """For every pole, other features' poles of nearest mean log frequency: int64 [poles, strangers]."""
    usable = np.flatnonzero(~np.isnan(level))
    usable = usable[np.argsort(level[usable], kind="stable")]
    wanted = min(STRANGERS, len(usable) - 2)
    if wanted < 1:
        return np.zeros((len(level), 0), dtype=np.int64)
    place = np.searchsorted(level[usable], np.nan_to_num(level), side="left")
    low = np.clip(place - wanted // 2, 0, len(usable) - wanted - 2)
    near = usable[low[:, None] + np.arange(wanted + 2)]
    # A feature has two poles, so two more than wanted always leave enough that are not its own.
    is_own = near // 2 == (np.arange(len(level)) // 2)[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)[:, :wanted]


def pairs_of(features: np.ndarray, partners: np.ndarray) -> np.ndarray:
    """The poles to compare: int64 [features, 1 + strangers, 2], a feature's own two first.

    Its + pole meets strangers as frequent as its − pole, and the other way round.
    """
    plus, minus = 2 * features[:, None], 2 * features[:, None] + 1
    count = partners.shape[1]
    first = np.concatenate([plus, np.repeat(plus, count, 1), np.repeat(minus, count, 1)], 1)
    second = np.concatenate([minus, partners[minus[:, 0]], partners[plus[:, 0]]], 1)
    return np.stack([first, second], axis=2)


def _alike(
    poles: PoleTokens,
    pairs: np.ndarray,
    unembedding: Float[Tensor, "vocabulary d_in"],
    centre: Float[Tensor, "d_in"],
) -> np.ndarray:
    """How good the counterparts are in each pair of poles, both ways: float32 [features, pairs]."""
    device = unembedding.device

    def rows(side: int) -> tuple[Tensor, Tensor, Tensor]:
        ids = torch.from_numpy(poles.ids[pairs[..., side]]).to(device)
        weight = torch.from_numpy(poles.weight[pairs[..., side]]).to(device)
        vectors = unembedding[ids.clamp(min=0)].float()
        vectors -= centre  # in place: these rows are all that this stage holds
        vectors /= vectors.norm(dim=-1, keepdim=True).clamp(min=SMALLEST_NORM)
        return ids, weight, vectors

    (ids, weight, vectors), (other_ids, other_weight, other_vectors) = rows(0), rows(1)
    cosine = vectors @ other_vectors.transpose(-1, -2)
    # A token is no counterpart of itself: strangers may share tokens, a feature's poles may not.
    barred = (ids[..., :, None] == other_ids[..., None, :]) | (other_ids[..., None, :] < 0)
    barred |= ids[..., :, None] < 0
    cosine = cosine.masked_fill(barred, -1.0)
    forth = (cosine.amax(-1) * weight).sum(-1)
    back = (cosine.amax(-2) * other_weight).sum(-1)
    return ((forth + back) / 2).cpu().numpy()


def against_strangers(alike: np.ndarray) -> Opposition:
    """Standardise a feature's own likeness (first column) by that of its strangers (the others)."""
    features, draws = alike.shape[0], alike.shape[1] - 1
    score, p_value = np.full(features, np.nan), np.full(features, np.nan)
    chosen = np.flatnonzero(~np.isnan(alike[:, 0])) if draws else np.zeros(0, dtype=np.int64)
    if len(chosen) == 0:
        return Opposition(score, p_value, (), draws)
    null = np.empty((len(chosen), draws), dtype=np.float32)
    for start in range(0, len(chosen), AT_ONCE):
        some = chosen[start : start + AT_ONCE]
        own, strangers = (
            alike[some, part].astype(np.float64) for part in (slice(1), slice(1, None))
        )
        score[some] = _standardised(own, strangers)[:, 0]
        p_value[some] = (1 + (strangers >= own).sum(1)) / (1 + draws)
        null[start : start + AT_ONCE] = _left_out(strangers)
    percentiles = np.percentile(null, PERCENTILES, overwrite_input=True)
    return Opposition(score, p_value, tuple(percentiles.tolist()), draws)


def _left_out(strangers: np.ndarray) -> np.ndarray:
    """The score of each stranger against the others of its feature, from sums over all of them."""
    others = strangers.shape[1] - 1
    centred = strangers - strangers.mean(1, keepdims=True)  # so that all of them sum to 0
    mean = -centred / max(1, others)
    square = (centred**2).sum(1, keepdims=True) - centred**2
    spread = np.sqrt(np.maximum(square / max(1, others) - mean**2, 0))
    return (centred - mean) / np.maximum(spread, MIN_SPREAD)


def _standardised(value: np.ndarray, strangers: np.ndarray) -> np.ndarray:
    spread = np.maximum(strangers.std(1, keepdims=True), MIN_SPREAD)
    return (value - strangers.mean(1, keepdims=True)) / spread
