"""Steering by several directions at equal ‖Δh‖: what it does to a concept's words, and what it costs.

Strengths are shares of the median ‖h‖ at the hook, so that a feature, a pair and a DiM axis push
equally hard. Words are found in the train texts, prompts are cut from held-out ones. Source:
science §4 and §5. Knows nothing of how the directions were chosen, nor where text breaks.
"""

import math
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.language_model import LanguageModel

SIZES = (0.08, 0.15, 0.25, 0.4, 0.6, 0.9, 1.3)
SHARES = (*(-size for size in reversed(SIZES)), 0.0, *SIZES)
MOST_PROMPTS = 64
TOKENS = 30
"""Written behind a prompt where that is asked for; a prompt leaves room for them in the context."""
LOGITS = 1 << 26
"""Held at once: 256 MB."""


class Words(NamedTuple):
    """Token ids that tell the sides apart, the most distinctive first."""

    a: list[int]
    b: list[int]


class Effect(NamedTuple):
    """One direction at every share; `log_odds` is the mean change of log P(A words) − log P(B words)
    of the next token, `loss_rise` that of the loss on the prompts' own tokens, nats a token."""

    name: str
    shares: tuple[float, ...]
    log_odds: list[float]
    loss_rise: list[float]
    kl: list[float]


def distinctive_words(
    lm: LanguageModel, a: Sequence[str], b: Sequence[str], most: int = 12
) -> Words:
    """Tokens over-represented on one side by smoothed log odds, in two texts at least."""
    counts = [_document_counts(lm, side) for side in (a, b)]
    sizes = [len(side) for side in (a, b)]

    def weight(token: int) -> float:
        shares = [(counts[s][token] + 0.5) / (sizes[s] + 1) for s in (0, 1)]
        odds = [math.log(share / (1 - share)) if share < 1 else math.inf for share in shares]
        return odds[0] - odds[1]

    known = {token for side in counts for token, count in side.items() if count >= 2}
    order = sorted(known, key=lambda token: (-weight(token), token))
    return Words(
        [token for token in order[:most] if weight(token) > 1],
        [token for token in order[::-1][:most] if weight(token) < -1],
    )


