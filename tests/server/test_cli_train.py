"""The flags of `dipole train` as the request that the task is given."""

import argparse
from pathlib import Path

import pytest

from server.cli import build_parser, main
from server.cli_runs import given_fields
from server.protocol import TrainRequest
from server.settings import Settings


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "story.txt"
    path.write_text("Once upon a time there was a dog.\n", encoding="utf-8")
    return str(path)


def asked(text: str, *words: str) -> TrainRequest:
    arguments = build_parser().parse_args(["train", "--text", text, *words])
    settings = Settings.read({}, data_dir=Path(text).parent)
    return TrainRequest(**given_fields(settings, arguments, TrainRequest))


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ([], {}),
        (["--sae", "vsae", "--k", "8"], {"sae": "vsae", "k": 8}),
        (
            ["--sae", "abstopk,topk", "--k", "16,32,64", "--seed", "0,1,2"],
            {"sae": ["abstopk", "topk"], "k": [16, 32, 64], "seed": [0, 1, 2]},
        ),
        (["--prefixes", "256,1024"], {"prefixes": [256, 1024]}),
        (
            ["--token-bias", "--by-magnitude", "--sigma", "fixed"],
            {"token_bias": True, "by_magnitude": True, "sigma": "fixed"},
        ),
        (["--no-sample", "--rectify"], {"sample": False, "rectify": True}),
        (
            ["--sparsity-weight", "0.1,1", "--threshold", "0.5"],
            {"sparsity_weight": [0.1, 1.0], "threshold": 0.5},
        ),
        (["--lr", "0.01", "--batch", "256"], {"lr": 0.01, "batch": 256}),
        (
            ["--precision", "candidates", "--cache", "bfloat16"],
            {"precision": "candidates", "cache": "bfloat16"},
        ),
        (["--keep-sinks"], {"keep_sinks": True}),
        (["--outlier-norm", "5"], {"outlier_norm": 5.0}),
        (["--processes", "2", "--device", "cuda"], {"processes": 2, "device": "cuda"}),
        (["--checkpoint-every", "50"], {"checkpoint_every": 50}),
    ],
)
def test_flags_become_fields(text: str, words: list[str], fields: dict) -> None:
    assert asked(text, *words) == TrainRequest.model_validate({"text": text, **fields})


def test_every_field_has_a_flag() -> None:
    parser = next(
        action.choices["train"]
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    there = {action.dest for action in parser._actions}

    assert set(TrainRequest.model_fields) <= there


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--k", "16,many"], "several like 16,32"),
        (["--sae", "topk,botk"], "'botk' is none of relu"),
        (["--k", "0"], "k.value"),
        (["--sae", "topk", "--threshold", "1"], "--threshold has no meaning"),
        (["--width", "64", "--prefixes", "16,32"], "end at --width 64"),
        (["--sae", "relu", "--k", "24"], "--k has no meaning for --sae relu"),
        (["--sae", "relu", "--precision", "candidates"], "--precision has no meaning"),
        (["--seed", "99999999999999999999"], "less than or equal to 4294967295"),
        (["--name", ""], "at least 1 character"),
        (["--name", 150 * "é"], "has 300 bytes"),
        (["--outlier-norm", "0.5"], "outlier_norm"),
        (["--resume", "3", "--width", "8"], "leave out --text"),
        (["--processes", "0"], "processes"),
    ],
)
def test_bad_flags_are_one_sentence_and_enter_nothing(
    text: str, tmp_path: Path, words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"

    assert main(["train", "--text", text, *words, "--data-dir", str(data)]) == 2

    shown = capsys.readouterr().err
    assert shown.startswith("dipole: ")
    assert shown.count("\n") == 1
    assert part in shown
    assert not data.exists()
