"""Small SAEs of every sparsifier, their biases and thresholds drawn so that every branch is met."""

from typing import get_args

import torch

from models.sae import SAEConfig, SparseAutoencoder
from models.sae.config import LEARNT_THRESHOLD, SHRINKING, WITH_K, Sparsifier

D_IN, D_SAE, K, VOCABULARY = 8, 20, 4, 11
KINDS: tuple[str, ...] = get_args(Sparsifier)
SIGNED = ("soft_threshold", "hard_threshold", "abstopk", "batchabstopk", "dim")
ONE_SIDED = ("relu", "jumprelu", "topk", "batchtopk", "vsae")
LEARNS_FROM_ROWS = tuple(kind for kind in KINDS if kind != "dim")


def make_config(kind: str, **options: object) -> SAEConfig:
    """The settings of a small SAE of this kind, a threshold of 0.3 wherever there is one."""
    settings: dict[str, object] = {"k": K} if kind in WITH_K else {}
    if kind in (*SHRINKING, *LEARNT_THRESHOLD):
        settings["threshold"] = 0.3
    return SAEConfig(D_IN, D_SAE, kind, **(settings | options))  # type: ignore[arg-type]


def make_sae(kind: str, seed: int = 0, **options: object) -> SparseAutoencoder:
    """A random SAE in evaluation mode; batched ones have learnt a threshold of 0.8."""
    sae = SparseAutoencoder(make_config(kind, **options))
    random = torch.Generator().manual_seed(seed)
    sae.initialise(random)
    with torch.no_grad():
        sae.b_enc.normal_(std=0.1, generator=random)
        sae.b_dec.normal_(std=0.1, generator=random)
        sae.W_enc.add_(0.1 * torch.randn(sae.W_enc.shape, generator=random))
        if sae.config.learns_sigma:
            sae.W_var.normal_(std=0.1, generator=random)
        if sae.config.is_batched:
            sae.threshold.fill_(0.8)
        if sae.config.token_bias:
            sae.token_means.normal_(generator=random)
    return sae.eval()


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Standard normal numbers of one seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def draw_tokens(count: int, seed: int = 0, vocabulary: int = VOCABULARY) -> torch.Tensor:
    """Token ids of one seed."""
    return torch.randint(0, vocabulary, (count,), generator=torch.Generator().manual_seed(seed))
