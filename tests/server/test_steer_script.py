"""The exported script: it writes what Dipole writes, for every operation and every kind of SAE."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load

from models.generate import Row, generate
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from server.protocol import Edit
from server.protocol.effects import WeightsRequest
from server.store.language_models import ModelRecord
from server.store.saes import SaeRecord
from server.web.steer_query import SteerQuery
from server.web.steer_script import script_of
from server.web.steer_view import Steered, SteerState
from server.worker.shelf import Shelf
from server.worker.steering import edits_of
from server.worker.weights import weights
from tests.models.tiny import tiny_lm
from tests.server.worker.steer_shelf import DEMO_LAYER, demo_shelf, shelf_of

POLES = {pole: {"label": "", "quantile_999": 1.0} for pole in "+-"}
CONFIGS = {
    "abstopk": {"k": 6},
    "topk": {"k": 6},
    "vsae": {"k": 6},
    "batchabstopk": {"k": 6},
    "batchtopk": {"k": 6},
    "relu": {"threshold": 0.2},
    "soft_threshold": {"threshold": 0.2},
    "jumprelu": {"threshold": 0.3},
    "hard_threshold": {"threshold": 0.3},
    "dim": {},
}


DEMO = cast(ModelRecord, SimpleNamespace(is_demo=True, source="demo"))


def script(
    shelf: Shelf, edits: list[Edit], hook: str, model: ModelRecord = DEMO, **changes: Any
) -> str:
    """The script of these edits."""
    saes = [cast(SaeRecord, SimpleNamespace(name="sae", hook=hook, model_id=1)) for _ in edits]
    query = SteerQuery(**changes)
    steered = [Steered(edit, sae, POLES) for edit, sae in zip(edits, saes, strict=True)]
    return script_of(SteerState(query, [], saes[0], steered, ""), model)


def written_by_dipole(shelf: Shelf, edits: list[Edit], query: SteerQuery) -> str:
    """The same by the running batch."""
    lm = shelf.model(1)
    prompt = lm.tokenize(query.prompt)
    made = edits_of(shelf, lm, edits, [edit.strength for edit in edits])
    row = Row(prompt, made, query.tokens, query.seed, query.temperature, query.positions)
    list(generate(lm, [row]))
    before = str(lm.tokenizer.decode(prompt, skip_special_tokens=True))
    text = str(lm.tokenizer.decode([*prompt, *row.written], skip_special_tokens=True))
    return text[len(before) :]


def written_by_script(lm: LanguageModel, text: str, file: bytes, path: Path) -> str:
    """The script's own functions, on a model that is loaded already."""
    from safetensors import safe_open

    path.write_bytes(file)
    space: dict[str, Any] = {"__name__": "steer"}
    exec(compile(text, "steer.py", "exec"), space)
    with safe_open(path, "pt") as opened:
        settings = json.loads(opened.metadata()["edits"])
    tensors = load(file)
    edits = [
        {**setting, **edit}
        | {n.split(".")[1]: t for n, t in tensors.items() if n.startswith(f"{place}.")}
        for place, (edit, setting) in enumerate(
            zip(space["REQUEST"]["edits"], settings, strict=True)
        )
    ]
    return space["write"](lm.model, lm.tokenizer, edits)


def make_sae(sparsifier: str, token_bias: bool) -> SparseAutoencoder:
    options: dict[str, Any] = {"input_scale": 0.5, **CONFIGS[sparsifier]}
    if token_bias:
        options |= {"token_bias": True, "vocabulary": 320}
    sae = SparseAutoencoder(SAEConfig(32, 40, sparsifier, **options))  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(1)
    sae.initialise(random)
    with torch.no_grad():
        sae.b_enc.normal_(std=0.1, generator=random)
        if sae.config.is_batched:
            sae.threshold.fill_(0.3)
        if token_bias:
            sae.token_means.normal_(generator=random)
    return sae.eval().requires_grad_(False)


