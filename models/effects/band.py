"""How far a slider can go before the text breaks: KL, repetition and the model's own loss per strength.

Knows generation and the unsteered model; nothing of pages. Deterministic for a seed.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch

from models.effects.shift import next_token_shift
from models.generate import Edit, GenerationBatch, Positions, Row
from models.language_model import LanguageModel

GRAM = 3
TEXTS = 3
"""Texts per strength: one alone may fall into a loop by bad luck, or be lucky."""


@dataclass(frozen=True)
class Limits:
    """Where a text counts as broken; each compares with the unsteered text from the same seed."""

    kl: float = 4.0
    """KL(steered ‖ unsteered) of the token behind the prompt, nats."""
    loss: float = 1.5
    """Rise of the unsteered model's loss on the written text, nats a token."""
    repetition: float = 0.3
    """Rise of the share of 3-grams that occurred before in the written text."""


class Strain(NamedTuple):
    """What one strength costs. `loss` is the unsteered model's, in nats a written token.

    `loss` and `repetition` are medians over the texts, `tokens` is the first of them.
    """

    strength: float
    kl: float
    loss: float
    repetition: float
    tokens: list[int]
    is_safe: bool


class Band(NamedTuple):
    """The safe strengths: from `low` to `high`, both measured; every strain, ascending."""

    low: float
    high: float
    unsteered: Strain
    strains: list[Strain]


def band_steps(
    lm: LanguageModel,
    prompt: Sequence[int],
    edit: Edit,
    strengths: Sequence[float],
    tokens: int = 40,
    seed: int = 0,
    temperature: float = 0.8,
    limits: Limits | None = None,
    positions: Positions = "all",
) -> Generator[None, None, Band]:
    """Write from `prompt` at every strength of an `add` edit, 0 included, in one batch.

    Three texts per strength, from `seed` and the two behind it (one if greedy); yields between two
    tokens, so that others can use the device. A side's edge is the last strength before the first
    that is not safe, so that a lucky one further out does not widen the band. Raises ValueError on
    an operation other than add.
    """
    if edit.operation != "add":
        raise ValueError(
            f"the safe band is measured for operation 'add', not {edit.operation!r}: it has no zero"
        )
    limits = limits or Limits()
    ordered = sorted({*strengths, 0.0})
    edits = [_at(edit, strength) for strength in ordered]
    kl = next_token_shift(lm, prompt, [(own,) for own in edits], positions).kl.tolist()
    seeds = range(seed, seed + (TEXTS if temperature > 0 else 1))
    rows = [
        [Row(prompt, (own,), tokens, each, temperature, positions=positions) for each in seeds]
        for own in edits
    ]
    batch = GenerationBatch(lm)
    batch.admit([row for texts in rows for row in texts])
    while batch.rows:
        yield
        batch.step()
    costs = []
    for texts in rows:
        yield
        costs.append(
            (
                median(written_loss(lm, prompt, row.written) for row in texts),
                median(repetition(row.written) for row in texts),
            )
        )
    zero = ordered.index(0.0)
    unsteered = costs[zero]
    strains = [
        Strain(
            strength,
            kl[place],
            loss,
            repeated,
            rows[place][0].written,
            kl[place] <= limits.kl
            and loss - unsteered[0] <= limits.loss
            and repeated - unsteered[1] <= limits.repetition,
        )
        for place, (strength, (loss, repeated)) in enumerate(zip(ordered, costs, strict=True))
    ]
    return Band(_edge(strains[zero::-1]), _edge(strains[zero:]), strains[zero], strains)


@torch.inference_mode()
def written_loss(lm: LanguageModel, prompt: Sequence[int], written: Sequence[int]) -> float:
    """The unsteered model's mean −log p of the written tokens behind the prompt, nats."""
    ids = torch.tensor([[*prompt, *written]], device=lm.device)
    logits = lm.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
    target = ids[0, len(prompt) :]
    return float(torch.nn.functional.cross_entropy(logits.float(), target))


def repetition(tokens: Sequence[int], gram: int = GRAM) -> float:
    """The share of n-grams that occurred before in the same text: 0 for a text without any."""
    grams = [tuple(tokens[place : place + gram]) for place in range(len(tokens) - gram + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _at(edit: Edit, strength: float) -> Edit:
    return Edit(edit.sae, edit.layer, edit.feature, "add", strength)


def _edge(outwards: Sequence[Strain]) -> float:
    edge = 0.0
    for strain in outwards[1:]:
        if not strain.is_safe:
            break
        edge = strain.strength
    return edge
