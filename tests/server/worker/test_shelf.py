from pathlib import Path

import pytest

from server.settings import Settings
from server.store.session import Database
from server.worker.library import DEMO, load_model
from server.worker.shelf import Shelf


def test_answering_a_question_writes_nothing(
    sqlite_database: Database, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, model_id = load_model(sqlite_database, DEMO)
    settings = Settings(data_dir=tmp_path, database_url=sqlite_url)
    monkeypatch.setattr(Database, "write", lambda _self: pytest.fail("it writes"))
    assert Shelf(settings, sqlite_database, "cpu").model(model_id).name == DEMO
