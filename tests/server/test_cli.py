"""The command line: what is refused, what is printed, what is left behind."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import server.worker
from server.cli import build_parser, main
from server.protocol import IndexRequest, MapRequest, Message, TrainRequest
from server.store.runs import RunRecord, list_runs
from server.store.session import Database
from server.worker.progress import Progress
from tests.builders import World

COMMANDS = (
    "demo",
    "serve",
    "worker",
    "train",
    "index",
    "map",
    "import",
    "export",
    "evaluate",
    "migrate",
)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "story.txt"
    path.write_text("Once upon a time there was a dog.\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def in_folder(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory is the test's own; no variable of whoever runs the tests counts."""
    for name in ("HOST", "PORT", "TOKEN", "WORKER_URL"):
        monkeypatch.delenv(f"DIPOLE_{name}", raising=False)
    monkeypatch.setenv("DIPOLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DIPOLE_DATABASE_URL", sqlite_url)
    return tmp_path


@pytest.fixture
def asked(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the tasks, replaced by toys that load no torch, were asked to do."""
    requests: list[Message] = []

    def task(_context: object, request: Message) -> Iterator[Progress]:
        requests.append(request)
        yield Progress(1, 2, "half")
        if isinstance(request, TrainRequest) and request.name == "broken":
            raise ValueError("the text is empty: give another --text")
        if isinstance(request, TrainRequest) and request.name == "crash":
            raise KeyError("weights")
        yield Progress(2, 2, "whole", {"sae": 7})

    toys = ModuleType("server.worker.tasks")
    kinds = {"train": TrainRequest, "index": IndexRequest, "map": MapRequest}
    toys.TASKS = {kind: (request, task) for kind, request in kinds.items()}  # type: ignore[attr-defined]
    toys.TaskContext = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server.worker.tasks", toys)
    monkeypatch.setattr(server.worker, "tasks", toys, raising=False)
    return requests


def runs_of(database: Database) -> list[RunRecord]:
    with database.read() as session:
        return list_runs(session)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])

    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: dipole {command}" in shown
    assert "--json" in shown


def test_help_lists_the_commands_and_not_the_one_for_our_own_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])

    shown = capsys.readouterr().out
    assert all(f"    {command} " in shown for command in COMMANDS)
    assert "    job" not in shown


BAD_INPUT = {
    "no command": ([], "COMMAND"),
    "unknown command": (["tarin"], "tarin"),
    "unknown flag": (["serve", "--colour"], "--colour"),
    "missing text": (["train"], "--text"),
    "missing file": (["train", "--text", "nowhere.txt"], "no text file nowhere.txt"),
    "folder for a file": (["train", "--text", "."], "no text file"),
    "k over width": (["train", "--text", "TEXT", "--width", "8", "--k", "9"], "k 9 is larger"),
    "negative width": (["train", "--text", "TEXT", "--width", "-3"], "width"),
    "no number": (["train", "--text", "TEXT", "--k", "many"], "many"),
    "negative layer": (["train", "--text", "TEXT", "--layer", "-1"], "layer"),
    "unknown sparsifier": (["train", "--text", "TEXT", "--sae", "botk"], "abstopk"),
    "unknown SAE to index": (["index", "--sae", "nothing"], "no SAE is called nothing"),
    "unknown SAE to map": (["map", "--sae", "99"], "no SAE is called 99"),
    "unknown metric": (["map", "--sae", "1", "--metric", "euclid"], "directed"),
    "open without a token": (["serve", "--host", "0.0.0.0"], "DIPOLE_TOKEN"),
    "demo open without a token": (["demo", "--host", "0.0.0.0"], "DIPOLE_TOKEN"),
    "worker open without a token": (["worker", "--host", "0.0.0.0"], "DIPOLE_TOKEN"),
    "impossible port": (["serve", "--port", "70000"], "65535"),
    "unknown database": (["migrate", "--database-url", "mysql://x"], "sqlite"),
}


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("words", "part"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input_is_one_sentence_and_leaves_nothing(
    words: list[str],
    part: str,
    text: str,
    sqlite_database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main([text if word == "TEXT" else word for word in words])

    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == ""
    assert shown.err.startswith("dipole: ")
    assert part in shown.err
    assert shown.err.count("\n") == 1
    assert runs_of(sqlite_database) == []


@pytest.mark.usefixtures("asked")
def test_with_json_bad_input_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["map", "--sae", "nothing", "--json"])

    shown = capsys.readouterr().out
    assert status == 2
    assert shown.count("\n") == 1
    assert "no SAE is called nothing" in json.loads(shown)["error"]


def test_training_asks_for_what_the_flags_say(
    asked: list[Message], text: str, sqlite_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["train", "--text", text, "--sae", "topk", "--width", "64", "--k", "4", "--json"])

    shown = capsys.readouterr()
    (run,) = runs_of(sqlite_database)
    assert status == 0
    assert asked == [TrainRequest(text=text, sae="topk", width=64, k=4)]
    assert json.loads(shown.out) == {"run": run.id, "kind": "train", "state": "done", "sae": 7}
    assert shown.err == ""
    assert (run.state, run.done, run.total) == ("done", 2, 2)


def test_without_json_there_is_a_bar_on_stderr_and_a_line_on_stdout(
    asked: list[Message], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--text", text]) == 0

    shown = capsys.readouterr()
    assert shown.out.startswith("train done")
    assert "whole" in shown.err


def test_relu_has_no_k_to_be_too_large(asked: list[Message], text: str) -> None:
    assert main(["train", "--text", text, "--sae", "relu", "--width", "8", "--json"]) == 0


def test_paths_are_made_absolute(
    asked: list[Message], in_folder: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(in_folder)

    assert main(["train", "--text", "story.txt", "--json"]) == 0

    assert asked == [TrainRequest(text=text)]


def test_saes_are_indexed_and_mapped_by_name_or_id(
    asked: list[Message], sqlite_world: World
) -> None:
    assert main(["index", "--sae", str(sqlite_world.abstopk), "--tokens", "50", "--json"]) == 0
    assert main(["map", "--sae", str(sqlite_world.topk), "--metric", "directed", "--json"]) == 0

    assert asked == [
        IndexRequest(saes=[str(sqlite_world.abstopk)], tokens=50),
        MapRequest(sae=str(sqlite_world.topk), metric="directed"),
    ]


@pytest.mark.parametrize(
    ("name", "status", "part"),
    [("broken", 2, "the text is empty"), ("crash", 1, "unexpected KeyError")],
)
def test_a_task_that_fails_is_one_sentence_and_a_failed_run(
    name: str,
    status: int,
    part: str,
    asked: list[Message],
    text: str,
    sqlite_database: Database,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--text", text, "--name", name, "--json"]) == status

    shown = capsys.readouterr()
    (run,) = runs_of(sqlite_database)
    assert part in json.loads(shown.out)["error"]
    assert "Traceback" not in shown.err
    assert run.state == "failed"


def test_debug_lets_the_exception_through(asked: list[Message], text: str) -> None:
    with pytest.raises(KeyError):
        main(["train", "--text", text, "--name", "crash", "--debug"])


@pytest.mark.parametrize("before", [True, False])
def test_shared_flags_stand_before_or_after_the_command(before: bool, tmp_path: Path) -> None:
    shared = ["--data-dir", str(tmp_path / "elsewhere")]

    arguments = build_parser().parse_args([*shared, "migrate"] if before else ["migrate", *shared])

    assert arguments.data_dir == str(tmp_path / "elsewhere")


def test_migrating_makes_the_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIPOLE_DATABASE_URL", raising=False)

    assert main(["migrate", "--json", "--data-dir", str(tmp_path / "new")]) == 0

    assert json.loads(capsys.readouterr().out) == {"state": "done"}
    assert (tmp_path / "new" / "dipole.db").is_file()


def test_a_port_that_is_taken_is_one_sentence(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        status = main(["serve", "--port", str(taken.getsockname()[1])])

    assert status == 2
    assert "--port" in capsys.readouterr().err


def test_the_module_is_the_same_command_and_loads_no_torch_to_refuse(tmp_path: Path) -> None:
    script = (
        "import sys; from server.cli import main; status = main(sys.argv[1:]);"
        "sys.exit(9 if 'torch' in sys.modules else status)"
    )
    words = ["map", "--sae", "nothing", "--data-dir", str(tmp_path)]
    plain = subprocess.run(
        [sys.executable, "-m", "server", *words], cwd=ROOT, capture_output=True, text=True
    )
    watched = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True)

    assert plain.returncode == watched.returncode == 2
    assert "run `dipole demo`" in plain.stderr