def cut_prompts(lm: LanguageModel, texts: Sequence[str], words: Words) -> list[list[int]]:
    """Texts up to just before their first distinctive word, each once, three tokens at least.

    Of more than MOST_PROMPTS they are taken at even steps, so that texts of A before texts of B give
    prompts of both. A word that comes too late to leave room for TOKENS is none.
    """
    told = {*words.a, *words.b}
    found: dict[tuple[int, ...], None] = {}
    for text in texts:
        ids = lm.tokenize(text)[: max(0, lm.context - TOKENS) + 1]
        first = next((place for place, token in enumerate(ids) if token in told), 0)
        if first >= 3:
            found.setdefault(tuple(ids[:first]))
    every = [list(ids) for ids in found]
    kept = min(len(every), MOST_PROMPTS)
    return [every[place * len(every) // kept] for place in range(kept)]


def effect_steps(
    lm: LanguageModel,
    layer: int,
    directions: dict[str, Float[Tensor, "d_in"]],
    prompts: Sequence[Sequence[int]],
    words: Words,
    shares: tuple[float, ...] = SHARES,
) -> Generator[None, None, list[Effect]]:
    """Every direction (made unit) at every share of the median ‖h‖, behind position 0.

    Yields between two passes, so that others can use the device. Raises ValueError without prompts
    or words: there is nothing to measure on.
    """
    require_words(prompts, words)
    ids, lengths = pad_prompts(prompts, lm.device)
    hidden = lm.residual(ids, layer)
    size = median_norm(hidden, lengths)
    plain = _pushed(lm, layer, hidden, None, ids, lengths, words)
    effects = []
    for name, direction in directions.items():
        unit = torch.nn.functional.normalize(direction.float(), dim=0).to(lm.device)
        rows = []
        for share in shares:
            yield
            push = unit * share * size if share else None
            rows.append(_pushed(lm, layer, hidden, push, ids, lengths, words))
        effects.append(
            Effect(
                name,
                tuple(shares),
                [float((row.odds - plain.odds).mean()) for row in rows],
                [row.loss - plain.loss for row in rows],
                [float(_kl(row.last, plain.last).mean()) for row in rows],
            )
        )
    return effects


def median_norm(
    hidden: Float[Tensor, "prompts longest d_in"], lengths: Int[Tensor, "prompts"]
) -> float:
    """The median ‖h‖ over the prompts' tokens, position 0 left out."""
    kept = torch.arange(hidden.shape[1], device=hidden.device)[None] < lengths[:, None]
    kept[:, 0] = False
    return float(hidden[kept].float().norm(dim=-1).median())


class _Reading(NamedTuple):
    last: Float[Tensor, "prompts vocabulary"]  # log-probabilities behind each prompt
    odds: Float[Tensor, "prompts"]
    loss: float


@torch.inference_mode()
def _pushed(
    lm: LanguageModel,
    layer: int,
    hidden: Tensor,
    push: Tensor | None,
    ids: Tensor,
    lengths: Tensor,
    words: Words,
) -> _Reading:
    """What the model says once the stream behind position 0 is moved; None: as it is."""
    if push is not None:
        hidden = torch.cat([hidden[:, :1], hidden[:, 1:] + push.to(hidden)], dim=1)
    last, told = [], []
    for some in prompts_at_once(lm, ids):
        with lm.resume(layer, hidden[some]):
            logits = lm.model(input_ids=ids[some], use_cache=False).logits
        rows = torch.arange(len(logits), device=ids.device)
        last.append(logits[rows, lengths[some] - 1].float().log_softmax(-1))
        log_probabilities = logits[:, :-1].float().log_softmax(-1)
        own = log_probabilities.gather(-1, ids[some, 1:, None])[..., 0]
        kept = torch.arange(1, ids.shape[1], device=ids.device)[None] < lengths[some, None]
        told.append(own[kept])
    behind = torch.cat(last)
    return _Reading(behind, word_odds(behind, words), -float(torch.cat(told).mean()))


def prompts_at_once(lm: LanguageModel, ids: Int[Tensor, "prompts longest"]) -> Iterator[slice]:
    """The prompts in parts whose logits at every position are LOGITS at most."""
    most = max(1, LOGITS // (ids.shape[1] * lm.model.get_output_embeddings().weight.shape[0]))
    for first in range(0, len(ids), most):
        yield slice(first, first + most)


def _kl(steered: Tensor, plain: Tensor) -> Tensor:
    return (steered.exp() * (steered - plain)).sum(-1)


def require_words(prompts: Sequence[Sequence[int]], words: Words) -> None:
    """Raise ValueError unless there is something to measure on."""
    if not prompts or not words.a or not words.b:
        raise ValueError(
            "the texts have no words that tell A from B, or none has three tokens before one: "
            "give longer texts, or more of them"
        )


def word_odds(log_probabilities: Float[Tensor, "n vocabulary"], words: Words) -> Float[Tensor, "n"]:
    """log P(a word of A) − log P(a word of B), nats."""
    return log_probabilities[:, words.a].logsumexp(-1) - log_probabilities[:, words.b].logsumexp(-1)


def pad_prompts(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[Int[Tensor, "prompts longest"], Int[Tensor, "prompts"]]:
    """Token ids padded on the right, and the lengths."""
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    ids = np.zeros((len(prompts), int(lengths.max())), dtype=np.int64)
    for row, prompt in zip(ids, prompts, strict=True):
        row[: len(prompt)] = prompt
    return torch.from_numpy(ids).to(device), lengths.to(device)


def _document_counts(lm: LanguageModel, texts: Sequence[str]) -> Counter[int]:
    """In how many texts each token occurs."""
    counts: Counter[int] = Counter()
    for text in texts:
        counts.update(set(lm.tokenize(text)[1:]))
    return counts
