"""Definitions of opposition that were tried and left: see docs/opposition.md for how they did.

Each takes the same poles and the same null as the chosen one, `models.index.opposition`.
"""

from collections.abc import Sequence

import numpy as np
import torch

from models.corpus import Window, batch_windows, pad
from models.index.indexer import Indexer
from models.index.opposition import (
    CONTEXTS,
    Opposition,
    PoleTokens,
    against_strangers,
    compare_poles,
    pairs_of,
    partners_of,
    pole_tokens,
    summarise_tokens,
)
from models.language_model import LanguageModel

ANTONYMS = """she he|her his|girl boy|mom dad|big small|happy sad|was is|yes no|up down|day night|
good bad|old new|came went|open close|inside outside|always never|hard soft|light dark|brave scared|
laughed cried|smile cry|gave took|give take|found lost|in out|mommy daddy|She He|Her His|warm cool|
started stopped|run walk|ran walked|were are|had have|did do|said say|wanted want|could can|would will|
they it|their its|toys toy|birds bird|flowers flower|friends friend|trees tree|cars car|red blue|
hot cold|first last|near far|more less|loud quiet|long short|love hate|loved hated|before after|
brother sister|king queen|man woman|clean dirty|wet dry|fast slow|high low|everyone nobody|
with without|top bottom|here there|morning evening|strong weak|full empty|nice mean|pretty ugly"""

CONTEXT_WORDS = 8
LEAST_CONTEXTS = 3  # of the top ones, in which a word must stand


def score_slots(
    lm: LanguageModel, indexer: Indexer, windows: Sequence[Window], counts: np.ndarray
) -> Opposition:
    """Slots: the mean over one pole's contexts c and the other's tokens t of log P_c(t) / U(t).

    Bilinear in the hidden state before the extreme token and the unembedding row, so every pair of
    poles costs one product; rows and columns are centred on their means over all poles.
    """
    log_frequency = np.log((counts + 1) / (counts + 1).sum())
    poles = pole_tokens(indexer, log_frequency)
    hidden, normaliser = _before_extremes(lm, indexer, windows, poles)
    head = lm.model.get_output_embeddings()
    assert head is not None
    rows = head.weight.detach().float().cpu().numpy()
    meant = (rows[np.maximum(poles.ids, 0)] * poles.weight[..., None]).sum(1)
    fit = hidden @ meant.T - normaliser[:, None] - poles.level[None]
    fit = fit - np.nanmean(fit, 1, keepdims=True) - np.nanmean(fit, 0, keepdims=True)
    return _from_matrix((fit + fit.T) / 2, poles)


def score_mean_rows(
    lm: LanguageModel, indexer: Indexer, windows: Sequence[Window], counts: np.ndarray
) -> Opposition:
    """Mean rows: the cosine of the mean unembedding rows of the two poles' tokens."""
    frequency = (counts + 1) / (counts + 1).sum()
    poles = pole_tokens(indexer, np.log(frequency))
    head = lm.model.get_output_embeddings()
    assert head is not None
    rows = head.weight.detach().float().cpu().numpy()
    rows = rows - frequency.astype(np.float32) @ rows
    meant = (rows[np.maximum(poles.ids, 0)] * poles.weight[..., None]).sum(1)
    meant /= np.maximum(np.linalg.norm(meant, axis=1, keepdims=True), 1e-9)
    return _from_matrix(meant @ meant.T, poles)


