"""Importing through the run: a foreign SAE becomes browsable, or leaves nothing behind."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.artifact import load_json, save_json
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.foreign import write_foreign
from server.protocol.files import ImportRequest
from server.store.features import get_feature
from server.store.language_models import list_models
from server.store.maps import get_map
from server.store.saes import get_sae, list_saes
from server.worker.exporting import export_sae
from server.worker.library import open_sae
from server.worker.progress import TaskContext
from server.worker.tasks import TASKS

D_IN, D_SAE = 32, 24


@pytest.fixture
def sae() -> SparseAutoencoder:
    sae = SparseAutoencoder(SAEConfig(D_IN, D_SAE, "abstopk", k=4, input_scale=0.5))
    sae.initialise(torch.Generator().manual_seed(0))
    return sae.eval().requires_grad_(False)


@pytest.fixture
def foreign(tmp_path: Path, sae: SparseAutoencoder) -> Path:
    write_foreign(tmp_path / "lens", sae, "saelens", {"model": "tiny", "layer": 1})
    return tmp_path / "lens"


def run(context: TaskContext, **request: object) -> dict[str, object]:
    *_, last = TASKS["import"][1](context, ImportRequest(**request))  # type: ignore[arg-type]
    assert last.result is not None
    return last.result


def test_a_foreign_sae_is_measured_indexed_and_mapped(
    context: TaskContext, foreign: Path, model: Path, text: Path, sae: SparseAutoencoder
) -> None:
    result = run(context, source=str(foreign), model=str(model), text=str(text), name="lens")
    with context.database.read() as session:
        record = get_sae(session, "lens")
        assert record is not None
        feature, layout = get_feature(session, record, 0), get_map(session, record)
        (summary,) = list_saes(session)
    assert (result["name"], result["layer"], result["format"]) == ("lens", 1, "saelens")
    assert (summary.state, summary.sparsifier, summary.k) == ("ready", "abstopk", 4)
    assert record.config["imported"]["hook"] == "blocks.1.hook_resid_post"
    assert record.nmse == result["nmse"]
    assert feature is not None
    assert layout is not None
    x = torch.randn(8, D_IN)
    again = open_sae(context.settings, record)
    torch.testing.assert_close(again.decode(again.encode(x)), sae.decode(sae.encode(x)))


def test_what_was_imported_can_be_exported_with_the_signs_that_are_shown(
    context: TaskContext, foreign: Path, model: Path, text: Path, tmp_path: Path
) -> None:
    run(context, source=str(foreign), model=str(model), text=str(text), name="lens")
    out = tmp_path / "out"
    written = export_sae(context.settings, context.database, "lens", "saelens", out, split=False)
    back = run(context, source=str(out), model=str(model), text=str(text))
    with context.database.read() as session:
        records = [get_sae(session, key) for key in ("lens", str(back["name"]))]
    first, second = (open_sae(context.settings, record) for record in records if record)
    x = torch.randn(8, D_IN)
    assert written["files"] == ["cfg.json", "sae_weights.safetensors"]
    assert load_json(out / "cfg.json")["metadata"]["model_name"] == str(model)
    torch.testing.assert_close(second.encode(x), first.encode(x))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": "/nowhere"}, "check the path"),
        ({"layer": 2}, "is --layer 1 here"),
        ({"text": None}, "--text is needed"),
        ({"name": "a/b"}, "cannot be a folder"),
        ({"name": ".hidden"}, "cannot be a folder"),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    change: dict[str, object],
    sentence: str,
    context: TaskContext,
    foreign: Path,
    model: Path,
    text: Path,
) -> None:
    request = {"source": str(foreign), "model": str(model), "text": str(text)} | change
    with pytest.raises(ValueError, match=sentence):
        run(context, **request)
    with context.database.read() as session:
        assert list_saes(session) == []
    assert not (context.settings.data_dir / "saes").exists()


def test_an_sae_of_another_width_is_refused(
    context: TaskContext, model: Path, text: Path, tmp_path: Path
) -> None:
    other = SparseAutoencoder(SAEConfig(8, 16, "topk", k=2))
    other.initialise(torch.Generator().manual_seed(0))
    write_foreign(tmp_path / "small", other, "sparsify", {})
    with pytest.raises(ValueError, match="reads 8 dimensions, but the residual stream"):
        run(context, source=str(tmp_path / "small"), model=str(model), text=str(text), layer=1)


def test_a_layer_that_the_model_lacks_is_refused(
    context: TaskContext, foreign: Path, model: Path, text: Path
) -> None:
    settings = load_json(foreign / "cfg.json")
    settings["metadata"]["hook_name"] = "blocks.7.hook_resid_post"
    save_json(foreign / "cfg.json", settings)
    with pytest.raises(ValueError, match="layer 7 is out of range"):
        run(context, source=str(foreign), model=str(model), text=str(text))


def test_a_name_that_is_taken_is_refused_and_a_usual_one_is_numbered(
    context: TaskContext, foreign: Path, model: Path, text: Path
) -> None:
    request = {"source": str(foreign), "model": str(model), "text": str(text), "tokens": 200}
    first, second = run(context, **request), run(context, **request)
    assert second["name"] == f"{first['name']}-2"
    with pytest.raises(ValueError, match="already"):
        run(context, **request, name=first["name"])


def test_a_second_attempt_of_one_run_goes_on_with_what_the_first_has_entered(
    context: TaskContext, foreign: Path, model: Path, text: Path
) -> None:
    request = {"source": str(foreign), "model": str(model), "text": str(text), "name": "lens"}
    first = run(replace(context, run_id=7), **request)
    again = run(replace(context, run_id=7), **request)
    with context.database.read() as session:
        assert len(list_saes(session)) == 1
    assert again["sae"] == first["sae"]


def test_our_own_sae_with_a_weight_that_is_not_finite_leaves_nothing(
    context: TaskContext, tmp_path: Path, sae: SparseAutoencoder, model: Path, text: Path
) -> None:
    with torch.no_grad():
        sae.W_dec[0, 0] = torch.nan
    write_foreign(tmp_path / "own", sae, "dipole", {"model": "tiny", "layer": 1})
    with pytest.raises(ValueError, match="infinities or NaN in W_dec"):
        run(context, source=str(tmp_path / "own"), model=str(model), text=str(text))
    with context.database.read() as session:
        assert list_saes(session) == []
        assert list_models(session) == []
