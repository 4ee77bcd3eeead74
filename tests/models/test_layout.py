"""Maps: axis distance, repeatability, small cases."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from models.layout import distance_matrix, lay_out


def rows(count: int) -> torch.Tensor:
    return torch.nn.functional.normalize(
        torch.randn(count, 12, generator=torch.Generator().manual_seed(0)), dim=-1
    )


def test_a_direction_and_its_opposite_coincide_on_the_axis_metric_only() -> None:
    pair = torch.stack([rows(1)[0], -rows(1)[0]])
    assert_allclose(distance_matrix(pair, "axis")[0, 1], 0, atol=1e-6)
    assert_allclose(distance_matrix(pair, "directed")[0, 1], 2, atol=1e-6)


@pytest.mark.parametrize("metric", ["axis", "directed"])
def test_the_same_seed_gives_the_same_map_with_its_figures(metric: str) -> None:
    first, second = (lay_out(rows(60), np.arange(60), metric, seed=1) for _ in range(2))  # type: ignore[arg-type]
    assert_array_equal(first.coordinates, second.coordinates)
    assert first.coordinates.shape == (60, 2)
    assert np.isfinite(first.coordinates).all()
    assert first.trustworthiness is not None
    assert 0.5 < first.trustworthiness <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_a_handful_of_rows_is_mapped_too(count: int) -> None:
    layout = lay_out(rows(count), np.arange(count))
    assert layout.coordinates.shape == (count, 2)
    assert layout.trustworthiness is None
