"""What the kernels allocate, how they share rows among threads, and what they do without numba."""

from collections.abc import Iterator

import pytest
import torch
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.kernels import (
    KernelOptions,
    Transpose,
    decode_sparse,
    encode_batch_topk,
    encode_topk,
    path,
)

BATCH, D_IN, D_SAE, K = 1_024, 16, 16_384, 4
ENCODERS = {"rows": encode_topk, "batch": encode_batch_topk}


class LargestTensor(TorchDispatchMode):
    """Notes the most elements of any tensor that an operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("backend", ["torch", "compiled"])
@pytest.mark.parametrize("precision", ["exact", "candidates"])
def test_a_step_holds_no_tensor_of_batch_by_d_sae(
    encoder: str, backend: str, precision: str
) -> None:
    W_enc = torch.randn(D_SAE, D_IN).T.requires_grad_()
    b_enc, b_dec = torch.zeros(D_SAE, requires_grad=True), torch.zeros(D_IN, requires_grad=True)
    W_dec = torch.randn(D_SAE, D_IN, requires_grad=True)
    options, transpose = KernelOptions(precision, backend), Transpose()  # type: ignore[arg-type]

    with LargestTensor() as largest:
        code = ENCODERS[encoder](
            torch.randn(BATCH, D_IN), W_enc, b_enc, b_dec, K, True, options, transpose
        )
        decode_sparse(code, W_dec, options, transpose).square().sum().backward()

    assert D_SAE * D_IN <= largest.elements <= BATCH * D_SAE // 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("precision", ["exact", "candidates"])
def test_two_threads_compute_what_one_does(precision: str) -> None:
    weights = [torch.randn(64, 300), torch.zeros(300), torch.zeros(64)]
    x, W_dec = torch.randn(701, 64), torch.randn(300, 64, requires_grad=True)
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        options = KernelOptions(precision, "compiled")  # type: ignore[arg-type]
        code = encode_topk(x, *weights, 8, True, options)
        result = decode_sparse(code, W_dec, options)
        (gradient,) = torch.autograd.grad(result.square().sum(), [W_dec])
        results.append((code.dense(300), result, gradient))
    for one, two in zip(*results, strict=True):
        assert_close(one, two)


def test_without_numba_the_torch_path_serves_and_the_named_one_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(path, "is_installed", lambda backend: False)
    assert path.find_path(KernelOptions(), torch.zeros(1)).__name__ == "models.kernels.reference"
    with pytest.raises(ValueError, match=r"pip install dipole\[fast\]"):
        path.find_path(KernelOptions(backend="compiled"), torch.zeros(1))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_with_everything_installed_each_device_gets_its_own_path(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "is_installed", lambda backend: True)
    monkeypatch.setattr(path, "_load", lambda name: name)
    tensor = torch.zeros(1, device="meta")
    monkeypatch.setattr(path, "device_of", lambda tensor: device)
    expected = {"cpu": "compiled", "cuda": "triton"}[device]
    assert path.find_path(KernelOptions(), tensor) == expected
    assert path.find_path(KernelOptions(backend="torch"), tensor) == "reference"
    assert path.find_path(KernelOptions(), tensor.double()) == "reference"
