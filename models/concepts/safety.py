"""How far a direction can be pushed before the text breaks, and whether it moves the words that far.

What counts as broken is the same as on the steering slider (`models.effects.band.Limits`), here on
several held-out prompts and at shares of the median ‖h‖. Knows nothing of how directions were chosen.
"""

import itertools
from collections.abc import Generator, Sequence
from statistics import median
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.concepts.effect import SHARES, TOKENS, Effect, median_norm, pad_prompts
from models.effects.band import Limits, repetition, written_loss
from models.generate import Edit, GenerationBatch, Row
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder

MOST_PROMPTS = 5
TEMPERATURE = 0.8


class Wear(NamedTuple):
    """What a strength does to texts written under it: rises over the unsteered texts, medians.

    `loss`: the unsteered model's, nats a written token. `repetition`: share of repeated 3-grams.
    """

    loss: float
    repetition: float


class Judged(NamedTuple):
    """An effect and the wear at each of its shares."""

    effect: Effect
    wear: list[Wear]
    limits: Limits = Limits()

    @property
    def safe(self) -> list[bool]:
        """Strengths around 0 up to the last on each side before the first that breaks the text."""
        whole = [
            kl <= self.limits.kl
            and wear.loss <= self.limits.loss
            and wear.repetition <= self.limits.repetition
            for kl, wear in zip(self.effect.kl, self.wear, strict=True)
        ]
        zero = self.effect.shares.index(0.0)
        up = itertools.accumulate(whole[zero + 1 :], lambda left, right: left and right)
        down = itertools.accumulate(whole[:zero][::-1], lambda left, right: left and right)
        return [*list(down)[::-1], True, *up]

    @property
    def is_monotonic(self) -> bool:
        """Whether the log-odds rise at every step of the safe band, which reaches to both sides of 0.

        As they are 0 without steering, they then move in opposite directions at ±c.
        """
        zero = self.effect.shares.index(0.0)
        safe = self.safe
        values = [v for v, is_safe in zip(self.effect.log_odds, safe, strict=True) if is_safe]
        reaches_both = 0 < zero < len(safe) - 1 and safe[zero - 1] and safe[zero + 1]
        return reaches_both and all(left < right for left, right in itertools.pairwise(values))


def wear_steps(
    lm: LanguageModel,
    layer: int,
    directions: dict[str, Float[Tensor, "d_in"]],
    prompts: Sequence[Sequence[int]],
    shares: tuple[float, ...] = SHARES,
) -> Generator[None, None, dict[str, list[Wear]]]:
    """Write from some of the prompts at every share along every direction (made unit).

    Yields between two tokens, so that others can use the device.
    """
    ids, lengths = pad_prompts(prompts, lm.device)
    size = median_norm(lm.residual(ids, layer), lengths)
    chosen = [list(prompt) for prompt in prompts[:: -(-len(prompts) // MOST_PROMPTS)]]
    unsteered = yield from _write(lm, chosen, [()])
    found = {}
    axes = directions_as_sae(list(directions.values()))
    for place, name in enumerate(directions):
        edits = [(Edit(axes, layer, place, "add", share * size),) for share in shares]
        costs = yield from _write(lm, chosen, edits)
        found[name] = [_wear(steered, unsteered[0]) for steered in costs]
    return found


def directions_as_sae(directions: Sequence[Float[Tensor, "d_in"]]) -> SparseAutoencoder:
    """Directions as the unit rows of a dictionary, so that they can be steered by like any latent."""
    rows = torch.nn.functional.normalize(torch.stack([d.float() for d in directions]), dim=-1)
    sae = SparseAutoencoder(SAEConfig(rows.shape[1], len(rows), "dim"))
    with torch.no_grad():
        sae.W_dec.copy_(rows)
        sae.W_enc.copy_(rows.T)
    return sae.eval().requires_grad_(False)


def _wear(steered: list[tuple[float, float]], plain: list[tuple[float, float]]) -> Wear:
    """Medians of the rises over the same prompts' unsteered texts."""
    rises = [
        (loss - plain_loss, repeated - plain_repeated)
        for (loss, repeated), (plain_loss, plain_repeated) in zip(steered, plain, strict=True)
    ]
    return Wear(*(median(rise) for rise in zip(*rises, strict=True)))


def _write(
    lm: LanguageModel, prompts: list[list[int]], edits: Sequence[tuple[Edit, ...]]
) -> Generator[None, None, list[list[tuple[float, float]]]]:
    """(loss, repetition) of each prompt's text, under each of the edits."""
    rows = [
        [Row(prompt, own, TOKENS, seed, TEMPERATURE) for seed, prompt in enumerate(prompts)]
        for own in edits
    ]
    batch = GenerationBatch(lm)
    for together in zip(*rows, strict=True):
        yield
        batch.admit(together)
    while batch.rows:
        yield
        batch.step()
    costs = []
    for own in rows:
        yield
        costs.append(
            [(written_loss(lm, row.prompt, row.written), repetition(row.written)) for row in own]
        )
    return costs
