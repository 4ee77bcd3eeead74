"""Fixtures of the tests of runs; a file that means something else by a name has its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from server.cli import main
from server.settings import Settings
from server.store.session import Database
from server.worker import kept_pass
from server.worker.progress import TaskContext
from tests.models.tiny import TEXTS, save_tiny_lm
from tests.server.worker.index_case import Case, make_case
from tests.server.worker.index_killed import CHILD
from tests.server.worker.training_text import Ground


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


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lm(tmp_path_factory.mktemp("model"))


@pytest.fixture
def context(settings: Settings, sqlite_database: Database) -> TaskContext:
    return TaskContext(settings, sqlite_database)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n<|endoftext|>\n".join(f"{a} {b}" for a in TEXTS for b in TEXTS[:2]))
    return path


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("resume"))


@pytest.fixture(scope="module")
def whole(ground: Ground) -> dict[str, torch.Tensor]:
    """The weights of a training that nothing disturbed."""
    assert main(ground.words("whole")) == 0
    return ground.weights("whole")
