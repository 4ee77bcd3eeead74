"""The train task: sweeps, recipes, sinks, caches, processes, names, and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.artifact import load_tensors
from server.cli import main
from server.protocol import SPARSIFIERS_WITH_K, TrainRequest
from server.settings import Settings
from server.store.saes import get_sae, list_saes
from server.store.session import Database
from server.train_rules import variants
from server.worker.task_train import pick_device
from server.worker.training import names, recipes
from server.worker.training.folder import RunFolder
from server.worker.training.held_out import split
from server.worker.training.streams import fingerprint
from tests.server.worker.training_text import Ground


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("train"))


@pytest.fixture
def lm() -> Any:
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=320))
    return SimpleNamespace(d_in=32, model=SimpleNamespace(config=config))


def ask(**fields: object) -> TrainRequest:
    return TrainRequest.model_validate({"text": "x.txt", "width": 64, "k": 4} | fields)


def about(ground: Ground, data: str, name: str) -> dict[str, Any]:
    return json.loads((ground.folder / data / "saes" / name / "cfg.json").read_text())["about"]


KINDS = [
    "relu",
    "soft_threshold",
    "jumprelu",
    "hard_threshold",
    "topk",
    "abstopk",
    "batchtopk",
    "batchabstopk",
    "vsae",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("more", [{}, {"prefixes": [16, 64], "token_bias": True}])
def test_every_sparsifier_has_defaults_that_work(lm, kind: str, more: dict) -> None:
    (planned,) = recipes.plan_saes(ask(sae=kind, **more), lm)

    assert planned.sae.sparsifier == kind
    assert planned.sae.k == (4 if kind in SPARSIFIERS_WITH_K else None)
    assert (planned.recipe.sparsity_weight > 0) == (kind in recipes.SPARSITY_WEIGHTS)
    assert planned.sae.vocabulary == (320 if more else None)


def test_what_is_asked_for_reaches_the_configurations(lm) -> None:
    request = ask(
        sae=["vsae", "jumprelu", "topk"],
        sparsity_weight=0.3,
        threshold=0.7,
        sample=False,
        rectify=True,
        lr=0.01,
        batch=96,
        precision="candidates",
        seed=5,
    )
    vsae, jumprelu, _topk = recipes.plan_saes(request, lm)

    assert (vsae.sae.sample, vsae.sae.rectify, vsae.sae.threshold) == (False, True, 0.0)
    assert (jumprelu.sae.sample, jumprelu.sae.threshold) == (True, 0.7)
    for item in (vsae, jumprelu):
        recipe = item.recipe
        assert (recipe.sparsity_weight, recipe.lr, recipe.batch, recipe.seed) == (0.3, 0.01, 96, 5)
        assert recipe.kernels.precision == "candidates"


def test_the_batch_can_be_shared_among_the_processes() -> None:
    assert recipes.batch_size(ask(tokens=1_000)) == 512
    assert recipes.batch_size(ask(tokens=1_000, processes=3)) == 513
    assert recipes.batch_size(ask(tokens=10_000_000)) == 4_096


def test_sinks_are_left_out_unless_kept() -> None:
    assert recipes.sink_policy(ask(outlier_norm=4)).outlier_norm == 4
    kept = recipes.sink_policy(ask(keep_sinks=True))
    assert (kept.first, kept.outlier_norm) == (False, None)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    with pytest.raises(ValueError, match="there is no cuda:1 here"):
        pick_device("cuda:1")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["lm-layer2-abstopk-64-k4-seed0"]),
        ({"sae": "relu", "sparsity_weight": 0.5}, ["lm-layer2-relu-64-l0.5-seed0"]),
        (
            {"sae": "vsae", "by_magnitude": True, "prefixes": [64], "token_bias": True},
            ["lm-layer2-vsae-magnitude-matryoshka-tokens-64-k4-seed0"],
        ),
        ({"name": "mine"}, ["mine"]),
        ({"name": "mine", "sae": ["topk", "relu"]}, ["mine-topk", "mine-relu"]),
        (
            {"name": "mine", "k": [1, 2], "seed": [0, 7]},
            [f"mine-k{k}-seed{s}" for k in (1, 2) for s in (0, 7)],
        ),
    ],
)
def test_names_say_what_was_trained(
    sqlite_database: Database, tmp_path: Path, fields: dict, expected: list[str]
) -> None:
    request = ask(**fields)
    folder = RunFolder.open(tmp_path, None, request)
    chosen = variants(request)

    assert names.choose_names(sqlite_database, folder, request, chosen, "a/lm", 2) == expected


def test_a_text_of_one_document_is_refused() -> None:
    window = SimpleNamespace(document=0, tokens=[1, 2, 3])
    with pytest.raises(ValueError, match="single document"):
        split([window])  # type: ignore[list-item]


def test_a_sweep_is_trained_on_one_pass_and_each_sae_is_its_own(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ground.words("sweep", sae="abstopk,relu", seed="0,1", name="s", tokens=1_024)
    assert main(sweep) == 0
    outcome = json.loads(capsys.readouterr().out)
    alone = ground.words("alone", sae="abstopk", name="alone", tokens=1_024)
    assert main(alone) == 0
    single = json.loads(capsys.readouterr().out)

    expected = ["s-abstopk-seed0", "s-abstopk-seed1", "s-relu-seed0", "s-relu-seed1"]
    assert [entry["name"] for entry in outcome["saes"]] == expected
    assert [entry["sparsifier"] for entry in outcome["saes"]] == ["abstopk"] * 2 + ["relu"] * 2
    assert "sae" not in outcome
    assert (single["sae"], single["name"], single["layer"]) == (1, "alone", 1)
    database = Database(Settings.read({}, data_dir=ground.folder / "sweep").database_url)
    with database.read() as session:
        listed = list_saes(session)
        records = [get_sae(session, name) for name in expected]
    database.dispose()
    assert [(sae.name, sae.state, sae.has_map) for sae in listed] == [
        (name, "ready", True) for name in expected
    ]
    assert [entry["sae"] for entry in outcome["saes"]] == [
        record.id for record in records if record
    ]
    first, second = (
        load_tensors(ground.folder / data / "saes" / name / "sae.safetensors")
        for data, name in (("sweep", expected[0]), ("alone", "alone"))
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not list((ground.folder / "sweep" / "runs").iterdir())


def test_the_whole_recipe_is_recorded(ground: Ground) -> None:
    words = ground.words("recorded", outlier_norm=5, tokens=512, prefixes="4,16", token_bias=True)
    assert main(words) == 0

    found = about(ground, "recorded", "tiny")
    assert found["sinks"]["first"] is True
    assert found["sinks"]["outlier_norm"] == 5
    assert found["sinks"]["threshold"] > 0
    assert (found["training"]["batch"], found["training"]["lr"]) == (64, 0.003)
    assert (found["text"], found["layer"], found["processes"]) == (ground.text, 1, 1)
    assert found["fidelity"]["tokens"] > 0
    database = Database(Settings.read({}, data_dir=ground.folder / "recorded").database_url)
    with database.read() as session:
        record = get_sae(session, "tiny")
    database.dispose()
    assert record is not None
    assert record.config == found


def test_training_from_a_cache_is_the_same_and_finds_it_again(ground: Ground) -> None:
    assert main(ground.words("cached", cache="float32", tokens=512)) == 0
    (folder,) = (ground.folder / "cached" / "activations").iterdir()
    written = (folder / "cache.json").stat().st_mtime_ns
    assert main(ground.words("cached", cache="float32", tokens=512, name="again")) == 0
    assert main(ground.words("uncached", tokens=512)) == 0

    assert (folder / "cache.json").stat().st_mtime_ns == written
    stored = [
        load_tensors(ground.folder / data / "saes" / name / "sae.safetensors")
        for data, name in (("cached", "tiny"), ("cached", "again"), ("uncached", "tiny"))
    ]
    for key, value in stored[0].items():
        assert torch.equal(value, stored[1][key])
        torch.testing.assert_close(value, stored[2][key], rtol=1e-3, atol=1e-3)


def test_another_model_layer_or_text_is_another_cache(ground: Ground) -> None:
    from tests.models.tiny import tiny_lm

    first, second = tiny_lm(), tiny_lm(seed=1)
    window = SimpleNamespace(tokens=[1, 2, 3])
    marks = {
        fingerprint(first, 1, [window]),  # type: ignore[list-item]
        fingerprint(second, 1, [window]),  # type: ignore[list-item]
        fingerprint(first, 2, [window]),  # type: ignore[list-item]
        fingerprint(first, 1, [window, window]),  # type: ignore[list-item]
    }
    assert len(marks) == 4


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    ground: Ground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ground.words("two", processes=2, tokens=1_024, name="two")) == 0

    outcome = json.loads(capsys.readouterr().out)
    found = about(ground, "two", "two")
    assert outcome["name"] == "two"
    assert 0 < outcome["nmse"] < 2
    assert (found["processes"], found["training"]["batch"]) == (2, 64)
    assert found["sinks"]["outlier_norm"] == 10
    assert found["sinks"]["threshold"] > 0
    assert not list((ground.folder / "two" / "runs").iterdir())
