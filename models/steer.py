"""Generation with signed edits of the residual stream: several strengths as rows of one batch.

Operations of science §5. Knows nothing of requests, queues or text streams beyond tokens.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder

Operation = Literal["add", "clamp", "scale", "project"]
NEUTRAL: dict[Operation, float | None] = {"add": 0.0, "scale": 1.0, "clamp": None, "project": None}
"""The strength at which an operation is exactly the unsteered model; None: there is none."""


@dataclass(frozen=True)
class SteerEdit:
    """One edit along one latent; `strengths` has one entry per row of the batch.

    Strengths are in the latent's own (scaled) units: c·d_i / input_scale in the residual stream.
    """

    sae: SparseAutoencoder
    layer: int
    feature: int
    operation: Operation
    strengths: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.feature < self.sae.config.d_sae:
            raise ValueError(
                f"feature {self.feature} is out of range: the SAE has 0 to {self.sae.config.d_sae - 1}"
            )
        if self.operation not in NEUTRAL:
            raise ValueError(
                f"operation {self.operation!r} is unknown: choose one of {', '.join(NEUTRAL)}"
            )


class GeneratedToken(NamedTuple):
    """One new token of one row; `index` counts from 0, `is_last` when the row ends here."""

    row: int
    index: int
    token_id: int
    is_last: bool


@torch.inference_mode()
def generate(
    lm: LanguageModel,
    prompt: Sequence[int],
    edits: Sequence[SteerEdit],
    rows: int,
    max_new_tokens: int,
    seed: int = 0,
    temperature: float = 0.8,
) -> Iterator[GeneratedToken]:
    """Generate `rows` continuations of one prompt in one batch, each with its own strengths.

    Edits act on prompt and generated tokens, position 0 (BOS, the attention sink) left out.
    All rows draw from one seeded stream of uniform numbers, so that equal strengths give equal
    text within a batch; across batch sizes only matrix kernels differ, by rounding. A row ends with the end-of-text token, which is yielded.
    Raises ValueError when prompt and new tokens exceed the model's context.
    """
    if len(prompt) + max_new_tokens > lm.context:
        raise ValueError(
            f"the prompt has {len(prompt)} tokens and {max_new_tokens} are to be added, but {lm.name} reads at most "
            f"{lm.context}: shorten the prompt or ask for fewer tokens"
        )
    if any(len(edit.strengths) != rows for edit in edits):
        raise ValueError(f"every edit needs one strength per row, {rows} in all")
    random = torch.Generator().manual_seed(seed)
    ends = end_tokens(lm)
    cache = DynamicCache(config=lm.model.config)
    ids = torch.tensor([list(prompt)] * rows, device=lm.device)
    alive = [True] * rows
    for index in range(max_new_tokens):
        with lm.intervene(_hooks(edits, skip_first=index == 0)):
            output = lm.model(
                input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
        draw = float(torch.rand((), generator=random, dtype=torch.float64))
        chosen = choose_token(output.logits[:, -1].float(), temperature, draw)
        for row, token_id in enumerate(chosen.tolist()):
            if alive[row]:
                alive[row] = token_id not in ends and index + 1 < max_new_tokens
                yield GeneratedToken(row, index, token_id, not alive[row])
        if not any(alive):
            return
        ids = chosen[:, None].to(lm.device)


def choose_token(
    logits: Float[Tensor, "rows vocabulary"], temperature: float, draw: float
) -> Tensor:
    """The greedy token at temperature 0, else the token at which the cumulative probability passes `draw`."""
    if temperature == 0:
        return logits.argmax(-1)
    cumulative = (logits.double() / temperature).softmax(-1).cumsum(-1)
    last = logits.shape[-1] - 1
    return (
        torch.searchsorted(
            cumulative,
            torch.full((len(logits), 1), draw, dtype=torch.float64, device=logits.device),
        )
        .squeeze(-1)
        .clamp(max=last)
    )


def apply_edit(
    hidden: Float[Tensor, "rows position d_in"], edit: SteerEdit
) -> Float[Tensor, "rows position d_in"]:
    """The edit at every given position; rows at the neutral strength come back bit for bit."""
    strength = torch.tensor(edit.strengths, device=hidden.device, dtype=hidden.dtype)[:, None, None]
    direction = edit.sae.W_dec[edit.feature].to(hidden)
    scale = edit.sae.config.input_scale
    match edit.operation:
        case "add":
            change = strength * direction / scale
        case "project":
            change = (strength / scale - (hidden @ direction)[..., None]) * direction
        case "clamp":
            change = (strength - _code(edit, hidden)) * direction / scale
        case "scale":
            change = (strength - 1) * _code(edit, hidden) * direction / scale
    edited = hidden + change
    neutral = NEUTRAL[edit.operation]
    return edited if neutral is None else torch.where(strength == neutral, hidden, edited)


def _code(edit: SteerEdit, hidden: Tensor) -> Tensor:
    """The latent's code at every position, [rows, position, 1]."""
    flat = hidden.reshape(-1, hidden.shape[-1]).float()
    code = edit.sae.encode(flat)[:, edit.feature]
    return code.reshape(*hidden.shape[:-1], 1).to(hidden.dtype)


def _hooks(edits: Sequence[SteerEdit], skip_first: bool) -> dict[int, Callable[[Tensor], Tensor]]:
    """One function per layer that applies its edits in order."""

    def at(layer: int) -> Callable[[Tensor], Tensor]:
        chosen = [edit for edit in edits if edit.layer == layer]

        def edit_all(hidden: Tensor) -> Tensor:
            start = 1 if skip_first else 0
            tail = hidden[:, start:]
            for edit in chosen:
                tail = apply_edit(tail, edit)
            return torch.cat([hidden[:, :start], tail], dim=1)

        return edit_all

    return {layer: at(layer) for layer in {edit.layer for edit in edits}}


def end_tokens(lm: LanguageModel) -> set[int]:
    """The token ids at which the model ends a text."""
    ends = lm.model.generation_config.eos_token_id
    found = ends if isinstance(ends, list) else [ends]
    return {token for token in [*found, lm.tokenizer.eos_token_id] if token is not None}
