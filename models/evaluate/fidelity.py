"""How faithful an SAE is: normalised MSE, cosine, L0, loss recovered, on held-out windows.

Source: science §4. Knows nothing of training or storage.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.activations import TOKENS_PER_FORWARD
from models.corpus import Window, batch_windows, pad
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder


class Fidelity(NamedTuple):
    """All measured on the same `tokens` held-out tokens (position 0 left out).

    nmse = Σ‖x − x̂‖² / Σ‖x − mean‖² (= 1 − FVE); nmse_raw = Σ‖x − x̂‖² / Σ‖x‖² (AbsTopK);
    loss_recovered = (CE_zero − CE_sae) / (CE_zero − CE_original), CE in nats.
    """

    nmse: float
    nmse_raw: float
    cosine: float
    l0: float
    loss_recovered: float
    ce_original: float
    ce_sae: float
    ce_zero: float
    tokens: int


@torch.inference_mode()
def measure_fidelity(
    lm: LanguageModel,
    layer: int,
    sae: SparseAutoencoder,
    windows: Sequence[Window],
) -> Fidelity:
    """Replace the residual stream after `layer` by its reconstruction and compare on the same tokens."""
    names = ("error", "square", "cosine", "l0", "original", "sae", "zero")
    sums: dict[str, float] = dict.fromkeys(names, 0.0)
    total, tokens = torch.zeros(lm.d_in, dtype=torch.float64), 0
    for batch in batch_windows(windows, TOKENS_PER_FORWARD // 4):
        chosen = [windows[index] for index in batch]
        ids = torch.from_numpy(pad(chosen)).to(lm.device)
        lengths = torch.tensor([len(window.tokens) for window in chosen], device=lm.device)
        places = torch.arange(ids.shape[1], device=lm.device)[None]
        kept = (places > 0) & (places < lengths[:, None])
        x = lm.residual(ids, layer)[kept].float()
        code = sae.encode_sparse(x, ids[kept])
        x_hat = sae.decode(code, ids[kept])
        sums["error"] += float((x - x_hat).square().sum(dtype=torch.float64))
        sums["square"] += float(x.square().sum(dtype=torch.float64))
        sums["cosine"] += float(torch.cosine_similarity(x, x_hat, dim=-1).sum())
        sums["l0"] += float((code.values != 0).sum())
        total += x.sum(0, dtype=torch.float64).cpu()
        tokens += len(x)
        sums["original"] += _cross_entropy(lm, ids, lengths)
        for name, value in (("sae", x_hat), ("zero", torch.zeros_like(x))):
            with lm.intervene({layer: _replace(kept, value)}):
                sums[name] += _cross_entropy(lm, ids, lengths)
    variance = sums["square"] - float(total.square().sum()) / tokens
    ce = {name: sums[name] / tokens for name in ("original", "sae", "zero")}
    return Fidelity(
        nmse=sums["error"] / variance,
        nmse_raw=sums["error"] / sums["square"],
        cosine=sums["cosine"] / tokens,
        l0=sums["l0"] / tokens,
        loss_recovered=(ce["zero"] - ce["sae"]) / (ce["zero"] - ce["original"]),
        ce_original=ce["original"],
        ce_sae=ce["sae"],
        ce_zero=ce["zero"],
        tokens=tokens,
    )


def _replace(kept: Tensor, value: Tensor):
    def edit(hidden: Tensor) -> Tensor:
        changed = hidden.clone()
        changed[kept] = value.to(hidden.dtype)
        return changed

    return edit


def _cross_entropy(lm: LanguageModel, ids: Tensor, lengths: Tensor) -> float:
    """Summed cross-entropy in nats of predicting each window's tokens 1 … length − 1."""
    logits = lm.model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    targets = ids[:, 1:].clone()
    places = torch.arange(1, ids.shape[1], device=ids.device)[None]
    targets[places >= lengths[:, None]] = -100
    return float(
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    )
