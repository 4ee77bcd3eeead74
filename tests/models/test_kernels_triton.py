"""The Triton path against the reference, on a CUDA device.

Where there is none, the same kernels run in Triton's interpreter, which needs only the package:
`TRITON_INTERPRET=1 pytest tests/models/test_kernels_triton.py`.
"""

import os

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.kernels import (
    KernelOptions,
    Transpose,
    decode_sparse,
    encode_batch_topk,
    encode_topk,
    path,
)

pytestmark = pytest.mark.gpu

ENCODERS = {"rows": encode_topk, "batch": encode_batch_topk}


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> str:
    interprets = os.environ.get("TRITON_INTERPRET") == "1"
    if not (torch.cuda.is_available() or interprets):
        pytest.skip("no CUDA device, and TRITON_INTERPRET=1 is not set")
    if not path.is_installed("triton"):
        pytest.skip("triton is not installed")
    if torch.cuda.is_available():
        return "cuda"
    monkeypatch.setitem(path.SUITED, "triton", "cpu")
    return "cpu"


def step(
    encoder: str, precision: str, backend: str, by_magnitude: bool, weights: list[Tensor], k: int
) -> list[Tensor]:
    """Code, reconstruction and gradients of one forward and backward pass."""
    options, transpose = KernelOptions(precision, backend), Transpose()  # type: ignore[arg-type]
    code = ENCODERS[encoder](*weights[:4], k, by_magnitude, options, transpose)
    result = decode_sparse(code, weights[4], options, transpose) + weights[3]
    found = torch.autograd.grad((result - weights[0]).square().sum(), weights[1:])
    return [code.dense(weights[1].shape[1]), result, *found]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("precision", ["exact", "candidates"])
@pytest.mark.parametrize("by_magnitude", [False, True])
@pytest.mark.parametrize("shape", [(9, 24, 60, 5), (3, 40, 1_100, 7), (1, 8, 40, 40)])
def test_a_step_is_the_reference_s(
    device: str, encoder: str, precision: str, by_magnitude: bool, shape: tuple[int, ...]
) -> None:
    batch, d_in, d_sae, k = shape
    shapes = [(batch, d_in), (d_in, d_sae), (d_sae,), (d_in,), (d_sae, d_in)]
    weights = [torch.randn(each).to(device).requires_grad_() for each in shapes]
    weights[0] = weights[0].detach()

    expected = step(encoder, "exact", "torch", by_magnitude, weights, k)
    found = step(encoder, precision, "triton", by_magnitude, weights, k)

    for one, two in zip(found, expected, strict=True):
        assert_close(one, two, rtol=1e-4, atol=1e-4 * max(1.0, float(two.detach().abs().max())))


@pytest.mark.parametrize("precision", ["exact", "candidates"])
def test_a_latent_that_fires_everywhere_and_rows_in_parts(
    device: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.kernels import triton_path

    monkeypatch.setattr(triton_path, "LARGEST_PART", 128)
    shapes = [(70, 20), (20, 300), (300,), (20,), (300, 20)]
    weights = [torch.randn(each) for each in shapes]
    weights[2][7] += 100.0
    weights = [each.to(device).requires_grad_() for each in weights]
    weights[0] = weights[0].detach()
    expected = step("rows", "exact", "torch", True, weights, 40)
    found = step("rows", precision, "triton", True, weights, 40)
    for one, two in zip(found, expected, strict=True):
        assert_close(one, two, rtol=1e-4, atol=1e-4 * max(1.0, float(two.detach().abs().max())))


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_two_runs_have_the_same_gradients_bit_for_bit(device: str, backend: str) -> None:
    shapes = [(4_096, 32), (32, 64), (64,), (32,), (64, 32)]  # many additions to each latent
    weights = [torch.randn(each).to(device).requires_grad_() for each in shapes]
    weights[0] = weights[0].detach()
    once, again = (step("rows", "exact", backend, True, weights, 8) for _ in range(2))
    for one, two in zip(once, again, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("by_magnitude", [False, True])
@pytest.mark.parametrize("part", [256, 1_400, 16_384])  # too small for k, two parts, one
def test_among_equals_exactly_k_are_chosen(
    device: str, by_magnitude: bool, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.kernels import triton_path

    monkeypatch.setattr(triton_path, "LARGEST_PART", part)
    u = torch.randint(-2, 3, (4, 1_500)).float().to(device)
    none = torch.zeros(1_500, device=device)
    code = encode_topk(
        torch.eye(4, device=device),
        u,
        none,
        none[:4],
        700,
        by_magnitude,
        KernelOptions(backend="triton"),
    )
    sizes = u.abs() if by_magnitude else u.clamp(min=0)
    assert all(len(row.unique()) == 700 for row in code.indices)
    assert_close(code.values.abs().sort().values, sizes.topk(700).values.sort().values)


def test_auto_chooses_triton_on_the_device(device: str) -> None:
    if device == "cpu":
        pytest.skip("on the CPU the compiled path comes first")
    found = path.find_path(KernelOptions(), torch.zeros(1, device=device))
    assert found.__name__ == "models.kernels.triton_path"
