"""A corpus of our own: stories sampled from the demo model, so that no foreign text is shipped.

Knows nothing of files.
"""

from collections.abc import Iterator

import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerFast

from models.demo.tokenizer import END_OF_TEXT

ROWS = 96
LONGEST = 400  # tokens
SHORTEST = 60
MOST_TOKENS = 512


@torch.inference_mode()
def sample_stories(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    seed: int,
    temperature: float,
    top_p: float,
) -> Iterator[tuple[str, int]]:
    """Whole stories with their token counts, for as long as one asks; repeats are dropped.

    A story counts when it ended by itself and has at least SHORTEST tokens.
    """
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    random = torch.Generator(model.device).manual_seed(seed)
    seen: set[str] = set()
    while True:
        for tokens in sample_batch(model, end, random, temperature, top_p):
            text = tokenizer.decode(tokens).strip()
            if len(tokens) >= SHORTEST and text[:160] not in seen:
                seen.add(text[:160])
                yield text, len(tokens)


def sample_batch(
    model: PreTrainedModel, end: int, random: torch.Generator, temperature: float, top_p: float
) -> list[list[int]]:
    """The stories of ROWS rows that ended within LONGEST tokens, end mark left out; ended rows leave the batch."""
    cache = DynamicCache(config=model.config)
    ids = torch.full((ROWS, 1), end, device=model.device)
    rows: list[list[int]] = [[] for _ in range(ROWS)]
    is_over = [False] * ROWS
    ended: list[list[int]] = []
    for _ in range(LONGEST):
        logits = model(
            input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1
        ).logits[:, -1]
        ids = draw(logits.float() / temperature, top_p, random)
        for row, token in enumerate(ids[:, 0].tolist()):
            if is_over[row]:
                continue
            if token == end:
                is_over[row] = True
                ended.append(rows[row])
            else:
                rows[row].append(token)
        kept = [row for row, over in enumerate(is_over) if not over]
        if not kept:
            break
        if len(kept) < 0.8 * len(rows):  # each move copies the cache: not for every row
            chosen = torch.tensor(kept, device=model.device)
            cache.batch_select_indices(chosen)
            ids, rows, is_over = ids[chosen], [rows[row] for row in kept], [False] * len(kept)
    return ended


def draw(logits: torch.Tensor, top_p: float, random: torch.Generator) -> torch.Tensor:
    """One token per row from the smallest set of likely tokens (at most MOST_TOKENS) that holds `top_p`."""
    probability, order = logits.softmax(-1).topk(min(MOST_TOKENS, logits.shape[-1]), dim=-1)
    probability[probability.cumsum(-1) - probability > top_p] = 0
    return order.gather(-1, torch.multinomial(probability, 1, generator=random))
