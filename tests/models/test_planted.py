"""Planted data: what is generated is what is promised, and the comparison is fair and repeatable."""

from dataclasses import replace

import pytest
import torch

from models.evaluate.planted import (
    Found,
    Planted,
    PlantedConfig,
    PlantedStep,
    arms_of,
    compare_planted,
    count_found,
    differences,
    summarise,
)
from models.sae import SAEConfig, SparseAutoencoder

TINY = PlantedConfig(d_in=12, atoms=12, active=2, width=12, k=2, tokens=30_000, batch=128, lr=1e-2)


@pytest.fixture(scope="module")
def steps() -> list[PlantedStep]:
    return list(compare_planted(TINY, 1))


@pytest.mark.parametrize("signed", [True, False])
def test_samples_are_sparse_sums_of_the_dictionary(signed: bool) -> None:
    config = replace(TINY, noise=0.0)
    data = Planted(config, 0, signed)
    x = torch.cat([batch.activations for batch in data])
    codes = torch.linalg.lstsq(data.dictionary.T, x.T).solution.T
    active = codes.abs() > 0.1
    assert len(x) == config.tokens
    assert (active.sum(-1) == config.active).all()
    assert ((codes[active].abs() > 0.49) & (codes[active].abs() < 1.51)).all()
    assert ((codes[active] < 0).float().mean() - (0.5 if signed else 0.0)).abs() < 0.02


def test_one_seed_gives_the_same_samples_and_another_seed_another_dictionary() -> None:
    first, again, other = (Planted(TINY, seed, True) for seed in (0, 0, 1))
    assert torch.equal(next(iter(first)).activations, next(iter(again)).activations)
    assert torch.equal(first.held_out(), again.held_out())
    assert not torch.equal(first.dictionary, other.dictionary)
    assert not torch.equal(first.held_out()[: TINY.batch], next(iter(first)).activations)


def test_signed_and_one_sided_samples_differ_in_sign_alone() -> None:
    signed, plain = (next(iter(Planted(replace(TINY, noise=0.0), 0, way))) for way in (True, False))
    dictionary = Planted(TINY, 0, True).dictionary
    codes = [
        torch.linalg.lstsq(dictionary.T, one.activations.T).solution for one in (signed, plain)
    ]
    torch.testing.assert_close(codes[0].abs(), codes[1], atol=1e-3, rtol=1e-3)


def test_an_atom_is_found_by_its_direction_or_the_opposite() -> None:
    dictionary = torch.eye(3)
    rows = torch.tensor([[2.0, 0.1, 0.0], [0.0, -1.0, 0.2], [0.0, 0.6, 0.8]])
    assert count_found(dictionary, rows) == 2


def test_the_start_of_the_weights_holds_none_of_the_atoms() -> None:
    """One seed draws weights and dictionary: equal streams would plant the answer in the SAE."""
    started = SparseAutoencoder(SAEConfig(64, 128, "topk", k=4))
    for seed in range(20):
        started.initialise(torch.Generator().manual_seed(seed))
        for other in range(3):
            dictionary = Planted(PlantedConfig(), other, True).dictionary
            assert count_found(dictionary, started.W_dec.detach()) == 0


def test_every_arm_is_reported_for_signed_and_one_sided_codes(steps: list[PlantedStep]) -> None:
    last = steps[-1]
    assert (last.done, last.total) == (2 * TINY.tokens, 2 * TINY.tokens)
    assert [(one.signed, one.arm) for one in last.found] == [
        (signed, arm) for signed in (True, False) for arm in arms_of(TINY)
    ]
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_the_same_comparison_gives_the_same_figures() -> None:
    short = replace(TINY, tokens=2_000)
    first, again = (list(compare_planted(short, 1))[-1] for _ in range(2))
    assert first == again


def test_a_signed_sae_finds_most_atoms_of_an_easy_signed_dictionary(
    steps: list[PlantedStep],
) -> None:
    wide = arms_of(TINY)[2]
    ours = next(one for one in steps[-1].found if (one.signed, one.arm) == (True, wide))
    assert wide.sparsifier == "abstopk"
    assert ours.atoms >= 10
    assert ours.nmse < 0.2


def test_the_summary_is_over_seeds_and_the_difference_is_paired_by_seed() -> None:
    ours, same, _, wide = arms_of(TINY)
    atoms = {ours: (10, 8), same: (6, 8), wide: (11, 11)}
    found = [
        Found(True, seed, arm, counts[seed], 0.5)
        for arm, counts in atoms.items()
        for seed in (0, 1)
    ]
    first = summarise(found)[0]
    gaps = differences(found)
    assert (first.arm, first.atoms, first.mean) == (ours, [10, 8], 9)
    assert first.sd == pytest.approx(2**0.5)
    assert [(gap.topk, gap.mean, gap.sign) for gap in gaps] == [(same, 2, "+"), (wide, -2, "−")]
    assert gaps[0].sd == pytest.approx(8**0.5)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"active": 13}, "active"), ({"k": 13}, "k"), ({"tokens": 0}, "at least 1")],
)
def test_impossible_data_is_refused(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TINY, **change)


def test_a_comparison_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="seeds is 0"):
        next(compare_planted(TINY, 0))
