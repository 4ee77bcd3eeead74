"""The loss of one batch: reconstruction (nested or not), sparsity penalty, and AuxK.

Losses are sums over this rank's rows over counts of the global batch, so that gradients add up to
those of one process. Knows nothing of optimisers or schedules.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import mse_loss

from models.kernels import KernelOptions, Transpose, decode_sparse, encode_topk
from models.sae import SAEOutput, SparseAutoencoder
from models.train.config import TrainConfig
from models.train.group import Group

TINY = 1e-12
DENSE_UP_TO = 4
"""Dead latents per chosen one beyond which AuxK goes through the chosen ones only:
about where the two take equally long on a CPU at 512 × 16,384."""


class Reconstruction(NamedTuple):
    """The loss of the reconstruction, and Σ‖x − x̂‖² of the whole SAE over this rank's rows."""

    loss: Tensor
    squared_error: Tensor


def reconstruction_loss(output: SAEOutput, rows: Tensor | float) -> Reconstruction:
    """Σ‖x − x̂‖² / (rows·d_in); with Matryoshka prefixes, the mean of that over the nested x̂.

    `rows` counts the global batch. Source: Gao et al. 2024; Bussmann et al. 2025 (2503.17547) §3.
    """
    nested = output.prefixes or (output.reconstruction,)
    errors = [mse_loss(x, output.target, reduction="sum") for x in nested]
    total = errors[0] if len(errors) == 1 else torch.stack(errors).sum()
    entries = rows * output.target.shape[-1] * len(nested)
    return Reconstruction(total / entries, errors[-1].detach())


def auxiliary_loss(
    sae: SparseAutoencoder,
    output: SAEOutput,
    dead: Bool[Tensor, "d_sae"],
    config: TrainConfig,
    group: Group,
    options: KernelOptions | None = None,
) -> Tensor:
    """AuxK: ‖e − ê‖² / ‖e‖² for the residual e = x − x̂ rebuilt by dead latents; 0 if there are none.

    ê = Σ z_i d_i (no b_dec, which x̂ has) over the auxk dead latents of each row that have the largest
    |u| where codes are signed (z = u), the largest u elsewhere (z = max(u, 0)). e is held fixed; the
    gradient reaches encoder and decoder of the dead. Source: Gao et al. 2024, App. A.2; science §3.
    """
    features = dead.nonzero()[:, 0]
    if config.auxk_weight == 0 or len(features) == 0:
        return output.target.new_zeros(())
    wanted = (output.target - output.reconstruction).detach()
    k = min(len(features), config.auxk or max(1, sae.config.d_in // 2))
    rebuild = _rebuild_densely if len(features) <= DENSE_UP_TO * k else _rebuild_sparsely
    rebuilt = rebuild(sae, output.target, features, k, options)
    size = group.sum(wanted.square().sum()).clamp(min=TINY)
    return mse_loss(rebuilt, wanted, reduction="sum") / size


def _rebuild_densely(
    sae: SparseAutoencoder, target: Tensor, features: Tensor, k: int, _: KernelOptions | None
) -> Tensor:
    """ê by matrix products over all dead latents: the faster way while they are few."""
    u = sae.pre_activate_some(target, features)
    z = u if sae.config.is_signed else torch.relu(u)
    if k < len(features):
        chosen = z.detach().abs().topk(k, dim=-1, sorted=False).indices
        z = z * torch.zeros_like(z).scatter_(-1, chosen, 1.0)
    return z @ sae.W_dec.index_select(0, features)


def _rebuild_sparsely(
    sae: SparseAutoencoder, target: Tensor, features: Tensor, k: int, options: KernelOptions | None
) -> Tensor:
    """The same through the chosen latents only: [batch, dead] never exists, however many are dead."""
    # Buffers are kept by shape, and these have the number of the dead in theirs: they would pile up.
    options = replace(options, workspace=None) if options else None
    transpose = Transpose()
    W_enc = sae.W_enc.index_select(1, features)
    b_enc = sae.b_enc.index_select(0, features)
    code = encode_topk(target, W_enc, b_enc, sae.b_dec, k, sae.config.is_signed, options, transpose)
    return decode_sparse(code, sae.W_dec.index_select(0, features), options, transpose)


def spread(target: Float[Tensor, "batch d_in"], centre: Float[Tensor, "d_in"]) -> Tensor:
    """Σ(x − c) in the first d_in places and Σ‖x − c‖² in the last: what a variance needs."""
    centred = target - centre
    return torch.cat([centred.sum(0), centred.square().sum()[None]])
