"""Which single latent steers a concept best: chosen on train prompts by what pushing along it does.

A latent that tells texts apart need not be one that moves them. Knows prompts and words; the
held-out measure is `models.concepts.effect`.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from models.concepts.effect import (
    Words,
    effect_steps,
    pad_prompts,
    prompts_at_once,
    require_words,
    word_odds,
)
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

CANDIDATES = 16
SHARE = 0.15


class Chosen(NamedTuple):
    """One latent; `sign` +1: pushing towards + raises the log-odds of A's words.

    `effect`: the smaller of the two sides' changes at ±SHARE of the median ‖h‖ on the train
    prompts, nats; below 0 no candidate moves both ways.
    """

    feature: int
    sign: int
    effect: float


def choose_for_steering(
    lm: LanguageModel,
    sae: SparseAutoencoder,
    layer: int,
    prompts: Sequence[Sequence[int]],
    words: Words,
) -> Generator[None, None, Chosen]:
    """The latent whose ±push moves the words furthest both ways on these (train) prompts.

    Candidates are those whose decoder row is steepest by the gradient of the log-odds; each is
    then pushed for real. Yields between two passes. Raises ValueError without prompts or words.
    """
    require_words(prompts, words)
    slope = sae.W_dec.detach().float().cpu() @ _gradient(lm, layer, prompts, words)
    candidates = slope.abs().argsort(descending=True, stable=True)[:CANDIDATES].tolist()
    signs = {feature: 1 if slope[feature] >= 0 else -1 for feature in candidates}
    rows = {str(feature): signs[feature] * sae.W_dec[feature] for feature in candidates}
    best: Chosen | None = None
    effects = yield from effect_steps(lm, layer, rows, prompts, words, (-SHARE, 0.0, SHARE))
    for effect in effects:
        moved = min(effect.log_odds[2], -effect.log_odds[0])
        if best is None or moved > best.effect:
            best = Chosen(int(effect.name), signs[int(effect.name)], moved)
    assert best is not None
    return best


def _gradient(
    lm: LanguageModel, layer: int, prompts: Sequence[Sequence[int]], words: Words
) -> Float[Tensor, "d_in"]:
    """∂ mean log-odds / ∂ (a vector added at every position behind the first)."""
    ids, lengths = pad_prompts(prompts, lm.device)
    with torch.enable_grad():
        push = torch.zeros(lm.d_in, device=lm.device, requires_grad=True)

        def add(hidden: Tensor) -> Tensor:
            return torch.cat([hidden[:, :1], hidden[:, 1:] + push.to(hidden)], dim=1)

        gradient = torch.zeros_like(push)
        for some in prompts_at_once(lm, ids):
            with lm.intervene({layer: add}):
                logits = lm.model(input_ids=ids[some], use_cache=False).logits
            rows = torch.arange(len(logits), device=ids.device)
            last = logits[rows, lengths[some] - 1].float().log_softmax(-1)
            gradient += torch.autograd.grad(word_odds(last, words).sum(), push)[0]
    return gradient.cpu() / len(prompts)
