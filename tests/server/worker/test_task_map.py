"""What is shown of a map while a new one is being laid out."""

import pytest
import torch

import models.layout
from models.sae import SAEConfig, SparseAutoencoder
from server.store.maps import get_map
from server.store.saes import get_sae
from server.store.session import Database
from server.worker.task_map import map_steps
from tests.builders import World


@pytest.fixture
def sae(monkeypatch: pytest.MonkeyPatch) -> SparseAutoencoder:
    """An SAE of random weights, with more features than are laid out without a quick map."""
    monkeypatch.setattr(models.layout, "AT_ONCE", 10)
    monkeypatch.setattr(models.layout, "FEW", 10)
    monkeypatch.setattr(models.layout.tsne, "ITERATIONS", 50)
    sae = SparseAutoencoder(SAEConfig(16, 150, "abstopk", 4))
    sae.initialise(torch.Generator().manual_seed(0))
    return sae


def methods_shown(database: Database, sae_id: int, sae: SparseAutoencoder) -> list[str]:
    """The method of the map that a page shows after each step."""
    shown = []
    for _ in map_steps(database, sae_id, sae, "axis", seed=0):
        with database.read() as session:
            record = get_sae(session, sae_id)
            assert record is not None
            found = get_map(session, record, "axis")
        shown.append("none" if found is None else found.method)
    return shown


def test_a_quick_map_is_shown_first_and_a_finished_one_stands_until_the_next(
    sqlite_database: Database, sqlite_world: World, sae: SparseAutoencoder
) -> None:
    first, second = (methods_shown(sqlite_database, sqlite_world.topk, sae) for _ in range(2))
    assert any("quick" in method for method in first[:-1])
    assert "openTSNE" in first[-1]
    assert not any("quick" in method for method in second)
    assert "openTSNE" in second[0]
