"""The ways of computing the sparse maths, and which one serves given tensors.

Every path is a module with the functions of `Path`; `reference` says what each computes. Knows no
gradients.
"""

from functools import cache
from importlib import import_module
from typing import Protocol, cast

import torch
from torch import Tensor

from models.kernels.code import SparseCode
from models.kernels.options import KernelOptions
from models.kernels.transpose import ByLatent

SUITED = {"compiled": "cpu", "triton": "cuda"}


class Path(Protocol):
    """What a path can compute: see `models.kernels.reference` for shapes."""

    def choose_rows(
        self,
        centred: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        k: int,
        by_magnitude: bool,
        options: KernelOptions,
    ) -> SparseCode: ...

    def choose_batch(
        self,
        centred: Tensor,
        W_enc: Tensor,
        b_enc: Tensor,
        k: int,
        by_magnitude: bool,
        options: KernelOptions,
    ) -> SparseCode: ...

    def sort_by_latent(self, indices: Tensor, d_sae: int) -> ByLatent: ...

    def sum_rows(self, code: SparseCode, weight: Tensor) -> Tensor: ...

    def dot_used(self, code: SparseCode, vectors: Tensor, weight: Tensor) -> Tensor: ...

    def sum_by_latent(
        self, by_latent: ByLatent, weights: Tensor, vectors: Tensor, options: KernelOptions
    ) -> Tensor: ...


def find_path(options: KernelOptions, tensor: Tensor) -> Path:
    """The path that the options name, or for `auto` the fastest one that is there for this tensor.

    Raises ValueError when the named path cannot serve it.
    """
    if options.backend == "torch":
        return _load("reference")
    device = device_of(tensor)
    for backend, suited in SUITED.items():
        if options.backend not in (backend, "auto"):
            continue
        fits = device == suited and tensor.dtype == torch.float32
        if fits and is_installed(backend):
            return _load(backend)
        if options.backend == backend:
            raise ValueError(
                f"backend {backend!r} is not installed: `pip install dipole[fast]`, or choose 'auto'"
                if fits
                else f"backend {backend!r} is for float32 on {suited}, not for {tensor.dtype} on "
                f"{device}: choose backend 'auto'"
            )
    return _load("reference")


def device_of(tensor: Tensor) -> str:
    """The kind of device that holds a tensor."""
    return tensor.device.type


@cache
def is_installed(backend: str) -> bool:
    """Whether the libraries of a path import: numba for `compiled`, Triton for `triton`."""
    try:
        _load(backend)
    except (ImportError, RuntimeError, OSError):  # numba without a folder to keep its code in
        return False
    return True


def _load(name: str) -> Path:
    module = {"triton": "triton_path"}.get(name, name)
    return cast("Path", import_module(f"models.kernels.{module}"))
