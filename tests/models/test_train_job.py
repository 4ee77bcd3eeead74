"""A training described by a file: what it reads, tells and writes, and how it stops."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.activations import write_cache
from models.corpus import Window
from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae, read_about
from models.train import __main__ as command
from models.train.job import read_job
from models.train.windows import load_windows, save_windows
from tests.models.tiny import TEXTS, save_tiny_lm

RECIPE = {"tokens": 640, "batch": 64, "start_tokens": 64, "lr": 1e-3}


def write_job(folder: Path, model: Path, **changes: Any) -> Path:
    """A job of two SAEs on a small text; `changes` of None leave a field out."""
    text = folder / "text.txt"
    text.write_text("\n\n".join(f"{first} {second}" for first in TEXTS for second in TEXTS))
    job = {
        "model": str(model),
        "layer": 1,
        "text": str(text),
        "documents": 30,
        "saes": [
            {"name": "first", "sae": {"d_sae": 48, "k": 4}, "train": RECIPE},
            {"name": "second", "sae": {"d_sae": 32, "sparsifier": "relu"}, "train": RECIPE},
        ],
        "out": str(folder / "out"),
        "checkpoints": str(folder / "checkpoints"),
        "every": 5,
        "device": "cpu",
        "about": {"run": 7},
    } | changes
    path = folder / "job.json"
    path.write_text(json.dumps({name: item for name, item in job.items() if item is not None}))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_lm(tmp_path_factory.mktemp("model"))


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> dict[int, Callable[[int, Any], None]]:
    """The signal handlers that the command sets, kept from the test's own process."""
    kept: dict[int, Callable[[int, Any], None]] = {}
    monkeypatch.setattr(
        command.signal, "signal", lambda number, handler: kept.update({number: handler})
    )
    monkeypatch.setattr("models.train.job.SECONDS_BETWEEN_EVENTS", 0.0)
    return kept


