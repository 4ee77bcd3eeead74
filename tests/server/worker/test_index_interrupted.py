"""Indexing that is killed, stopped, out of disk or done again while others read."""

import errno
import time
from threading import Event, Thread

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from server.store.features import get_feature
from server.store.indexes import delete_index
from server.store.saes import get_sae
from server.store.session import Database
from server.worker import index_writer, kept_pass
from server.worker.index_writer import publish
from server.worker.library import require_sae
from server.worker.progress import RunInterrupted, TaskFailed
from tests.server.worker.index_case import WIDTH, Case
from tests.server.worker.index_killed import kept_files, shown, states


def test_a_killed_indexing_shows_nothing_and_the_next_goes_on_from_what_it_kept(
    killed: Case, often: None
) -> None:
    case = killed
    assert states(case) == ["building"]
    assert shown(case) == []
    assert [path.suffix for path in kept_files(case)] == [".safetensors"]
    resumed = case.begin(0)
    assert resumed.done == len(case.windows)
    for _ in (*resumed.publish(), *resumed.oppose()):
        pass
    assert states(case) == ["published"]
    assert kept_files(case) == []
    after_kill = shown(case)
    case.index()
    assert shown(case) == after_kill


def test_a_pass_left_half_way_goes_on_where_it_was_last_kept(case: Case, often: None) -> None:
    case.begin(40)  # nothing is tidied up behind it, as after kill -9
    resumed = case.begin(0)
    assert resumed.done == 40
    for _ in resumed.advance(len(case.windows)):
        pass
    list(resumed.publish())
    after_resuming = shown(case)
    case.index()
    assert kept_files(case) == []
    whole = shown(case)
    for ours, expected in zip(after_resuming, whole, strict=True):
        assert ours["details"] == expected["details"]
        assert ours["poles"] == expected["poles"]


def test_an_indexing_told_to_stop_keeps_what_it_has_read(case: Case, often: None) -> None:
    case.context.stopping.set()
    with pytest.raises(RunInterrupted):
        case.begin()
    assert len(kept_files(case)) == 1
    case.context.stopping.clear()
    assert case.begin(0).done == 20


def test_what_was_kept_for_another_sae_or_text_is_not_used(case: Case, often: None) -> None:
    case.begin(40)
    name = kept_files(case)[0].name
    kept = case.begin(0).kept
    assert kept is not None
    assert kept.path.name == name
    other = kept_pass.KeptPass(case.context.settings.data_dir, ["another"])
    assert other.path.name != name


def test_passes_nobody_went_on_with_are_removed_in_the_end(
    case: Case, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.begin(40)
    monkeypatch.setattr(kept_pass, "DAYS_KEPT", -1)
    assert case.begin(0).done == 0
    assert kept_files(case) == []


def test_a_full_disk_while_reading_is_a_sentence(
    case: Case, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_pass, "save_indexers", fail)
    with pytest.raises(TaskFailed, match="free some space"):
        case.begin()


def test_a_full_disk_while_writing_leaves_the_old_index_shown(case: Case) -> None:
    case.index()
    before = shown(case)
    indexing = case.begin()
    with _small_disk(case.database) as grow, pytest.raises(TaskFailed, match="disk"):
        _publish(case, indexing)
    grow()
    assert shown(case) == before
    _publish(case, case.begin())
    assert states(case) == ["published"]
    assert shown(case)[0]["tokens"] == before[0]["tokens"]


def test_a_failed_write_is_undone_in_short_transactions(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def delete(session: Session, index_id: int, features: int | None = None) -> bool:
        asked.append(features)
        return delete_index(session, index_id, features)

    monkeypatch.setattr(index_writer, "delete_index", delete)
    monkeypatch.setattr(index_writer, "write_example_lists", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _publish(case, case.begin())
    assert states(case) == []
    assert set(asked) == {index_writer.FEATURES_AT_ONCE}


def test_readers_always_see_one_whole_index(case: Case) -> None:
    case.index()
    stop, problems, seen = Event(), [], set()

    def read() -> None:
        database = Database(case.context.settings.database_url)
        while not stop.is_set():
            with database.read() as session:
                record = get_sae(session, case.sae_id)
                assert record is not None
                for feature in (0, WIDTH - 1):
                    found = get_feature(session, record, feature)
                    if found is None or found.index_id != record.published_index_id:
                        problems.append(feature)
                    elif not all(found.poles[pole].contexts for pole in "+-"):
                        problems.append(found)
                    else:
                        seen.add(found.index_id)
        database.dispose()

    reader = Thread(target=read)
    reader.start()
    try:
        for number in range(3):
            _publish(case, case.begin())
            until = time.monotonic() + 60
            while len(seen) <= number and not problems and time.monotonic() < until:
                time.sleep(0.01)
    finally:
        stop.set()
        reader.join()
    assert problems == []
    assert len(seen) > 2


def _publish(case: Case, indexing) -> None:
    flips = require_sae(case.database, case.sae_id).flips
    publish(
        case.database,
        case.lm,
        case.sae_id,
        indexing.indexers[0],
        case.corpus,
        indexing.done,
        [],
        flips=flips,
    )


class _small_disk:
    """No room for more than a few pages in the database, as long as it is open."""

    def __init__(self, database: Database) -> None:
        self._engine = database._writer

    def __enter__(self):
        self._engine.dispose()
        event.listen(self._engine, "connect", self._limit)
        return self._grow

    def __exit__(self, *_: object) -> None:
        self._grow()

    def _grow(self) -> None:
        if event.contains(self._engine, "connect", self._limit):
            event.remove(self._engine, "connect", self._limit)
        self._engine.dispose()

    @staticmethod
    def _limit(connection, _record) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
