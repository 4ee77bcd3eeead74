"""The command `axis`: what is read from the files, asked, printed and refused."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import server.worker
from server.cli import main
from server.protocol import Message
from server.protocol.axis import AxisRequest
from server.worker.progress import Progress


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIPOLE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DIPOLE_DATABASE_URL", sqlite_url)
    monkeypatch.chdir(tmp_path)
    for side in ("hot", "cold"):
        (tmp_path / f"{side}.txt").write_text("\n\n".join(f"{side} day {n}" for n in range(8)))
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What the axis task, replaced by a toy that loads no torch, was asked to do."""
    requests: list[Message] = []

    def task(_context: object, request: Message) -> Iterator[Progress]:
        requests.append(request)
        yield Progress(1, 1, "whole", {"sae": 7, "feature": 0, "auc": 0.9})

    toys = ModuleType("server.worker.tasks")
    toys.TASKS = {"axis": (AxisRequest, task)}  # type: ignore[attr-defined]
    toys.TaskContext = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server.worker.tasks", toys)
    monkeypatch.setattr(server.worker, "tasks", toys, raising=False)
    return requests


def test_each_line_of_a_file_is_a_text(
    asked: list[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    lists = ["--plus", "hot.txt", "--minus", "cold.txt"]
    labels = ["--plus-label", "hot", "--minus-label", "cold"]
    assert main(["axis", "--name", "heat", "--layer", "3", *lists, *labels, "--json"]) == 0
    assert asked == [
        AxisRequest(
            name="heat",
            layer=3,
            plus=[f"hot day {n}" for n in range(8)],
            minus=[f"cold day {n}" for n in range(8)],
            plus_label="hot",
            minus_label="cold",
        )
    ]
    shown = json.loads(capsys.readouterr().out)
    assert (shown["kind"], shown["state"], shown["sae"], shown["auc"]) == ("axis", "done", 7, 0.9)


def test_a_byte_order_mark_is_no_part_of_the_first_text(asked: list[Message]) -> None:
    hot = Path("hot.txt")
    hot.write_text(hot.read_text(), encoding="utf-8-sig")
    lists = ["--plus", "hot.txt", "--minus", "cold.txt"]
    assert main(["axis", "--name", "heat", *lists, "--json"]) == 0
    assert asked[0].plus[0] == "hot day 0"  # type: ignore[attr-defined]


def test_a_contrast_needs_no_file(asked: list[Message]) -> None:
    assert main(["axis", "--name", "g", "--contrast", "gender", "--json"]) == 0
    assert asked == [AxisRequest(name="g", contrast="gender")]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "give a contrast by name, or two lists"),
        (["--plus", "hot.txt"], "the list minus has 0 texts"),
        (["--plus", "few.txt", "--minus", "cold.txt"], "the list plus has 2 texts, but 8 to 400"),
        (["--plus", "hot.txt", "--minus", "hot.txt"], "both lists hold the same texts"),
        (["--plus", "absent.txt", "--minus", "cold.txt"], "no file absent.txt: check --plus"),
        (["--plus", "hot.txt", "--minus", "."], "check --minus"),
        (["--plus", "hot.txt", "--minus", "binary.txt"], "not UTF-8 text"),
        (["--contrast", "colour"], "temperature"),
        (["--contrast", "gender", "--layer", "-1"], "layer"),
        (["--contrast", "gender", "--text", "absent.txt"], "no text file"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], part: str, asked: list[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["axis", "--name", "heat", *words]) == 2
    shown = capsys.readouterr()
    assert (shown.out, asked) == ("", [])
    line = shown.err.splitlines()[-1]
    assert part in line
    assert not line.startswith("dipole: :")


def test_a_name_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["axis", "--contrast", "gender"]) == 2
    assert "--name" in capsys.readouterr().err
