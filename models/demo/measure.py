"""Bits per character of a causal LM on held-out stories: comparable across tokenizers.

Knows nothing of how the model was trained.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.demo.text import encode_stories


class Measure(NamedTuple):
    """Cross-entropy in bits per character and nats per token, with the counts behind them."""

    bits_per_character: float
    nats_per_token: float
    tokens: int
    characters: int


@torch.inference_mode()
def measure_bits_per_character(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    stories: Sequence[str],
    context: int = 512,
) -> Measure:
    """Score the first `context` tokens of every story, each alone behind one BOS.

    Characters are those of the scored tokens' text, so that a cut story counts what was scored.
    """
    nats, tokens, characters = 0.0, 0, 0
    for ids in encode_stories(tokenizer, stories):
        window = torch.from_numpy(ids[:context].astype("int64"))[None].to(model.device)
        logits = model(input_ids=window, use_cache=False).logits[0, :-1].float()
        targets = window[0, 1:]
        whole = len(ids) <= context
        nats += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        tokens += len(targets)
        text = targets[:-1] if whole else targets
        characters += len(tokenizer.decode(text))
    return Measure(nats / math.log(2) / characters, nats / tokens, tokens, characters)
