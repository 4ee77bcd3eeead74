"""Fixtures of the tests of indexing; a file whose `case` is another has its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.store.session import Database
from server.worker import kept_pass
from tests.server.worker.index_case import Case, make_case
from tests.server.worker.index_killed import CHILD


@pytest.fixture
def case(sqlite_database: Database, sqlite_url: str, tmp_path: Path) -> Case:
    return make_case(sqlite_database, sqlite_url, tmp_path)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass is kept after every few windows."""
    monkeypatch.setattr("models.index.indexer.WINDOWS_AT_ONCE", 20)
    monkeypatch.setattr(kept_pass, "SECONDS", 0)
    monkeypatch.setattr(kept_pass, "SHARE", 0)


@pytest.fixture
def killed(case: Case) -> Case:
    """A case in which a process was killed while it wrote an index."""
    settings = case.context.settings
    command = [sys.executable, "-c", CHILD, settings.data_dir, settings.database_url]
    root = Path(kept_pass.__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.send_signal(signal.SIGKILL)
    return case
