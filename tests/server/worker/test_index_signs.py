"""The canonical sign: decided once, by the first index, and nothing but names changes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.sae.checkpoint import load_sae
from server.store.features import get_feature
from server.store.maps import get_map, list_metrics
from server.store.saes import get_sae, update_sae
from server.store.session import Database
from server.worker.library import open_sae, require_sae, sae_folder
from server.worker.shelf import Shelf
from server.worker.signs import fix_flips, settle_signs
from server.worker.task_map import map_sae
from tests.server.worker.index_case import NEGATIVE_ONLY, WIDTH, Case, make_case


@pytest.fixture
def case(database: Database, database_url: str, tmp_path: Path) -> Case:
    return make_case(database, database_url, tmp_path)


def turned(case: Case) -> np.ndarray:
    flips = require_sae(case.database, case.sae_id).flips
    assert flips is not None
    return np.unpackbits(np.frombuffer(flips, np.uint8), count=WIDTH).astype(bool)


def test_the_first_index_makes_the_heavier_pole_the_plus_pole(case: Case) -> None:
    case.index()
    record = require_sae(case.database, case.sae_id)
    with case.database.read() as session:
        for feature in range(WIDTH):
            found = get_feature(session, record, feature)
            assert found is not None
            assert found.poles["+"].sum >= -found.poles["-"].sum
    assert turned(case)[NEGATIVE_ONLY]
    assert 0 < turned(case).sum() < WIDTH


def test_a_loaded_sae_has_the_stored_signs_and_reconstructs_as_before(case: Case) -> None:
    before = open_sae(case.context.settings, require_sae(case.database, case.sae_id))
    case.index()
    record = require_sae(case.database, case.sae_id)
    after = open_sae(case.context.settings, record)
    sign = torch.from_numpy(1 - 2 * turned(case).astype(np.float32))
    x = torch.randn(50, 32) * 5
    assert torch.equal(after.encode(x), before.encode(x) * sign)
    assert torch.allclose(after.decode(after.encode(x)), before.decode(before.encode(x)), atol=1e-6)
    stored = load_sae(sae_folder(case.context.settings, record))
    assert torch.equal(stored.W_dec, before.W_dec), "the file stays what was entered"


def test_a_map_of_directions_made_before_they_were_turned_is_gone(case: Case) -> None:
    sae = open_sae(case.context.settings, require_sae(case.database, case.sae_id))

    def metrics() -> list[str]:
        with case.database.read() as session:
            record = get_sae(session, case.sae_id)
            assert record is not None
            shown = get_map(session, record)
            assert shown is not None
            return [*list_metrics(session, record), f"shown: {shown.metric}"]

    for metric in ("axis", "directed"):
        map_sae(case.database, case.sae_id, sae, metric, seed=0)
    assert metrics() == ["axis", "directed", "shown: directed"]
    case.index()
    assert metrics() == ["axis", "shown: axis"]
    map_sae(case.database, case.sae_id, sae, "directed", seed=0)
    case.index()
    assert metrics() == ["axis", "directed", "shown: directed"]


def test_later_indexes_keep_the_signs_of_the_first(case: Case) -> None:
    first = case.begin(6)  # published early, as the demo does
    list(first.publish())
    signs = turned(case)
    list(first.advance(len(case.windows)))
    list(first.publish())
    assert (turned(case) == signs).all()
    staged = _balances(case)
    case.index()
    assert (turned(case) == signs).all()
    assert _balances(case) == pytest.approx(staged, abs=1e-5)
    assert min(staged) < 0, "on more text the other pole is the heavier one of some feature"


def _balances(case: Case) -> list[float]:
    record = require_sae(case.database, case.sae_id)
    with case.database.read() as session:
        found = [get_feature(session, record, feature) for feature in range(WIDTH)]
    return [each.pole_balance for each in found if each and each.pole_balance is not None]


def test_signs_fixed_by_another_indexing_in_the_meantime_are_not_overwritten(case: Case) -> None:
    indexing = case.begin()
    other = np.packbits(np.ones(WIDTH, dtype=bool)).tobytes()
    with case.database.write() as session:
        update_sae(session, case.sae_id, flips=other)
    with pytest.raises(ValueError, match="index it again"):
        list(indexing.publish())
    record = require_sae(case.database, case.sae_id)
    assert record.flips == other
    assert record.published_index_id is None


def test_an_sae_held_before_its_signs_were_fixed_is_not_used_after(case: Case) -> None:
    shelf = Shelf(case.context.settings, case.database, "cpu")
    _, before = shelf.sae("random")
    case.index()
    _, after = shelf.sae("random")
    assert not torch.equal(before.W_dec, after.W_dec)


@pytest.mark.parametrize("sparsifier", ["topk"])
def test_a_one_sided_sae_has_no_signs_to_fix(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path, sparsifier: str
) -> None:
    case = make_case(sqlite_database, sqlite_url, tmp_path, sparsifier)
    indexing = case.index()
    assert require_sae(case.database, case.sae_id).flips is None
    assert settle_signs(indexing.indexers[0]) is None
    with case.database.write() as session:
        fix_flips(session, case.sae_id, None)