def score_contexts(
    lm: LanguageModel, indexer: Indexer, windows: Sequence[Window], counts: np.ndarray
) -> Opposition:
    """Contexts: the chosen definition on the words that are over-represented in a pole's top contexts by mean."""
    frequency = (counts + 1) / (counts + 1).sum()
    features = indexer.sae.config.d_sae
    ids = np.full((features, 2, CONTEXTS), -1, dtype=np.int64)
    for pole, sign in enumerate(("+", "-")):
        examples = indexer.top["mean", sign].result()
        for feature in range(features):
            first, last = np.searchsorted(examples.feature, [feature, feature + 1])
            chosen = [windows[number].tokens[1:] for number in examples.window[first:last]]
            words = _distinctive(chosen, frequency)
            ids[feature, pole, : len(words)] = words
    shared = (ids[:, 0, :, None] == ids[:, 1, None, :]) & (ids[:, 0, :, None] >= 0)
    ids[:, 0][shared.any(2)] = -1
    ids[:, 1][shared.any(1)] = -1
    poles = summarise_tokens(ids.reshape(2 * features, CONTEXTS), np.log(frequency))
    head = lm.model.get_output_embeddings()
    assert head is not None
    return compare_poles(poles, head.weight.detach(), frequency)


OTHERS = {
    "slots (log P / U in the contexts)": score_slots,
    "mean rows (one cosine)": score_mean_rows,
    "words of the contexts by mean": score_contexts,
}


def _distinctive(chosen: list[np.ndarray], frequency: np.ndarray) -> np.ndarray:
    """The words of highest count × log lift that stand in several of the contexts."""
    if not chosen:
        return np.zeros(0, dtype=np.int64)
    tokens = np.concatenate(chosen)
    counts = np.bincount(tokens, minlength=len(frequency))
    spread = sum(np.bincount(np.unique(each), minlength=len(frequency)) for each in chosen)
    lift = np.log((counts + 1e-9) / len(tokens)) - np.log(frequency)
    weight = np.where((spread >= LEAST_CONTEXTS) & (lift > 0), counts * lift, 0)
    best = np.argsort(-weight, kind="stable")[:CONTEXT_WORDS]
    return best[weight[best] > 0]


@torch.inference_mode()
def _before_extremes(
    lm: LanguageModel, indexer: Indexer, windows: Sequence[Window], poles: PoleTokens
) -> tuple[np.ndarray, np.ndarray]:
    """Mean final hidden state, and mean log normaliser, just before the extremes of every pole."""
    total = np.zeros((len(poles.ids), lm.d_in), dtype=np.float32)
    normaliser, count = np.zeros(len(poles.ids)), np.zeros(len(poles.ids))
    slots: dict[int, list[tuple[int, int]]] = {}
    for pole, sign in enumerate(("+", "-")):
        examples = indexer.top["extreme", sign].result()
        rank = np.arange(len(examples.feature)) - np.searchsorted(
            examples.feature, examples.feature
        )
        for row in np.flatnonzero(rank < CONTEXTS):
            number = 2 * int(examples.feature[row]) + pole
            if examples.token[row] in poles.ids[number]:
                place = (number, int(examples.position[row]) - 1)
                slots.setdefault(int(examples.window[row]), []).append(place)
    used = sorted(slots)
    head = lm.model.get_output_embeddings()
    assert head is not None
    for batch in batch_windows([windows[number] for number in used], 8_192):
        numbers = [used[index] for index in batch]
        ids = torch.from_numpy(pad([windows[number] for number in numbers])).to(lm.device)
        states = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        for row, number in enumerate(numbers):
            for pole, position in slots[number]:
                state = states[row, position]
                total[pole] += state.cpu().numpy()
                normaliser[pole] += float(head(state).float().logsumexp(-1))
                count[pole] += 1
    with np.errstate(invalid="ignore"):
        return total / count[:, None], normaliser / count


def _from_matrix(alike: np.ndarray, poles: PoleTokens) -> Opposition:
    """A score from how alike any two poles are: [poles, poles]."""
    features = len(poles.ids) // 2
    pairs = pairs_of(np.arange(features), partners_of(poles.level))
    chosen = alike[pairs[..., 0], pairs[..., 1]].astype(np.float64)
    empty = np.isnan(poles.level).reshape(features, 2).any(1)
    chosen[empty] = np.nan
    return against_strangers(chosen)