@pytest.mark.parametrize("operation", ["clamp", "scale"])
@pytest.mark.parametrize("sparsifier", CONFIGS)
def test_a_script_reads_the_code_of_every_sparsifier(
    sparsifier: str, operation: str, tmp_path: Path
) -> None:
    lm = tiny_lm("gpt_neox")
    shelf = shelf_of(lm, {1: make_sae(sparsifier, token_bias=sparsifier == "abstopk")}, layer=1)
    edit = Edit(sae=1, feature=3, operation=operation, strength=-8.0)  # type: ignore[arg-type]
    options: dict[str, Any] = {"prompt": "The boy saw a", "tokens": 10, "temperature": 0.9}
    text = script(shelf, [edit], f"{lm.hook_name}.1", **options)
    file = weights(shelf, WeightsRequest(edits=[edit]))
    expected = written_by_dipole(shelf, [edit], SteerQuery(**options))
    assert written_by_script(lm, text, file, tmp_path / "w") == expected


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "qwen3"])
@pytest.mark.parametrize("positions", ["all", "generated", "last"])
def test_a_script_edits_where_it_is_asked_to(family: str, positions: str, tmp_path: Path) -> None:
    lm = tiny_lm(family)
    shelf = shelf_of(lm, {1: make_sae("abstopk", token_bias=False)}, layer=1)
    edits = [
        Edit(sae=1, feature=3, strength=30.0),
        Edit(sae=1, feature=5, operation="project", strength=-9.0),
        Edit(sae=1, feature=6, operation="scale", strength=-1.0, pole="+"),
    ]
    options: dict[str, Any] = {"prompt": "A king", "tokens": 10, "seed": 5, "positions": positions}
    text = script(shelf, edits, f"{lm.hook_name}.1", **options)
    file = weights(shelf, WeightsRequest(edits=edits))
    expected = written_by_dipole(shelf, edits, SteerQuery(**options))
    assert written_by_script(lm, text, file, tmp_path / "w") == expected


def test_a_file_of_directions_holds_nothing_else() -> None:
    shelf = shelf_of(tiny_lm("gpt_neox"), {1: make_sae("abstopk", token_bias=False)}, layer=1)
    edits = [Edit(sae=1, feature=3), Edit(sae=1, feature=4, operation="clamp")]
    tensors = load(weights(shelf, WeightsRequest(edits=edits)))
    assert {name for name in tensors if name.startswith("0.")} == {"0.direction"}
    assert tensors["1.W_enc"].shape == (32, 40)
    relu = shelf_of(tiny_lm("gpt_neox"), {1: make_sae("relu", token_bias=False)}, layer=1)
    assert load(weights(relu, WeightsRequest(edits=edits)))["1.W_enc"].shape == (32, 1)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_the_script_alone_writes_the_demo_models_text(temperature: float, tmp_path: Path) -> None:
    shelf = demo_shelf()
    lm = shelf.model(1)
    edits = [
        Edit(sae=2, feature=0, strength=8.0),
        Edit(sae=1, feature=3, operation="scale", strength=-1.0),
    ]
    options: dict[str, Any] = {
        "prompt": "Once upon a time there was a “little”",
        "tokens": 24,
        "seed": 11,
        "temperature": temperature,
    }
    file = tmp_path / "steer.py"
    file.write_text(script(shelf, edits, f"{lm.hook_name}.{DEMO_LAYER}", **options))
    (tmp_path / "steer.safetensors").write_bytes(weights(shelf, WeightsRequest(edits=edits)))
    command = [sys.executable, str(file), "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    texts = json.loads(done.stdout)
    query = SteerQuery(**options)
    assert texts["unsteered"] == written_by_dipole(shelf, [], query)
    assert texts["steered"] == written_by_dipole(shelf, edits, query)
    assert texts["steered"] != texts["unsteered"]


def test_a_script_names_a_models_folder_by_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    local, hub = (
        cast(ModelRecord, SimpleNamespace(is_demo=False, source=source))
        for source in ("folder", "gpt2")
    )
    text = script(shelf_of(tiny_lm("gpt2"), {}, layer=1), [Edit(sae=1, feature=0)], "h", local)
    assert f"MODEL: str = {str(tmp_path / 'folder')!r}" in text
    text = script(shelf_of(tiny_lm("gpt2"), {}, layer=1), [Edit(sae=1, feature=0)], "h", hub)
    assert "MODEL: str = 'gpt2'" in text


@pytest.mark.parametrize("folder", ["/not/there", "models/not/there"])
def test_a_script_without_its_models_folder_asks_for_it(folder: str, tmp_path: Path) -> None:
    file = tmp_path / "steer.py"
    file.write_text(script(shelf_of(tiny_lm("gpt2"), {}, layer=1), [Edit(sae=1, feature=0)], "h"))
    command = [sys.executable, str(file), "--model", folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == f"the model folder {folder} is not here: give --model, a folder or hub id\n"
    )
