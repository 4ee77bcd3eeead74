"""The k largest pre-activations of a batch, with gradients through the chosen latents only.

u = (target − b_dec) W_enc + b_enc is computed in chunks of rows: [batch, d_sae] never exists, neither
here nor in the backward pass. Knows nothing of what the code is used for.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.path import find_path
from models.kernels.transpose import Transpose


def encode_topk(
    target: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, "d_sae"],
    b_dec: Float[Tensor, "d_in"],
    k: int,
    by_magnitude: bool,
    options: KernelOptions | None = None,
    transpose: Transpose | None = None,
) -> SparseCode:
    """TopK or AbsTopK of each row: the k largest u as max(u, 0), or the k largest |u| with their sign.

    Gradients go to W_enc, b_enc, b_dec and target through the slots in use (value ≠ 0). Raises
    ValueError unless 1 ≤ k ≤ d_sae. Source: AbsTopK (arXiv 2510.00404) §3, science §1.
    """
    _check(k, b_enc)
    options = options or KernelOptions()
    return _encode(target, W_enc, b_enc, b_dec, (k, by_magnitude, False), options, transpose)


def encode_batch_topk(
    target: Float[Tensor, "batch d_in"],
    W_enc: Float[Tensor, "d_in d_sae"],
    b_enc: Float[Tensor, "d_sae"],
    b_dec: Float[Tensor, "d_in"],
    k: int,
    by_magnitude: bool,
    options: KernelOptions | None = None,
    transpose: Transpose | None = None,
) -> SparseCode:
    """BatchTopK or BatchAbsTopK: the batch·k largest u (as max(u, 0)) or |u| (sign kept) of all rows.

    Always exact. The code is as wide as its fullest row; other rows are filled with unused slots.
    Gradients and errors as in `encode_topk`. Source: BatchTopK (arXiv 2412.06410), science §1.
    """
    _check(k, b_enc)
    options = options or KernelOptions()
    return _encode(target, W_enc, b_enc, b_dec, (k, by_magnitude, True), options, transpose)


def _check(k: int, b_enc: Tensor) -> None:
    if not 1 <= k <= len(b_enc):
        raise ValueError(f"k is {k}, but must be between 1 and d_sae = {len(b_enc)}")


def _encode(target, W_enc, b_enc, b_dec, choice, options, transpose) -> SparseCode:
    transpose = Transpose() if transpose is None else transpose
    indices, values = _Encode.apply(target, W_enc, b_enc, b_dec, choice, options, transpose)
    return SparseCode(indices, values)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, target, W_enc, b_enc, b_dec, choice, options, transpose):
        k, by_magnitude, of_batch = choice
        centred = target - b_dec
        path = find_path(options, centred)
        choose = path.choose_batch if of_batch else path.choose_rows
        indices, values = choose(centred, W_enc, b_enc, k, by_magnitude, options)
        ctx.save_for_backward(centred, W_enc, indices, values)
        ctx.path, ctx.options, ctx.transpose = path, options, transpose
        ctx.mark_non_differentiable(indices)
        return indices, values

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        centred, W_enc, indices, values = ctx.saved_tensors
        to_target, to_W_enc, to_b_enc, to_b_dec, *_ = ctx.needs_input_grad
        d_sae = W_enc.shape[1]
        used = gradients[1] * (values != 0)
        weight = target = None

        def by_latent(vectors: Tensor) -> Tensor:
            slots = ctx.transpose.of(indices, d_sae, ctx.path.sort_by_latent)
            return ctx.path.sum_by_latent(slots, used, vectors, ctx.options)

        if used.is_cuda:  # where index_add_ adds in another order every time
            bias = by_latent(used.new_ones(len(used), 1)).flatten()
        else:
            bias = used.new_zeros(d_sae).index_add_(0, indices.flatten(), used.flatten())
        if to_W_enc:
            weight = by_latent(centred).T
        if to_target:
            target = ctx.path.sum_rows(SparseCode(indices, used), W_enc.T)
        b_dec = -(W_enc @ bias) if to_b_dec else None
        return target, weight, bias if to_b_enc else None, b_dec, None, None, None
