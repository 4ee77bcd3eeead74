"""From residual activations of padded windows to the sorted non-zero codes of one SAE.

Position 0 (BOS or its stand-in, the attention sink) and padding are left out. Knows nothing of
what is counted.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from models.index.blocks import WindowBlock
from models.index.firings import Firings, sort_firings
from models.sae import SparseAutoencoder

TOKENS_AT_ONCE = 8_192  # whose codes are held at once
CODES_AT_ONCE = 1 << 26  # the same for dense codes


@torch.inference_mode()
def encode_block(
    sae: SparseAutoencoder, residual: Float[Tensor, "windows position d_in"], block: WindowBlock
) -> Firings:
    """The codes of every indexed token of the block, whose rows are those of `residual`."""
    row, position = np.nonzero(block.is_indexed())
    step = max(256, min(TOKENS_AT_ONCE, CODES_AT_ONCE // sae.config.d_sae))
    parts = [
        _codes(sae, residual, block, row[start : start + step], position[start : start + step])
        for start in range(0, len(row), step)
    ]
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Firings(none, none, none, np.zeros(0, dtype=np.float32))
    feature, window, position, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sort_firings(feature, window, position, value, sae.config.d_sae)


def _codes(
    sae: SparseAutoencoder,
    residual: Tensor,
    block: WindowBlock,
    row: np.ndarray,
    position: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Feature, window, position and value of every code at these tokens, zeros included."""
    places = (torch.from_numpy(array).to(residual.device) for array in (row, position))
    tokens = None
    if sae.config.needs_tokens:
        ids = block.tokens[row, position].astype(np.int64)
        tokens = torch.from_numpy(ids).to(residual.device)
    code = sae.encode_sparse(residual[tuple(places)].float(), tokens)
    width = code.indices.shape[1]
    return (
        code.indices.cpu().numpy().ravel(),
        np.repeat(block.number[row], width),
        np.repeat(position, width),
        code.values.float().cpu().numpy().ravel(),
    )
