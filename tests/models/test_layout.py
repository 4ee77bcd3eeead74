"""Maps: axis distance, repeatability, small cases."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import models.layout
from models.layout import distance_matrix, lay_out, layout_steps
from models.layout.neighbours import find_neighbours, unit_rows
from models.layout.quality import preservation, trustworthiness


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


def clusters(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(count // 10, 16, generator=generator)
    rows = centres.repeat(10, 1) + 0.2 * torch.randn(len(centres) * 10, 16, generator=generator)
    return rows * (torch.randint(0, 2, (len(rows), 1), generator=generator) * 2 - 1)


@pytest.mark.parametrize("metric", ["axis", "directed"])
def test_neighbours_are_those_of_the_distance_matrix(metric: str) -> None:
    unit = unit_rows(clusters(200))
    distances = distance_matrix(unit, metric)  # type: ignore[arg-type]
    np.fill_diagonal(distances, np.inf)
    *_, last = find_neighbours(unit, metric, 7)  # type: ignore[arg-type]
    assert last.neighbours is not None
    assert_array_equal(last.neighbours.places, distances.argsort(axis=1)[:, :7])
    assert_allclose(last.neighbours.distances, np.sort(distances, axis=1)[:, :7], atol=1e-6)


def test_trustworthiness_is_that_of_scikit_learn() -> None:
    from sklearn.manifold import trustworthiness as reference

    unit = unit_rows(clusters(300))
    places = np.random.default_rng(0).normal(size=(300, 2))
    expected = reference(
        distance_matrix(unit, "axis"), places, n_neighbors=15, metric="precomputed"
    )
    assert_allclose(trustworthiness(unit, places, "axis"), expected, atol=1e-6)


def test_many_rows_have_a_quick_map_at_once_which_the_better_one_replaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with thousands of rows, on a few hundred."""
    monkeypatch.setattr(models.layout, "AT_ONCE", 100)
    monkeypatch.setattr(models.layout, "FEW", 200)
    monkeypatch.setattr(models.layout.tsne, "REST", 150)
    monkeypatch.setattr(models.layout.tsne, "ITERATIONS", 400)
    rows = clusters(400)
    steps = list(layout_steps(rows, np.arange(400), "axis"))
    quick, last = [step.layout for step in steps if step.layout is not None]
    assert steps[0].layout is quick
    assert "quick" in quick.method
    assert "openTSNE" in last.method
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    unit = unit_rows(rows)
    near = [preservation(unit, each.coordinates, "axis", k=5) for each in (quick, last)]
    assert near[1] > 0.5 > near[0]


def test_negated_rows_move_no_point_of_the_axis_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models.layout, "FEW", 200)
    monkeypatch.setattr(models.layout.tsne, "ITERATIONS", 50)
    rows = clusters(300)
    first, second = (lay_out(each, np.arange(300), "axis").coordinates for each in (rows, -rows))
    assert_array_equal(first, second)


def test_too_many_rows_are_drawn_at_random_and_the_method_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models.layout, "MOST_ITEMS", 50)
    layout = lay_out(rows(60), np.arange(100, 160))
    assert "50 of 60 drawn at random" in layout.method
    assert len(layout.features) == len(layout.coordinates) == 50
    assert (np.diff(layout.features) > 0).all()
