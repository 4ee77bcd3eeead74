"""The identities of science §1, against brute force."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from models.sae.sparsifiers import (
    above,
    abstopk,
    batchabstopk,
    batchtopk,
    count_above,
    hard_threshold,
    jumprelu,
    pack,
    relu,
    soft_threshold,
    topk,
)

seeds = st.integers(0, 2**31 - 1)
shapes = st.tuples(st.integers(1, 5), st.integers(1, 7))
few = settings(max_examples=25, deadline=None)


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
@few
def test_abstopk_is_the_brute_force_prox(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    expected = torch.stack([brute_force_prox(row, k, non_negative=False) for row in u])
    assert_close(abstopk(u, k).dense(shape[1]), expected)


@given(seeds, shapes, st.data())
@few
def test_topk_is_the_brute_force_prox(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    expected = torch.stack([brute_force_prox(row, k, non_negative=True) for row in u])
    assert_close(topk(u, k).dense(shape[1]), expected)


@given(seeds, st.integers(1, 3), st.integers(1, 3), st.data(), st.booleans())
@few
def test_batched_choosers_are_the_brute_force_prox_of_the_whole_batch(
    seed: int, rows: int, width: int, data: st.DataObject, signed: bool
) -> None:
    u, k = draw_u(seed, (rows, width)), data.draw(st.integers(1, width))
    expected = brute_force_prox(u.flatten(), rows * k, non_negative=not signed)
    chooser = batchabstopk if signed else batchtopk
    assert_close(chooser(u, k).dense(width).flatten(), expected)


@given(seeds, shapes, st.data())
@few
def test_batched_codes_have_k_entries_a_row_on_average_and_no_latent_twice(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    code = batchabstopk(u, k)
    assert int((code.values != 0).sum()) == k * shape[0]
    assert int((code.dense(shape[1]) != 0).sum()) == k * shape[0]


@given(seeds, shapes, st.data())
@few
def test_abstopk_is_topk_on_the_split_dictionary(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    for signed, one_sided in ((abstopk, topk), (batchabstopk, batchtopk)):
        split = one_sided(torch.cat([u, -u], dim=-1), k).dense(2 * shape[1])
        expected = split[:, : shape[1]] - split[:, shape[1] :]
        assert_close(signed(u, k).dense(shape[1]), expected)


@given(seeds, shapes, st.data())
@few
def test_abstopk_keeps_signs_and_exactly_k(
    seed: int, shape: tuple[int, int], data: st.DataObject
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    z = abstopk(u, k).dense(shape[1])
    assert ((z != 0).sum(-1) == k).all()
    assert (z[z != 0] == u[z != 0]).all()


@given(seeds, st.integers(2, 6), st.integers(1, 7), st.sampled_from([topk, abstopk]))
@few
def test_a_row_does_not_depend_on_the_rest_of_the_batch(
    seed: int, rows: int, width: int, chooser
) -> None:
    u = draw_u(seed, (rows, width))
    k = max(1, width // 2)
    assert_close(chooser(u, k).dense(width)[:1], chooser(u[:1], k).dense(width))


def objective(u: torch.Tensor, z: torch.Tensor, weight: float, norm: int) -> torch.Tensor:
    """½(u − z)² + λ|z| or + λ[z ≠ 0], entry by entry."""
    return 0.5 * (u - z).square() + weight * (z.abs() if norm else (z != 0).to(u.dtype))


GRID = torch.linspace(-4, 4, 801, dtype=torch.float64)  # holds 0


@pytest.mark.parametrize(
    ("sparsifier", "norm", "signed"),
    [
        (relu, 1, False),
        (soft_threshold, 1, True),
        (jumprelu, 0, False),
        (hard_threshold, 0, True),
    ],
)
@given(seed=seeds, shape=shapes, weight=st.floats(0.01, 2))
@few
def test_no_candidate_beats_the_proximal_step(
    sparsifier, norm: int, signed: bool, seed: int, shape: tuple[int, int], weight: float
) -> None:
    u = draw_u(seed, shape)
    z = sparsifier(u, weight if norm else (2 * weight) ** 0.5)  # θ = √(2λ)
    candidates = GRID if signed else GRID[GRID >= 0]
    tried = torch.cat([candidates.expand(*shape, -1), u[..., None]], dim=-1)
    if not signed:
        tried = tried.clamp(min=0)
        assert (z >= 0).all()
    best = objective(u[..., None], tried, weight, norm).amin(-1)
    assert (objective(u, z, weight, norm) <= best + 1e-12).all()


@given(seeds, shapes, st.floats(0.01, 2))
@few
def test_signed_thresholds_are_odd_and_agree_with_the_one_sided_above_zero(
    seed: int, shape: tuple[int, int], threshold: float
) -> None:
    u = draw_u(seed, shape)
    for signed, one_sided in ((soft_threshold, relu), (hard_threshold, jumprelu)):
        assert_close(signed(-u, threshold), -signed(u, threshold))
        assert_close(signed(u, threshold).clamp(min=0), one_sided(u, threshold))


@pytest.mark.parametrize("sparsifier", [relu, soft_threshold])
def test_shrinkage_has_the_gradient_of_finite_differences(sparsifier) -> None:
    u = draw_u(0, (4, 6)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: sparsifier(v, 0.3), u)


@pytest.mark.parametrize("signed", [False, True])
@given(seed=seeds, shape=shapes, bandwidth=st.floats(0.05, 2))
@few
def test_the_threshold_gets_the_straight_through_gradient(
    signed: bool, seed: int, shape: tuple[int, int], bandwidth: float
) -> None:
    u = draw_u(seed, shape).requires_grad_()
    theta = (draw_u(seed + 1, (1, shape[1]))[0].abs() + 0.1).requires_grad_()
    upstream, counted = draw_u(seed + 2, shape), draw_u(seed + 3, (shape[0], 1))
    gate = hard_threshold if signed else jumprelu
    z = gate(u, theta, bandwidth)
    loss = (upstream * z).sum() + (counted[:, 0] * count_above(u, theta, bandwidth, signed)).sum()
    loss.backward()
    rank = (u.abs() if signed else u).detach()
    kernel = ((rank - theta).abs() < bandwidth / 2) / bandwidth
    sign = u.detach().sign() if signed else 1.0
    expected = -(kernel * (sign * theta * upstream + counted)).sum(0)
    assert_close(theta.grad, expected.detach())
    assert_close(u.grad, upstream * (rank >= theta))


@pytest.mark.parametrize("signed", [False, True])
def test_the_count_is_the_code_s_own_l0(signed: bool) -> None:
    u, theta = draw_u(0, (5, 9)), draw_u(1, (1, 9))[0].abs() + 0.1
    z = (hard_threshold if signed else jumprelu)(u, theta)
    assert_close(count_above(u, theta, by_magnitude=signed), (z != 0).sum(-1).to(u.dtype))


@given(seeds, shapes, st.data(), st.booleans())
@few
def test_the_smallest_active_value_as_threshold_gives_the_batch_s_code_again(
    seed: int, shape: tuple[int, int], data: st.DataObject, signed: bool
) -> None:
    u, k = draw_u(seed, shape), data.draw(st.integers(1, shape[1]))
    code = (batchabstopk if signed else batchtopk)(u, k)
    active = code.values[code.values != 0].abs()
    if len(active):
        assert_close(above(u, active.min(), signed), code.dense(shape[1]))


def test_an_unlearnt_threshold_keeps_no_value_below_zero_of_a_one_sided_code() -> None:
    u = draw_u(0, (4, 9))
    assert_close(above(u, 0.0, by_magnitude=False), relu(u))
    assert_close(above(u, 0.0, by_magnitude=True), u)


@given(seeds, shapes, st.floats(0, 1))
@few
def test_packing_the_entries_of_a_dense_code_loses_nothing(
    seed: int, shape: tuple[int, int], share: float
) -> None:
    z = draw_u(seed, shape) * (draw_u(seed + 1, shape) > share)
    rows, latents = z.nonzero(as_tuple=True)
    code = pack(rows, latents, z[rows, latents], shape[0])
    assert_close(code.dense(shape[1]), z)
    assert code.values.shape[1] == max(1, int((z != 0).sum(-1).max()))


@pytest.mark.parametrize("chooser", [topk, abstopk, batchtopk, batchabstopk])
def test_choosers_pass_the_gradient_of_the_chosen_only(chooser) -> None:
    u = draw_u(3, (4, 6)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: chooser(v, 3).dense(6), u)
