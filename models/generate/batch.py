"""The running batch: rows join after their own first pass, write a token each per step, and leave.

One forward pass per step for all rows, each with its own edits. Knows nothing of requests or queues.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.generate.cache import BatchCache, new_cache
from models.generate.hooks import StepHooks, hooks_of
from models.generate.row import Row
from models.language_model import LanguageModel


@dataclass(frozen=True, slots=True)
class NewToken:
    """One new token of one row; `index` counts from 0, `is_last` when the row ends with it."""

    row: Row
    index: int
    token_id: int
    is_last: bool


class GenerationBatch:
    """Rows being written by one model. A row that has ended has left the batch already."""

    def __init__(self, lm: LanguageModel) -> None:
        self.lm = lm
        self.rows: list[Row] = []
        self._cache: BatchCache | None = None
        self._hooks: StepHooks | None = None  # made anew when rows join or leave
        self._ends = end_tokens(lm)
        self._device = lm.device  # asked of the model, it is looked up in its parameters

    @torch.inference_mode()
    def admit(self, rows: Sequence[Row]) -> list[NewToken]:
        """Let rows of one prompt join: their first tokens come from a pass of their own.

        Raises ValueError when prompt and new tokens exceed the model's context, or prompts differ.
        """
        prompt = list(rows[0].prompt)
        if any(list(row.prompt) != prompt for row in rows):
            raise ValueError("rows that join together need one prompt: admit them one by one")
        longest = max(row.max_new_tokens for row in rows)
        if len(prompt) + longest > self.lm.context:
            raise ValueError(
                f"the prompt has {len(prompt)} tokens and {longest} are to be added, but {self.lm.name} reads at most "
                f"{self.lm.context}: shorten the prompt or ask for fewer tokens"
            )
        ids = torch.tensor([prompt] * len(rows), device=self._device)
        cache = new_cache()
        with self.lm.intervene(hooks_of(rows, ids)):
            output = self.lm.model(
                input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
        joined = BatchCache(cache, torch.ones_like(ids, dtype=torch.bool))
        self._cache = joined if self._cache is None else self._cache.join(joined)
        self.rows.extend(rows)
        self._hooks = None
        new = self._choose(rows, output.logits[:, -1])
        self._leave([token.row for token in new if token.is_last])
        return new

    @torch.inference_mode()
    def step(self) -> list[NewToken]:
        """One token for every row, in their order; nothing without rows."""
        if not self.rows:
            return []
        cache = self._cache
        assert cache is not None
        ids = torch.tensor([[row.written[-1]] for row in self.rows], device=self._device)
        positions = cache.extend()
        if self._hooks is None:
            self._hooks = StepHooks(self.rows)
        with self.lm.intervene(self._hooks.of(ids)):
            output = self.lm.model(
                input_ids=ids,
                attention_mask=cache.next_mask(),
                position_ids=positions,
                past_key_values=cache.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        new = self._choose(self.rows, output.logits[:, -1])
        self._leave([token.row for token in new if token.is_last])
        return new

    def remove(self, rows: Sequence[Row]) -> None:
        """Let rows go that nobody waits for any more."""
        self._leave(rows)

    def _choose(self, rows: Sequence[Row], logits: Tensor) -> list[NewToken]:
        chosen = choose_tokens(
            logits.float(),
            [row.temperature for row in rows],
            [0.0 if row.temperature == 0 else row.draw() for row in rows],
        )
        new = []
        for row, token_id in zip(rows, chosen, strict=True):
            row.written.append(token_id)
            row.has_ended = token_id in self._ends
            new.append(NewToken(row, len(row.written) - 1, token_id, row.is_done))
        return new

    def _leave(self, rows: Sequence[Row]) -> None:
        leaving = {id(row) for row in rows}
        kept = [place for place, row in enumerate(self.rows) if id(row) not in leaving]
        if len(kept) == len(self.rows):
            return
        self.rows = [self.rows[place] for place in kept]
        self._hooks = None
        assert self._cache is not None
        self._cache = self._cache.select(kept) if kept else None


def generate(lm: LanguageModel, rows: Sequence[Row]) -> Iterator[NewToken]:
    """Write rows of one prompt to their ends, token by token."""
    batch = GenerationBatch(lm)
    yield from batch.admit(rows)
    while batch.rows:
        yield from batch.step()


def choose_tokens(
    logits: Float[Tensor, "rows vocabulary"],
    temperatures: Sequence[float],
    draws: Sequence[float],
) -> list[int]:
    """Per row the greedy token at temperature 0, else that at which the cumulative probability passes the draw."""
    greedy = logits.argmax(-1).tolist()
    drawn = [place for place, temperature in enumerate(temperatures) if temperature > 0]
    if drawn:
        heat = torch.tensor([temperatures[place] for place in drawn], device=logits.device).double()
        cumulative = (logits[drawn].double() / heat[:, None]).softmax(-1).cumsum(-1)
        mark = torch.tensor([[draws[place]] for place in drawn], device=logits.device).double()
        found = torch.searchsorted(cumulative, mark, right=True).clamp(max=logits.shape[-1] - 1)
        for place, token_id in zip(drawn, found[:, 0].tolist(), strict=True):
            greedy[place] = token_id
    return greedy


def end_tokens(lm: LanguageModel) -> set[int]:
    """The token ids at which the model ends a text."""
    ends = lm.model.generation_config.eos_token_id
    found = ends if isinstance(ends, list) else [ends]
    return {token for token in [*found, lm.tokenizer.eos_token_id] if token is not None}
