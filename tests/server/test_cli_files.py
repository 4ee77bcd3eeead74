"""The commands `import`, `export` and `evaluate`: what is asked, refused, printed and left behind."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import server.worker
from server.cli import main
from server.protocol import Message
from server.protocol.files import ImportRequest
from server.store.runs import list_runs
from server.store.session import Database
from server.worker.progress import Progress
from tests.builders import World

PLANTED = ["evaluate", "planted", "--seeds", "1", "--d-in", "8", "--atoms", "8", "--width", "8"]
PLANTED += ["--k", "2", "--active", "2", "--tokens", "600"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIPOLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DIPOLE_DATABASE_URL", sqlite_url)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the import task, replaced by a toy that loads no torch, was asked to do."""
    requests: list[Message] = []

    def task(_context: object, request: Message) -> Iterator[Progress]:
        requests.append(request)
        yield Progress(1, 1, "whole", {"sae": 7})

    toys = ModuleType("server.worker.tasks")
    toys.TASKS = {"import": (ImportRequest, task)}  # type: ignore[attr-defined]
    toys.TaskContext = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server.worker.tasks", toys)
    monkeypatch.setattr(server.worker, "tasks", toys, raising=False)
    return requests


def test_an_import_is_a_run_that_asks_for_what_the_flags_say(
    asked: list[Message],
    in_folder: Path,
    sqlite_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (in_folder / "lens").mkdir()
    (in_folder / "story.txt").write_text("Once upon a time.\n")
    monkeypatch.chdir(in_folder)
    words = ["import", "lens", "--model", "demo", "--layer", "3", "--text", "story.txt"]
    assert main([*words, "--tokens", "500", "--name", "mine", "--json"]) == 0
    with sqlite_database.read() as session:
        (run,) = list_runs(session)
    assert asked == [
        ImportRequest(
            source=str(in_folder / "lens"),
            layer=3,
            text=str(in_folder / "story.txt"),
            tokens=500,
            name="mine",
        )
    ]
    assert json.loads(capsys.readouterr().out) == {
        "run": run.id,
        "kind": "import",
        "state": "done",
        "sae": 7,
    }


def test_a_hub_id_is_passed_on_as_it_is(asked: list[Message]) -> None:
    assert main(["import", "owner/name/layers.3", "--json"]) == 0
    assert asked == [ImportRequest(source="owner/name/layers.3")]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["import"], "DIR|HUB_ID"),
        (["import", ""], "DIR|HUB_ID is empty"),
        (["import", "x", "--name", 150 * "é"], "has 300 bytes"),
        (["import", "x", "--layer", "-1"], "layer"),
        (["import", "x", "--text", "missing.txt"], "no text file"),
        (["export", "out", "--sae", "nothing", "--format", "saelens"], "no SAE is called nothing"),
        (["export", "out", "--sae", "1", "--format", "gguf"], "sparsify"),
        (["export", "out", "--format", "saelens"], "--sae"),
        (["evaluate"], "WHAT"),
        (["evaluate", "planted", "--atoms", "0"], "at least 1"),
        (["evaluate", "planted", "--k", "200"], "k (200) is more than width"),
        (["evaluate", "fidelity", "--sae", "nothing"], "no SAE is called nothing"),
    ],
)
@pytest.mark.usefixtures("asked")
def test_bad_input_is_one_sentence(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert part in shown.err.splitlines()[-1]


def test_an_export_replaces_nothing(
    sqlite_world: World, in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = in_folder / "out"
    out.mkdir()
    (out / "kept.txt").write_text("mine")
    words = ["export", str(out), "--sae", str(sqlite_world.abstopk), "--format", "saelens"]
    assert main(words) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["kept.txt"]


def test_planted_figures_come_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PLANTED) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("8 atoms in 8 dimensions, 2 active")
    assert len([line for line in lines if line.startswith("signed    abstopk")]) == 2
    assert len([line for line in lines if line.startswith("one-sided") and "against" in line]) == 3


def test_planted_figures_come_as_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLANTED, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["planted"]["tokens"] == 600
    assert {one["codes"] for one in shown["found"]} == {"signed", "one-sided"}
    assert {one["sparsifier"] for one in shown["found"]} == {"abstopk", "topk"}
    assert all(len(one["atoms"]) == 1 and one["nmse"] > 0 for one in shown["found"])
    assert all(one["sign"] in ("+", "−", "0") for one in shown["differences"])
