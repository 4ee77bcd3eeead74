"""Tiny random language models of every supported family, with a tokenizer of their own."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.models.gemma2 import Gemma2Config
from transformers.models.gemma3 import Gemma3TextConfig
from transformers.models.gpt2 import GPT2Config
from transformers.models.gpt_neo import GPTNeoConfig
from transformers.models.gpt_neox import GPTNeoXConfig
from transformers.models.llama import LlamaConfig
from transformers.models.qwen2 import Qwen2Config
from transformers.models.qwen3 import Qwen3Config

from models.demo.tokenizer import train_tokenizer
from models.language_model import LanguageModel

VOCABULARY = 320
END = "<|endoftext|>"
TEXTS = [
    "Once upon a time there was a girl who had a red ball. She was happy.",
    "The boy saw a big dog in the park. He ran home to his mother.",
    "It was a cold day and the little bird was sad, but she sang a song.",
    "Tom and Lily played with the cat. They were good friends and they laughed.",
    "A king lived in a castle. He was not kind, and nobody liked him at all.",
    "The sun was hot. The flowers in the garden were thirsty, so mom gave them water.",
]

_rotary = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
_grouped = _rotary | {"num_key_value_heads": 2, "head_dim": 8}
_common = {
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

CONFIGS = {
    "gpt_neox": GPTNeoXConfig(**_rotary, **_common),
    "gpt2": GPT2Config(
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=128,
        vocab_size=VOCABULARY,
        bos_token_id=0,
        eos_token_id=0,
    ),
    "gpt_neo": GPTNeoConfig(
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        attention_types=[[["global", "local", "global"], 1]],
        window_size=16,
        **_common,
    ),
    "llama": LlamaConfig(**_grouped, **_common),
    "gemma2": Gemma2Config(**_grouped, **_common, query_pre_attn_scalar=8),
    "gemma3": Gemma3TextConfig(**_grouped, **_common, query_pre_attn_scalar=8),
    "qwen2": Qwen2Config(
        **{key: value for key, value in _grouped.items() if key != "head_dim"}, **_common
    ),
    "qwen3": Qwen3Config(**_grouped, **_common),
}


def tiny_lm(family: str = "gpt_neox", seed: int = 0) -> LanguageModel:
    """A random model of one family, its residual stream wide enough to be interesting."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[family])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    return LanguageModel(model, train_tokenizer(TEXTS, VOCABULARY), f"tiny-{family}")


def save_tiny_lm(folder: Path, family: str = "gpt_neox") -> Path:
    """The same model as a folder that transformers can load."""
    lm = tiny_lm(family)
    lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    return folder
