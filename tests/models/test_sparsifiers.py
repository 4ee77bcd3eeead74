"""The identities of science §1, against brute force."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.sae.sparsifiers import abstopk, count_above, jumprelu, relu, topk

seeds = st.integers(0, 2**31 - 1)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 7))


def draw_u(seed: int, shape: tuple[int, int]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute_force_prox(u: torch.Tensor, k: int, non_negative: bool) -> torch.Tensor:
    """argmin over supports of size k of ‖u − z‖², tried one by one."""
    best, best_error = torch.zeros_like(u), float(u.square().sum())
    for support in itertools.combinations(range(len(u)), k):
        z = torch.zeros_like(u)
        z[list(support)] = u[list(support)].clamp(min=0) if non_negative else u[list(support)]
        error = float((u - z).square().sum())
        if error < best_error:
            best, best_error = z, error
    return best


@given(seeds, shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_abstopk_is_the_brute_force_prox(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    expected = torch.stack([brute_force_prox(row, k, non_negative=False) for row in u])
    assert_close(abstopk(u, k).dense(shape[1]), expected)


@given(seeds, shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_topk_is_the_brute_force_prox(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    expected = torch.stack([brute_force_prox(row, k, non_negative=True) for row in u])
    assert_close(topk(u, k).dense(shape[1]), expected)


@given(seeds, shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_abstopk_is_topk_on_the_split_dictionary(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    split = topk(torch.cat([u, -u], dim=-1), k).dense(2 * shape[1])
    assert_close(abstopk(u, k).dense(shape[1]), split[:, : shape[1]] - split[:, shape[1] :])


@given(seeds, shapes, st.data())
@settings(max_examples=60, deadline=None)
def test_abstopk_keeps_signs_and_exactly_k(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    z = abstopk(u, k).dense(shape[1])
    assert ((z != 0).sum(-1) == k).all()
    assert (z[z != 0] == u[z != 0]).all()


@given(seeds, st.integers(2, 6), st.integers(1, 7), st.sampled_from([topk, abstopk]))
@settings(max_examples=60, deadline=None)
def test_a_row_does_not_depend_on_the_rest_of_the_batch(
    seed: int, rows: int, width: int, chooser
) -> None:
    u = draw_u(seed, (rows, width))
    k = max(1, width // 2)
    assert_close(chooser(u, k).dense(width)[:1], chooser(u[:1], k).dense(width))


@given(seeds, shapes, st.floats(0, 2))
@settings(max_examples=60, deadline=None)
def test_relu_minimises_its_objective(seed: int, shape: tuple[int, int], threshold: float) -> None:
    u = draw_u(seed, shape)
    z = relu(u, threshold)
    for candidate in (z + 0.01, (z - 0.01).clamp(min=0)):
        assert (
            _l1_objective(u, z, threshold) <= _l1_objective(u, candidate, threshold) + 1e-12
        ).all()


def _l1_objective(u: torch.Tensor, z: torch.Tensor, weight: float) -> torch.Tensor:
    return 0.5 * (u - z).square() + weight * z


@given(seeds, shapes, st.floats(0.01, 2))
@settings(max_examples=60, deadline=None)
def test_jumprelu_is_the_l0_prox_with_theta_root_two_lambda(
    seed: int, shape: tuple[int, int], theta: float
) -> None:
    u, weight = draw_u(seed, shape), theta**2 / 2
    keep = 0.5 * 0 + weight <= 0.5 * u.square()
    expected = torch.where(keep & (u > 0), u, torch.zeros_like(u))
    assert_close(jumprelu(u, theta), expected)


def test_jumprelu_threshold_gets_the_straight_through_gradient() -> None:
    u = torch.tensor([[0.999, 1.0004, 3.0]], dtype=torch.float64)
    theta = torch.full((3,), 1.0, dtype=torch.float64, requires_grad=True)
    jumprelu(u, theta, bandwidth=0.01).sum().backward()
    assert_close(theta.grad, torch.tensor([-100.0, -100.0, 0.0], dtype=torch.float64))
    theta.grad = None
    count_above(u, theta, bandwidth=0.01).sum().backward()
    assert_close(theta.grad, torch.tensor([-100.0, -100.0, 0.0], dtype=torch.float64))


def test_jumprelu_passes_the_gradient_of_u_above_the_threshold_only() -> None:
    u = torch.tensor([[0.5, 2.0, -3.0]], dtype=torch.float64, requires_grad=True)
    jumprelu(u, 1.0).sum().backward()
    assert_close(u.grad, torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64))
