"""A corpus of our own: stories sampled from the demo model, so that no foreign text is shipped.

Knows nothing of files.
"""

from collections.abc import Iterator

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.demo.tokenizer import END_OF_TEXT

ROWS = 96
LONGEST = 500  # tokens
SHORTEST = 60


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
    seen: set[str] = set()
    batch = 0
    while True:
        torch.manual_seed(seed * 1_000_003 + batch)
        batch += 1
        start = torch.full((ROWS, 1), end, device=model.device)
        sampled = model.generate(
            start,
            attention_mask=torch.ones_like(start),
            do_sample=True,
            temperature=temperature,
            top_p=top_p,
            top_k=0,
            max_new_tokens=LONGEST,
            pad_token_id=end,
            eos_token_id=end,
        )
        for row in sampled[:, 1:].tolist():
            if end not in row or row.index(end) < SHORTEST:
                continue
            text = tokenizer.decode(row[: row.index(end)]).strip()
            if text[:160] not in seen:
                seen.add(text[:160])
                yield text, row.index(end)
