"""A brute-force pass over a small corpus: dense codes of every window, and what follows from them.

The plain reference of the index's tests: one window at a time, every token, no sparsity.
"""

from typing import NamedTuple

import numpy as np
import torch

from models.corpus import Window
from models.index.indexer import Indexer, run_index
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder

FEATURES = 30
SILENT, NEGATIVE_ONLY, POSITIVE_ONLY = 7, 8, 9
MOST = 4
LAYER = 1


def make_sae(sparsifier: str = "abstopk") -> SparseAutoencoder:
    """A random SAE with a silent feature, a constant negative one and a constant positive one."""
    k = 5 if sparsifier in ("abstopk", "topk", "vsae") else None
    signed = {"by_magnitude": True} if sparsifier == "vsae" else {}
    threshold = 2.0 if sparsifier in ("soft_threshold", "jumprelu") else 0.0
    sae = SparseAutoencoder(SAEConfig(32, FEATURES, sparsifier, k, threshold=threshold, **signed))  # type: ignore[arg-type]
    sae.initialise(torch.Generator().manual_seed(2))
    with torch.no_grad():
        for feature, bias in ((SILENT, 0.0), (NEGATIVE_ONLY, -1e4), (POSITIVE_ONLY, 1e4)):
            sae.W_enc[:, feature] = 0
            sae.b_enc[feature] = bias
    return sae.eval().requires_grad_(False)


def dense_codes(
    lm: LanguageModel, sae: SparseAutoencoder, windows: list[Window]
) -> list[np.ndarray]:
    """Dense codes of every window alone, position 0 set to 0."""
    codes = []
    for window in windows:
        ids = torch.from_numpy(window.tokens[None].astype(np.int64))
        code = sae.encode(lm.residual(ids, LAYER)[0]).numpy().copy()
        code[0] = 0
        codes.append(code)
    return codes


def indexed(
    lm: LanguageModel, sae: SparseAutoencoder, windows: list[Window], first: int = 0
) -> Indexer:
    """The index of these windows, the first of which has number `first`."""
    indexer = Indexer(sae, LAYER, MOST)
    for _ in run_index(lm, [indexer], windows, first):
        pass
    return indexer


class Flat(NamedTuple):
    """Every indexed token of a corpus behind the other."""

    code: np.ndarray  # [tokens, features]
    token: np.ndarray  # [tokens]


def flatten(codes: list[np.ndarray], windows: list[Window]) -> Flat:
    """All tokens but those at position 0."""
    return Flat(
        np.concatenate([code[1:] for code in codes]),
        np.concatenate([window.tokens[1:] for window in windows]),
    )
