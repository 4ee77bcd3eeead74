"""Encoding and decoding of sparse codes, by every path, against plain dense autograd."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from models.kernels import (
    KernelOptions,
    SparseCode,
    Transpose,
    Workspace,
    decode_sparse,
    encode_batch_topk,
    encode_topk,
)

PATHS = ["torch", "compiled"]
ENCODERS = {"rows": encode_topk, "batch": encode_batch_topk}
seeds = st.integers(0, 2**31 - 1)


class Weights(NamedTuple):
    x: Tensor
    W_enc: Tensor
    b_enc: Tensor
    b_dec: Tensor
    W_dec: Tensor


def draw(shape: tuple[int, int, int], seed: int = 0, dtype=torch.float32) -> Weights:
    """Random x and weights that want gradients, for batch, d_in and d_sae."""
    batch, d_in, d_sae = shape
    random = torch.Generator().manual_seed(seed)
    shapes = [(batch, d_in), (d_in, d_sae), (d_sae,), (d_in,), (d_sae, d_in)]
    return Weights(
        *(
            torch.randn(each, generator=random, dtype=dtype).requires_grad_(place > 0)
            for place, each in enumerate(shapes)
        )
    )


def dense_code(weights: Weights, k: int, by_magnitude: bool, of_batch: bool = False) -> Tensor:
    """The same code written out, by plain operations on the whole [batch, d_sae]."""
    u = (weights.x - weights.b_dec) @ weights.W_enc + weights.b_enc
    sizes = u.abs() if by_magnitude else u
    if of_batch:
        kept = sizes.flatten().topk(k * len(u)).indices
        mask = torch.zeros(u.numel(), dtype=torch.bool).scatter(0, kept, True).view_as(u)
    else:
        kept = sizes.topk(k, dim=-1).indices
        mask = torch.zeros_like(u, dtype=torch.bool).scatter(-1, kept, True)
    return torch.where(mask, u if by_magnitude else torch.relu(u), 0)


def gradients(result: Tensor, weights: Weights) -> list[Tensor]:
    """Gradients of a fixed quadratic of the result, to everything that wants one."""
    pull = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    loss = (pull * result).sum() + result.square().sum()
    return list(torch.autograd.grad(loss, [each for each in weights if each.requires_grad]))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("by_magnitude", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("batch", [1, 37])
def test_code_reconstruction_and_gradients_are_those_of_dense_autograd(
    encoder: str, by_magnitude: bool, path: str, k: int, batch: int
) -> None:
    weights, options = draw((batch, 16, 40)), KernelOptions(backend=path)
    transpose = Transpose()

    code = ENCODERS[encoder](*weights[:4], k, by_magnitude, options, transpose)
    result = decode_sparse(code, weights.W_dec, options, transpose) + weights.b_dec

    expected_code = dense_code(weights, k, by_magnitude, encoder == "batch")
    expected = expected_code @ weights.W_dec + weights.b_dec
    assert_close(code.dense(40), expected_code, rtol=1e-5, atol=1e-5)
    assert_close(result, expected, rtol=1e-5, atol=1e-4)
    for ours, theirs in zip(gradients(result, weights), gradients(expected, weights), strict=True):
        assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("by_magnitude", [False, True])
def test_gradients_are_right_in_double_precision(encoder: str, by_magnitude: bool) -> None:
    weights = draw((5, 4, 9), dtype=torch.float64)
    options, transpose = KernelOptions(backend="torch"), Transpose()

    def reconstruct(x, W_enc, b_enc, b_dec, W_dec):
        code = ENCODERS[encoder](x, W_enc, b_enc, b_dec, 3, by_magnitude, options, transpose)
        return decode_sparse(code, W_dec, options, transpose) + b_dec

    assert torch.autograd.gradcheck(reconstruct, [each.requires_grad_() for each in weights])


@pytest.mark.parametrize("path", PATHS)
@given(seed=seeds, shape=st.tuples(st.integers(1, 6), st.integers(1, 9)), data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_chosen_are_the_k_largest(path: str, seed: int, shape, data: st.DataObject) -> None:
    rows, d_sae = shape
    k, by_magnitude = data.draw(st.integers(1, d_sae)), data.draw(st.booleans())
    weights = draw((rows, 3, d_sae), seed)
    code = encode_topk(*weights[:4], k, by_magnitude, KernelOptions(backend=path))
    assert_close(code.dense(d_sae), dense_code(weights, k, by_magnitude), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("by_magnitude", [False, True])
@given(seed=seeds, d_sae=st.integers(1, 300), data=st.data())
@settings(max_examples=40, deadline=None)
def test_among_equals_exactly_k_are_chosen(
    path: str, by_magnitude: bool, seed: int, d_sae: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, d_sae))
    u = torch.randint(-2, 3, (4, d_sae), generator=torch.Generator().manual_seed(seed)).float()
    code = encode_topk(
        torch.eye(4),
        u,
        torch.zeros(d_sae),
        torch.zeros(4),
        k,
        by_magnitude,
        KernelOptions(backend=path),
    )
    sizes = u.abs() if by_magnitude else u.clamp(min=0)
    expected = sizes.topk(k).values.sort().values
    assert torch.equal(code.values.abs().sort().values, expected)
    assert torch.equal(code.values, u.gather(-1, code.indices) * (code.values != 0))
    used = [row[kept] for row, kept in zip(code.indices, code.values != 0, strict=True)]
    assert all(len(row.unique()) == len(row) for row in used)


@pytest.mark.parametrize("path", PATHS)
def test_wide_rows_are_searched_whole(path: str) -> None:
    weights = draw((3, 8, 5_003))
    code = encode_topk(*weights[:4], 4, True, KernelOptions(backend=path))
    assert_close(code.dense(5_003), dense_code(weights, 4, True), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("path", PATHS)
def test_rows_without_a_positive_u_have_no_code_and_no_gradient(encoder: str, path: str) -> None:
    weights = draw((4, 6, 20))
    below = weights._replace(b_enc=torch.full((20,), -1e3, requires_grad=True))
    options = KernelOptions(backend=path)
    code = ENCODERS[encoder](*below[:4], 5, False, options)
    result = decode_sparse(code, below.W_dec, options)
    found = torch.autograd.grad(
        (result + 1).square().sum(), [below.W_enc, below.b_enc, below.b_dec, below.W_dec]
    )
    assert not code.values.any()
    assert not any(each.any() for each in found)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("by_magnitude", [False, True])
def test_zero_rows_give_a_zero_code(path: str, by_magnitude: bool) -> None:
    x, width = torch.zeros(3, 6), 20
    code = encode_topk(
        x,
        torch.randn(6, width),
        torch.zeros(width),
        torch.zeros(6),
        4,
        by_magnitude,
        KernelOptions(backend=path),
    )
    assert code.indices.shape == (3, 4)
    assert not code.values.any()
    assert int(code.indices.max()) < width


@pytest.mark.parametrize("path", PATHS)
def test_the_batch_shares_its_slots_and_fills_short_rows(path: str) -> None:
    scale = torch.tensor([[0.01], [1.0], [100.0]])
    weights = draw((3, 6, 30))
    code = encode_batch_topk(
        weights.x * scale, *weights[1:3], torch.zeros(6), 4, True, KernelOptions(backend=path)
    )
    assert int((code.values != 0).sum()) == 12
    assert int((code.values[2] != 0).sum()) == code.values.shape[1]
    assert int((code.values[0] != 0).sum()) < 4


@pytest.mark.parametrize("path", PATHS)
def test_decoding_serves_any_indices_and_another_term_of_the_loss(path: str) -> None:
    weights, options = draw((5, 6, 12)), KernelOptions(backend=path)
    code = encode_topk(*weights[:4], 3, True, options)
    other = SparseCode(torch.randint(12, (5, 7)), torch.randn(5, 7, requires_grad=True))
    transpose = Transpose()
    result = decode_sparse(code, weights.W_dec, options, transpose) + decode_sparse(
        other, weights.W_dec, options, transpose
    )
    wanted = [weights.W_enc, weights.W_dec, other.values]
    ours = torch.autograd.grad(result.square().sum() + code.values.abs().sum(), wanted)

    dense = dense_code(weights, 3, True)
    expected = (dense + other.dense(12)) @ weights.W_dec
    theirs = torch.autograd.grad(expected.square().sum() + dense.abs().sum(), wanted)
    for one, two in zip(ours, theirs, strict=True):
        assert_close(one, two, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_shared_workspace_changes_no_gradient_from_step_to_step(path: str) -> None:
    workspace = Workspace()
    options = KernelOptions(backend=path, workspace=workspace)
    weights = draw((5, 6, 12))
    parameters = weights[1:]
    for step in range(3):
        for parameter in parameters:
            parameter.grad = None
        workspace.begin()
        x = weights.x + step
        code = encode_topk(x, *weights[1:4], 3, True, options)
        result = decode_sparse(code, weights.W_dec, options)
        (result.square().sum() + decode_sparse(code, weights.W_dec, options).sum()).backward()
        dense = dense_code(weights._replace(x=x), 3, True) @ weights.W_dec
        expected = torch.autograd.grad(
            dense.square().sum() + dense.sum(), [weights.W_enc, weights.b_enc, weights.W_dec]
        )
        ours = [weights.W_enc.grad, weights.b_enc.grad, weights.W_dec.grad]
        for one, two in zip(ours, expected, strict=True):
            assert_close(one, two, rtol=1e-5, atol=1e-4)


def test_unused_slots_are_not_read() -> None:
    weight = torch.randn(6, 4)
    weight[0] = torch.nan  # where unused slots point
    code = SparseCode(torch.tensor([[2, 0, 0], [1, 3, 5]]), torch.tensor([[1.5, 0, 0], [1, -2, 3]]))
    weight.requires_grad_()
    values = code.values.requires_grad_()
    result = decode_sparse(code, weight, KernelOptions(backend="compiled"))
    assert_close(result[0], 1.5 * weight[2])
    (gradient,) = torch.autograd.grad(result.sum(), [values])
    assert gradient[0, 1:].eq(0).all()
    assert torch.isfinite(gradient).all()


def test_a_width_that_cannot_hold_k_is_refused() -> None:
    weights = draw((2, 3, 4))
    with pytest.raises(ValueError, match="k is 5"):
        encode_topk(*weights[:4], 5, True)


def test_a_path_that_cannot_serve_is_refused_and_auto_never_is() -> None:
    weights = draw((2, 3, 4), dtype=torch.float64)
    with pytest.raises(ValueError, match="float32"):
        encode_topk(*weights[:4], 2, True, KernelOptions(backend="compiled"))
    with pytest.raises(ValueError, match="choose one of"):
        KernelOptions(backend="fortran")  # type: ignore[arg-type]
    assert encode_topk(*weights[:4], 2, True).values.dtype == torch.float64
