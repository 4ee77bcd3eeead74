"""The reconstruction of a sparse code, Σ values·W_dec[indices], through its active latents only.

Knows nothing of biases, units or losses.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.path import find_path
from models.kernels.transpose import Transpose


def decode_sparse(
    code: SparseCode,
    W_dec: Float[Tensor, "d_sae d_in"],
    options: KernelOptions | None = None,
    transpose: Transpose | None = None,
) -> Float[Tensor, "batch d_in"]:
    """z @ W_dec for a sparse code z, with gradients to its values and to W_dec.

    ∂/∂values[b, j] = g[b]·W_dec[indices[b, j]] and ∂/∂W_dec[i] = Σ values·g over the slots of i, for
    the gradient g of the result; unused slots (of value 0) get 0.
    Source: science §1, with the sums kept to the k active rows.
    """
    options = options or KernelOptions()
    transpose = Transpose() if transpose is None else transpose
    return _Decode.apply(code.indices, code.values, W_dec, options, transpose)


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, indices, values, W_dec, options, transpose):
        path = find_path(options, values)
        ctx.save_for_backward(indices, values, W_dec)
        ctx.path, ctx.options, ctx.transpose = path, options, transpose
        return path.sum_rows(SparseCode(indices, values), W_dec)

    @staticmethod
    def backward(ctx, *gradients: Tensor):
        indices, values, W_dec = ctx.saved_tensors
        _, to_values, to_weight, *_ = ctx.needs_input_grad
        gradient = gradients[0].contiguous()
        for_values = None
        if to_values:
            for_values = ctx.path.dot_used(SparseCode(indices, values), gradient, W_dec)
        for_weight = None
        if to_weight:
            by_latent = ctx.transpose.of(indices, len(W_dec), ctx.path.sort_by_latent)
            for_weight = ctx.path.sum_by_latent(by_latent, values, gradient, ctx.options)
        return None, for_values, for_weight, None, None
