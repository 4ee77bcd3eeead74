import math

import pytest

from server.store.saes import create_sae, get_sae, list_saes, update_sae

FIELDS = {
    "layer": 3, "hook": "resid_post", "sparsifier": "abstopk", "d_in": 8, "d_sae": 64, "k": 4,
    "path": "saes/x", "sha256": "0", "config": {"seed": 1, "note": "\x00"},
}  # fmt: skip


def test_an_sae_reads_back_with_its_models_name(database, world):
    with database.write() as session:
        created = create_sae(session, name="new", model_id=world.model, nmse=0.2, **FIELDS)
        sae = get_sae(session, created)
    assert (sae.name, sae.model, sae.layer, sae.k) == ("new", world.model_name, 3, 4)
    assert sae.config == {"seed": 1, "note": "\x00"}
    assert (sae.nmse, sae.loss_recovered) == (0.2, None)


def test_a_name_can_be_taken_once(database, world):
    with database.write() as session, pytest.raises(ValueError, match="tiny-topk is already there"):
        create_sae(session, name="tiny-topk", model_id=world.model, **FIELDS)


@pytest.mark.parametrize("key", ["tiny-abstopk", 1, "1"])
def test_an_sae_is_found_by_name_and_by_id(database, world, key):
    with database.read() as session:
        assert get_sae(session, key).id == world.abstopk


@pytest.mark.parametrize("key", ["none", 0, 10**12, "-1", "", "tiny-abstopk\x00"])
def test_a_key_of_no_sae_finds_none(database, world, key):
    with database.read() as session:
        assert get_sae(session, key) is None


def test_metrics_are_set_and_a_metric_that_is_no_number_is_dropped(database, world):
    with database.write() as session:
        update_sae(session, world.topk, nmse=0.5, cosine=math.nan, evaluated_tokens=3 * 10**9)
        sae = get_sae(session, world.topk)
    assert (sae.nmse, sae.cosine, sae.evaluated_tokens) == (0.5, None, 3 * 10**9)
    assert sae.loss_recovered == 0.94


def test_what_cannot_change_is_refused_by_name(database, world):
    with database.write() as session, pytest.raises(ValueError, match="no changeable d_sae"):
        update_sae(session, world.topk, d_sae=7)


def test_updating_no_sae_is_an_error(database):
    with database.write() as session, pytest.raises(ValueError, match="no SAE has the id 9"):
        update_sae(session, 9, nmse=0.1)


def test_the_library_says_what_state_each_sae_is_in(database, world):
    with database.write() as session:
        create_sae(session, name="fresh", model_id=world.model, **FIELDS)
        states = {sae.name: sae.state for sae in list_saes(session)}
    assert states == {
        "tiny-abstopk": "ready",
        "tiny-topk": "indexing",
        "tiny-axes": "ready",
        "fresh": "new",
    }


def test_the_library_gives_shares_of_a_published_index_only(database, world):
    with database.read() as session:
        ready, indexing, axes = list_saes(session)
    assert ready.live == 28 / 32  # one feature in eight never fires
    assert 0 < ready.two_sided < 1
    assert ready.tokens == 24 * 16
    assert (indexing.live, indexing.two_sided, indexing.tokens) == (None, None, 0)
    assert (ready.has_map, axes.has_map) == (True, False)


def test_the_canonical_signs_are_unset_first_and_then_read_back_bit_for_bit(database, world):
    with database.write() as session:
        before = get_sae(session, world.abstopk).flips
        update_sae(session, world.abstopk, flips=b"\x00\xff\x80\x01")
        after = get_sae(session, world.abstopk).flips
    assert (before, after) == (None, b"\x00\xff\x80\x01")
