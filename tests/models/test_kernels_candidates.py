"""Candidates from a rough encode choose and reconstruct as the exact encode does."""

import pytest
import torch
from torch import Tensor

from models.kernels import (
    KernelOptions,
    compiled_candidates,
    decode_sparse,
    encode_topk,
)

PATHS = ["torch", "compiled"]


def planted(batch: int, d_in: int, d_sae: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Activations made of a few dictionary rows and noise, with that dictionary as both weights."""
    rows = torch.nn.functional.normalize(torch.randn(d_sae, d_in), dim=-1)
    places = torch.randint(d_sae, (batch, 12))
    x = torch.einsum("bk,bkd->bd", torch.randn(batch, 12), rows[places])
    x = x + 0.3 * torch.randn(batch, d_in)
    return x, rows.T, 0.1 * torch.randn(d_sae), rows


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("by_magnitude", [False, True])
def test_candidates_choose_the_same_latents_and_lose_nothing(path: str, by_magnitude: bool) -> None:
    batch, k = 2_048, 24
    x, W_enc, b_enc, W_dec = planted(batch, 128, 1_024)
    exact, rough = (
        encode_topk(
            x, W_enc, b_enc, torch.zeros(128), k, by_magnitude, KernelOptions(precision, path)
        )
        for precision in ("exact", "candidates")
    )

    same = (exact.indices.sort().values == rough.indices.sort().values).all(-1)
    losses = [(x - decode_sparse(code, W_dec)).square().mean() for code in (exact, rough)]

    assert float(same.float().mean()) >= 0.999
    assert abs(float(losses[1] / losses[0]) - 1) < 1e-3
    torch.testing.assert_close(
        rough.dense(1_024)[same], exact.dense(1_024)[same], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("path", PATHS)
def test_where_every_latent_would_be_a_candidate_the_encode_is_exact(path: str) -> None:
    x, W_enc, b_enc, _ = planted(16, 32, 40)
    arguments = (x, W_enc, b_enc, torch.zeros(32), 30, True)
    exact = encode_topk(*arguments, KernelOptions("exact", path))
    rough = encode_topk(*arguments, KernelOptions("candidates", path))
    assert torch.equal(exact.dense(40), rough.dense(40))


@pytest.mark.parametrize("path", PATHS)
def test_candidates_below_zero_are_no_code_of_a_one_sided_sae(path: str) -> None:
    x, W_enc, b_enc, _ = planted(64, 128, 256)
    code = encode_topk(
        x, W_enc, b_enc - 3, torch.zeros(128), 20, False, KernelOptions("candidates", path)
    )
    assert float(code.values.min()) == 0
    assert bool((code.values != 0).any())


needs_integers = pytest.mark.skipif(
    not compiled_candidates.multiplies_integers(),
    reason="this processor multiplies no 8-bit integers",
)


@needs_integers
@pytest.mark.parametrize("by_magnitude", [False, True])
def test_rows_with_a_few_huge_entries_are_left_to_the_exact_encode(by_magnitude: bool) -> None:
    x, W_enc, b_enc, _ = planted(64, 128, 1_024)
    # One step of such a row is longer than its other entries, on which alone u depends.
    x[::2, 5] = 5_000.0
    W_enc = W_enc.clone().index_fill_(0, torch.tensor(5), 0.0)
    arguments = (x, W_enc, b_enc, 24, by_magnitude, KernelOptions("candidates"))
    left = compiled_candidates.shortlist(*arguments).left
    assert left.tolist() == list(range(0, 64, 2))

    exact, rough = (
        encode_topk(*arguments[:3], torch.zeros(128), 24, by_magnitude, KernelOptions(precision))
        for precision in ("exact", "candidates")
    )
    torch.testing.assert_close(rough.dense(1_024), exact.dense(1_024), rtol=1e-4, atol=1e-4)


@needs_integers
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_left_to_the_exact_encode(poison: float) -> None:
    x, W_enc, b_enc, _ = planted(8, 128, 1_024)
    x[3, 7] = poison
    shortlisted = compiled_candidates.shortlist(x, W_enc, b_enc, 24, True, KernelOptions())
    assert shortlisted.left.tolist() == [3]


@needs_integers
def test_rounding_keeps_a_row_within_half_a_step() -> None:
    matrix = torch.randn(6, 50) * torch.logspace(-3, 3, 6)[:, None]
    matrix[4] = 0
    steps, scale, norms = compiled_candidates._round(matrix, KernelOptions())
    errors = (steps.float() * scale[:, None] - matrix).abs()
    assert bool((errors <= 0.501 * scale[:, None]).all())
    torch.testing.assert_close(norms, matrix.norm(dim=-1))


def test_without_such_a_processor_the_encode_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    from models.kernels import compiled

    monkeypatch.setattr(compiled, "multiplies_integers", lambda: False)
    x, W_enc, b_enc, _ = planted(32, 128, 1_024)
    arguments = (x, W_enc, b_enc, torch.zeros(128), 24, True)
    exact, rough = (
        encode_topk(*arguments, KernelOptions(each)) for each in ("exact", "candidates")
    )
    assert torch.equal(exact.dense(1_024), rough.dense(1_024))
