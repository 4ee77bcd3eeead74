import pytest
import torch

from models.evaluate import matching
from models.evaluate.matching import count_opposed, find_fragments, match_latents


def rows(count: int, seed: int, d_in: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, d_in, generator=generator), dim=-1)


@pytest.mark.parametrize("most", [4_096, 1])
def test_a_permuted_and_flipped_dictionary_is_matched_exactly(
    monkeypatch: pytest.MonkeyPatch, most: int
):
    monkeypatch.setattr(matching, "MOST_ASSIGNED", most)
    monkeypatch.setattr(matching, "ROWS_AT_ONCE", 5)
    a = rows(12, 0)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    signs = torch.where(torch.arange(12) % 3 == 0, -1.0, 1.0)
    found = match_latents(a, (a * signs[:, None])[order])
    assert {int(x): int(order[int(y)]) for x, y in zip(found.a, found.b, strict=True)} == {
        place: place for place in range(12)
    }
    assert found.cosine == pytest.approx(signs[found.a].numpy(), abs=1e-5)
    assert found.is_assignment == (most > 1)


def test_the_two_halves_of_a_planted_axis_are_found():
    axis = rows(1, 3)
    others = rows(9, 4)
    one_sided = torch.cat([others[:4], axis, others[4:], -axis])
    found = find_fragments(torch.cat([rows(3, 5), axis]), one_sided)
    assert (found.plus[3], found.minus[3]) == (4, 10)
    assert found.score[3] == pytest.approx(1.0, abs=1e-5)
    assert found.score[:3].max() < 0.9


def test_opposed_pairs_are_counted_once():
    axes = rows(5, 6)
    assert count_opposed(torch.cat([axes, -axes[:2]])) == 2


def test_dictionaries_of_different_models_are_refused():
    with pytest.raises(ValueError, match="d_in"):
        match_latents(rows(3, 0, 8), rows(3, 0, 9))
