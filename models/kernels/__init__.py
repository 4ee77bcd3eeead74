"""Sparse maths of k-sparse codes with gradients: encode, decode, and what their weights need.

The torch path is the reference; a compiled path (extra `fast`) and a Triton path (CUDA) stand in for
it where they can. Nothing here knows what an SAE is, or its recipe.
"""

from models.kernels.code import SparseCode
from models.kernels.decode import decode_sparse
from models.kernels.encode import encode_batch_topk, encode_topk
from models.kernels.options import KernelOptions
from models.kernels.transpose import Transpose
from models.kernels.workspace import Workspace

__all__ = [
    "KernelOptions",
    "SparseCode",
    "Transpose",
    "Workspace",
    "decode_sparse",
    "encode_batch_topk",
    "encode_topk",
]
