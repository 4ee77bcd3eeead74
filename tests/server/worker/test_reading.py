"""How much of a text is read, and what a run says of it when it is done."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.corpus import Window
from models.sae.foreign import write_foreign
from models.windows import Windows
from server.protocol import IndexRequest
from server.protocol.axis import AxisRequest
from server.protocol.base import Message
from server.protocol.files import ImportRequest
from server.store.session import Database
from server.worker.evaluating import evaluate_fidelity
from server.worker.library import Corpus
from server.worker.progress import Progress
from server.worker.reading import USUAL_TOKENS, finish, text_limit, usual_limit
from server.worker.tasks import TASKS
from tests.models.tiny import TEXTS
from tests.server.worker.index_case import LAYER, Case, make_case, random_sae

LINES = [f"{a} {b}" for a in TEXTS for b in TEXTS]


@pytest.fixture
def case(sqlite_database: Database, sqlite_url: str, tmp_path: Path) -> Case:
    return make_case(sqlite_database, sqlite_url, tmp_path)


@pytest.fixture
def data_set(tmp_path: Path) -> str:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in LINES))
    return f"hf:{folder}"


def corpus_of(documents: list[int]) -> Corpus:
    tokens = np.zeros(10, dtype=np.int32)
    windows = Windows.gather(Window(number, 0, tokens) for number in documents)
    return Corpus(1, "a.txt", windows, "mark")


def steps_of(case: Case, kind: str, request: Message) -> list[Progress]:
    return list(TASKS[kind][1](case.context, request))


def request_of(kind: str, case: Case, text: str, **more: Any) -> Message:
    model = str(case.context.settings.data_dir / "model")
    if kind == "index":
        return IndexRequest(saes=[case.sae_id], text=text, **more)
    if kind == "import":
        source = case.context.settings.data_dir / "foreign"
        write_foreign(source, random_sae(), "saelens", {"model": "tiny", "layer": LAYER})
        return ImportRequest(source=str(source), model=model, text=text, **more)
    plus, minus = LINES[:8], LINES[8:16]
    return AxisRequest(
        name="a", model=model, layer=LAYER, plus=plus, minus=minus, text=text, **more
    )


def test_a_file_is_read_whole_and_of_a_data_set_a_quarter_more_than_is_trained_on() -> None:
    assert text_limit(Path("a.txt"), 1_000) is None
    assert text_limit("hf:a/b", 1_000) == 1_250


def test_what_is_asked_for_has_no_usual_limit() -> None:
    assert usual_limit("hf:a/b", 1_000) is None
    assert usual_limit(Path("a.txt"), None) is None
    assert usual_limit("hf:a/b", None) == text_limit("hf:a/b", USUAL_TOKENS)


@pytest.mark.parametrize(
    ("documents", "is_warned"), [([4] * 9, True), ([4] * 8, False), ([4] * 8 + [5], False)]
)
def test_a_long_text_of_one_document_is_warned_of(documents: list[int], is_warned: bool) -> None:
    last = finish(corpus_of(documents), "indexed", {"tokens": 90}, usual=None)
    assert last.result is not None
    assert ("blank lines" in last.result.get("warning", "")) == is_warned
    assert ("warning" in last.message) == is_warned
    assert last.result["tokens"] == 90


@pytest.mark.parametrize("kind", ["index", "import", "axis"])
def test_every_run_over_a_text_says_that_it_is_one_document(
    case: Case, tmp_path: Path, kind: str
) -> None:
    text = tmp_path / "one.txt"
    text.write_text("\n".join(LINES * 2))
    *_, last = steps_of(case, kind, request_of(kind, case, str(text)))
    assert last.result is not None
    assert "the text is one document" in last.result["warning"]


@pytest.mark.parametrize("kind", ["index", "import", "axis"])
def test_of_a_data_set_no_run_reads_more_than_usual_unasked(
    case: Case, data_set: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.worker.reading.USUAL_TOKENS", 400)
    steps = steps_of(case, kind, request_of(kind, case, data_set))
    assert any("reading 500 tokens" in step.message for step in steps)
    assert 500 <= steps[-1].total < 600
    assert steps[-1].result is not None
    assert "first 500 tokens" in steps[-1].result["warning"]


def test_as_much_of_a_data_set_as_is_asked_for_is_read(
    case: Case, data_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.worker.reading.USUAL_TOKENS", 400)
    *_, last = steps_of(case, "index", request_of("index", case, data_set, tokens=900))
    assert last.total >= 900
    assert last.result is not None
    assert "warning" not in last.result


def test_an_evaluation_reads_no_more_than_usual_either(
    case: Case, data_set: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.worker.reading.USUAL_TOKENS", 400)
    settings, database = case.context.settings, case.database
    steps = list(evaluate_fidelity(settings, database, case.sae_id, data_set, None))
    assert any("reading 500 tokens" in step.message for step in steps)
    assert steps[-1].result is not None
    assert steps[-1].result["tokens"] < 600
