"""Opposition without labels: do the poles of a feature compete for the same slots?

Just before the extreme token of one pole, how much more likely does the language model find the
*other* pole's tokens than their frequency says ("he" where "she" stands)? Strangers do not share
slots. The same is computed against the poles of other features, matched in frequency: that is the
null, and the score is what stands above it, in nats. See docs/opposition.md.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from models.activations import TOKENS_PER_FORWARD
from models.corpus import Window, batch_windows, pad
from models.index.details import extreme_tokens, slice_of
from models.index.indexer import Indexer
from models.language_model import LanguageModel

CONTEXTS = 8  # per pole
DRAWS = 20
NEAR = 40  # candidates of similar frequency from which the null draws


class Opposition(NamedTuple):
    """`score` float64 [features] in nats above the null's mean, nan where a pole is empty or shares its tokens.

    `null_95` is the 95th percentile of the same figure for features given a stranger's pole.
    """

    score: np.ndarray
    null_95: float
    draws: int

    @property
    def beating(self) -> float:
        """The share of scored features above the null's 95th percentile (0.05 is chance)."""
        scored = self.score[~np.isnan(self.score)]
        return float((scored > self.null_95).mean()) if len(scored) else 0.0


class _Slots(NamedTuple):
    """One row per context used: its feature, pole (0 +, 1 −), window and position of the extreme token."""

    feature: np.ndarray
    pole: np.ndarray
    window: np.ndarray
    position: np.ndarray


def score_opposition(
    lm: LanguageModel,
    indexer: Indexer,
    windows: Sequence[Window],
    background: np.ndarray,
    seed: int = 0,
) -> Opposition:
    """Score every feature of an index. `windows` are those indexed, `background` their token counts."""
    features = indexer.sae.config.d_sae
    slots, words = _collect(indexer, windows, features)
    frequency = (background + 1) / (background + 1).sum()
    sets, other = _sets(words, features, frequency, np.random.default_rng(seed))
    lift = _lift(lm, windows, slots, sets, other, frequency)
    by_pole = np.full((2, features, DRAWS + 1), np.nan)
    for pole in (0, 1):
        chosen = slots.pole == pole
        count = np.bincount(slots.feature[chosen], minlength=features)
        for draw in range(DRAWS + 1):
            total = np.bincount(
                slots.feature[chosen], weights=lift[chosen, draw], minlength=features
            )
            by_pole[pole, :, draw] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    both = by_pole.mean(0)
    null_mean = both[:, 1:].mean(1)
    # each draw against the mean of the others: what a stranger's pole scores by luck
    left_out = both[:, 1:] - (null_mean[:, None] * DRAWS - both[:, 1:]) / (DRAWS - 1)
    valid = left_out[~np.isnan(left_out)]
    return Opposition(
        both[:, 0] - null_mean,
        float(np.quantile(valid, 0.95)) if len(valid) else float("nan"),
        DRAWS,
    )


def _collect(
    indexer: Indexer, windows: Sequence[Window], features: int
) -> tuple[_Slots, list[list[set[int]]]]:
    """The strongest contexts of each pole, and the tokens at their extremes: words[pole][feature]."""
    tokens = [window.tokens for window in windows]
    columns: list[list[np.ndarray]] = [[], [], [], []]
    words: list[list[set[int]]] = []
    for pole, sign in enumerate(("+", "-")):
        examples = indexer.top["extreme", sign].result()
        ids = extreme_tokens(examples, tokens)
        rows = np.concatenate(
            [
                np.arange(s.start, min(s.stop, s.start + CONTEXTS))
                for s in slice_of(examples, features)
            ]
            or [np.zeros(0, dtype=np.int64)]
        ).astype(np.int64)
        found: list[set[int]] = [set() for _ in range(features)]
        for row in rows:
            found[int(examples.feature[row])].add(int(ids[row]))
        words.append(found)
        for column, array in zip(
            columns,
            (
                examples.feature[rows],
                np.full(len(rows), pole),
                examples.window[rows],
                examples.position[rows],
            ),
            strict=True,
        ):
            column.append(array)
    return _Slots(*(np.concatenate(column) for column in columns)), words


def _sets(
    words: list[list[set[int]]], features: int, frequency: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Padded token sets [2 · features, CONTEXTS] (−1 pads) and, per (pole, feature), which sets it meets.

    `other[pole, feature]` holds the set of its own other pole, then DRAWS strangers' sets of similar
    frequency; −1 where there is none.
    """
    shared = [plus & minus for plus, minus in zip(*words, strict=True)]
    sets = np.full((2 * features, CONTEXTS), -1, dtype=np.int64)
    for pole in (0, 1):
        for feature in range(features):
            own = sorted(words[pole][feature] - shared[feature])[:CONTEXTS]
            sets[pole * features + feature, : len(own)] = own
    mass = np.where(sets >= 0, frequency[sets], 0).sum(1)
    usable = np.flatnonzero(mass > 0)
    usable = usable[np.argsort(mass[usable], kind="stable")]
    other = np.full((2, features, DRAWS + 1), -1, dtype=np.int64)
    for pole in (0, 1):
        for feature in range(features):
            target = (1 - pole) * features + feature
            if mass[target] == 0 or mass[pole * features + feature] == 0:
                continue
            place = int(np.searchsorted(mass[usable], mass[target]))
            low = max(0, min(place - NEAR // 2, len(usable) - NEAR))
            near = usable[low : low + NEAR]
            near = near[near % features != feature]
            if len(near):
                other[pole, feature, 0] = target
                other[pole, feature, 1:] = random.choice(near, DRAWS)
    return sets, other


@torch.inference_mode()
def _lift(
    lm: LanguageModel,
    windows: Sequence[Window],
    slots: _Slots,
    sets: np.ndarray,
    other: np.ndarray,
    frequency: np.ndarray,
) -> np.ndarray:
    """log P(set | context before the extreme token) − log its frequency: [slots, DRAWS + 1]."""
    lift = np.full((len(slots.feature), DRAWS + 1), np.nan)
    usable = np.flatnonzero((slots.position > 0) & (other[slots.pole, slots.feature, 0] >= 0))
    by_window: dict[int, list[int]] = {}
    for slot in usable.tolist():
        by_window.setdefault(int(slots.window[slot]), []).append(slot)
    used = sorted(by_window)
    unembed = lm.model.get_output_embeddings()
    for batch in batch_windows([windows[number] for number in used], TOKENS_PER_FORWARD):
        numbers = [used[index] for index in batch]
        ids = torch.from_numpy(pad([windows[number] for number in numbers])).to(lm.device)
        hidden = lm.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        rows = [row for row, number in enumerate(numbers) for _ in by_window[number]]
        here = np.array([slot for number in numbers for slot in by_window[number]])
        before = torch.from_numpy(slots.position[here] - 1)
        probability = unembed(hidden[torch.tensor(rows), before]).float().softmax(-1).cpu().numpy()
        met = sets[
            other[slots.pole[here], slots.feature[here]]
        ]  # [slots here, DRAWS + 1, CONTEXTS]
        inside = met >= 0
        chance = np.where(inside, probability[np.arange(len(here))[:, None, None], met], 0).sum(-1)
        usual = np.where(inside, frequency[met], 0).sum(-1)
        lift[here] = np.log(chance + 1e-9) - np.log(usual)
    return lift