def run(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    code = command.main([str(path)])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("handlers")
def test_a_job_tells_its_steps_and_writes_its_saes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, events = run(write_job(tmp_path, model), capsys)

    assert code == 0
    assert [event["event"] for event in events] == ["started", *["progress"] * 11, "done"]
    assert [event["tokens"] for event in events[1:-2]] == list(range(64, 641, 64))
    assert events[-1]["folders"] == [str(tmp_path / "out" / name) for name in ("first", "second")]
    about = read_about(tmp_path / "out" / "first")
    assert (about["run"], about["layer"], about["processes"]) == (7, 1, 1)
    assert about["training"]["batch"] == 64
    assert about["sinks"]["threshold"] > 0
    assert load_sae(tmp_path / "out" / "second").config.sparsifier == "relu"


def test_a_signal_stops_a_job_and_the_same_job_goes_on(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    handlers: dict[int, Callable[[int, Any], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = write_job(tmp_path, model, out=str(tmp_path / "whole"), checkpoints=None)
    run(whole, capsys)
    path = write_job(tmp_path, model)
    tell = command.tell

    def interrupt(event: dict[str, Any]) -> None:
        tell(event)
        if event.get("step") == 3:
            handlers[signal.SIGTERM](signal.SIGTERM, None)

    monkeypatch.setattr(command, "tell", interrupt)
    code, events = run(path, capsys)
    assert (code, events[-1]) == (0, {"event": "stopped", "step": 4})

    monkeypatch.setattr(command, "tell", tell)
    code, events = run(path, capsys)
    assert code == 0
    assert [event["step"] for event in events[1:-1]] == [4, 5, 6, 7, 8, 9, 10, 10]
    resumed = load_sae(tmp_path / "out" / "first").W_dec
    assert torch.equal(resumed, load_sae(tmp_path / "whole" / "first").W_dec)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("change", "named"), [({"layer": 0}, "layer 1, here 0"), ({"documents": 29}, "text ")]
)
def test_a_job_on_something_else_does_not_go_on_from_the_checkpoint(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict, named: str
) -> None:
    run(write_job(tmp_path, model), capsys)
    code, events = run(write_job(tmp_path, model, **change), capsys)
    assert code == 1
    assert events[-1]["kind"] == "ValueError"
    assert named in events[-1]["message"]


@pytest.mark.usefixtures("handlers")
def test_saes_from_a_cache_know_the_model_and_layer_they_read(
    model: Path, tmp_path: Path, windows: list[Window], capsys: pytest.CaptureFixture[str]
) -> None:
    lm = LanguageModel.load(str(model))
    list(write_cache(tmp_path / "cache", lm, 2, windows, "print"))
    cached = dict.fromkeys(("layer", "text", "documents"))
    code, _ = run(write_job(tmp_path, model, **cached, cache=str(tmp_path / "cache")), capsys)
    assert code == 0
    about = read_about(tmp_path / "out" / "first")
    assert (about["model"], about["layer"]) == (lm.name, 2)


@pytest.mark.usefixtures("handlers")
def test_an_error_is_told_as_an_event(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (event,) = run(write_job(tmp_path, model, layer=9), capsys)
    assert code == 1
    assert event["event"] == "error"
    assert event["kind"] == "ValueError"
    assert "layer 9 is out of range" in event["message"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"windows": "w"}, "one of text, windows and cache, but has text and windows"),
        ({"layer": None}, "needs model and layer"),
        ({"text": None, "windows": "w"}, "documents = 30 counts documents of text"),
        ({"saes": []}, "give one at least"),
        ({"saes": [{"name": "../x", "sae": {}}]}, "without slashes"),
        ({"colour": 1}, r"unknown fields \['colour'\]"),
        ({"saes": [{"nom": "x"}]}, "not a whole job"),
    ],
)
def test_a_job_that_contradicts_itself_is_refused(
    model: Path, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        read_job(write_job(tmp_path, model, **changes))


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"device": "banana"}, "no device 'banana' here"),
        ({"seed": 1.5}, "seed is 1.5, but must be a whole number"),
        ({"seed": -1}, "seed is -1"),
        (
            {"saes": [{"name": "x", "sae": {"d_sae": 8, "k": 2.5}}]},
            "k is 2.5, but must be a whole number or left out",
        ),
    ],
)
def test_what_a_job_cannot_mean_is_told_as_one_event(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict, named: str
) -> None:
    code, (event,) = run(write_job(tmp_path, model, **changes), capsys)
    assert (code, event["event"], event["kind"]) == (1, "error", "ValueError")
    assert named in event["message"]


@pytest.mark.usefixtures("handlers")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_as_an_event(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (event,) = run(write_job(tmp_path, model, device="cuda"), capsys)
    assert code == 1
    assert "no device 'cuda' here" in event["message"]


@pytest.mark.usefixtures("handlers")
def test_what_nobody_expected_is_told_as_an_event_and_raised(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("colour")

    monkeypatch.setattr(command, "run_job", fail)
    with pytest.raises(KeyError):
        command.main([str(write_job(tmp_path, model))])
    event = json.loads(capsys.readouterr().out)
    assert event == {
        "event": "error",
        "kind": "KeyError",
        "message": "unexpected KeyError: 'colour'",
    }


@pytest.mark.usefixtures("handlers")
def test_a_misspelt_setting_of_an_sae_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saes = [{"name": "x", "sae": {"d_sae": 8, "kk": 1}, "train": RECIPE}]
    code, (event,) = run(write_job(tmp_path, model, saes=saes), capsys)
    assert code == 1
    assert "'x'" in event["message"]
    assert "kk" in event["message"]


def test_windows_survive_their_file(lm: LanguageModel, windows, tmp_path: Path) -> None:
    save_windows(tmp_path / "windows.safetensors", windows)
    loaded = load_windows(tmp_path / "windows.safetensors")
    assert [(w.document, w.start, w.tokens.tolist()) for w in loaded] == [
        (w.document, w.start, w.tokens.tolist()) for w in windows
    ]
