"""What an indexing leaves behind, or replaces: whose it is, and when it goes."""

import os
import time

import pytest
import torch

from server.store.runs import claim_run, create_run
from server.store.saes import list_saes
from server.worker import kept_pass
from server.worker.run_lock import RunLock
from tests.server.worker.index_case import Case
from tests.server.worker.index_killed import kept_files, shown, states


@pytest.mark.parametrize("is_alive", [True, False])
def test_what_another_run_may_be_writing_is_left_alone_while_that_lives(
    killed: Case, often: None, is_alive: bool
) -> None:
    case = killed
    with case.database.write() as session:
        other = create_run(session, "index", {})
        claim_run(session, other)
    lock = RunLock.acquire(case.database, case.context.settings.data_dir, other)
    assert lock is not None
    if not is_alive:
        lock.release()
    list(case.begin(0).publish())
    assert sorted(states(case)) == (["building"] if is_alive else []) + ["published"]
    lock.release()


def test_what_a_killed_run_left_is_not_said_to_be_at_work(killed: Case) -> None:
    def state() -> str:
        with killed.database.read() as session:
            (found,) = list_saes(session)
        return found.state

    assert states(killed) == ["building"]
    assert state() == "new"
    with killed.database.write() as session:
        claim_run(session, create_run(session, "index", {}))
    assert state() == "indexing"


def test_what_was_half_saved_is_removed_after_a_day(case: Case, often: None) -> None:
    folder = case.context.settings.data_dir / kept_pass.FOLDER
    folder.mkdir()
    old, new = folder / ".a.safetensors.1.tmp", folder / ".b.safetensors.2.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 2 * 86_400,) * 2)
    case.begin(0)
    assert kept_files(case) == [new]


def test_what_was_kept_with_other_weights_of_the_model_is_not_used(case: Case, often: None) -> None:
    case.begin(40)
    assert case.begin(0).done == 40
    with torch.no_grad():
        next(case.lm.model.parameters()).mul_(1.3)
    assert case.begin(0).done == 0


def test_a_scored_index_is_replaced_by_a_scored_one(case: Case) -> None:
    def scored() -> int:
        return sum(feature["opposition"] is not None for feature in shown(case))

    first = case.begin()
    list(first.publish())
    assert scored() == 0, "the first one is shown as soon as there is something to show"
    list(first.oppose())
    before = scored()
    assert before > 0
    again = case.begin()
    list(again.publish())
    assert scored() == before
    list(again.oppose())
    assert scored() == before


def test_an_index_that_was_replaced_meanwhile_is_no_failure(case: Case) -> None:
    first = case.begin()
    list(first.publish())
    list(case.begin().publish())
    *_, last = first.oppose()
    assert "indexed again meanwhile" in last.message
