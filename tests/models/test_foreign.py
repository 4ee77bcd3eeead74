"""Importing: SAEs that each peer's own library saved give the peer's codes and reconstructions.

The files and what the peers computed come from tests/models/fixtures/make_foreign.py.
"""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.sae.foreign import FORMATS, detect, find_sae, read_foreign
from models.sae.foreign.plain import FOLDABLE

FOREIGN = Path(__file__).parent / "fixtures" / "foreign"
assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
READABLE = {
    "saelens/standard": "relu",
    "saelens/no_input_bias": "relu",
    "saelens/gated": "jumprelu",
    "saelens/jumprelu": "jumprelu",
    "saelens/topk": "topk",
    "saelens/topk_old_layout": "topk",
    "saelens/topk_rescaled": "topk",
    "saelens/abstopk": "abstopk",
    "saelens/abstopk_rescaled": "abstopk",
    "saelens/batchtopk": "batchtopk",
    "saelens/batchtopk_finished": "jumprelu",
    "saelens/matryoshka": "batchtopk",
    "saelens/matryoshka_finished": "jumprelu",
    "sparsify/run/layers.1": "topk",
    "sparsify/run/layers.2": "topk",
    "dictionary_learning/standard": "relu",
    "dictionary_learning/gated": "jumprelu",
    "dictionary_learning/jumprelu": "jumprelu",
    "dictionary_learning/topk": "topk",
    "dictionary_learning/batchtopk": "batchtopk",
    "dictionary_learning/matryoshka": "batchtopk",
}
REFUSED = {
    "saelens/layer_norm": "scale of each token",
    "sparsify/transcoder": "transcoder",
    "sparsify/skip": "skip connection",
    "sparsify/groupmax": "groupmax",
    "dictionary_learning/batchtopk_unset": "never learnt its inference threshold",
}


def copy_of(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOREIGN / name, tmp_path / Path(name).name))


def change(folder: Path, **settings: object) -> Path:
    save_json(folder / "cfg.json", {**load_json(folder / "cfg.json"), **settings})
    return folder


@pytest.mark.parametrize("name", READABLE)
def test_a_peer_s_file_gives_the_peer_s_codes_and_reconstructions(name: str) -> None:
    found = find_sae(FOREIGN / name, None)
    sae, about = read_foreign(found)
    peer = load_tensors(FOREIGN / name / "expected.safetensors")
    codes = sae.encode(peer["inputs"])
    unit = torch.ones(sae.config.d_sae)
    if sae.config.sparsifier in FOLDABLE and name.startswith("saelens"):
        unit = load_tensors(FOREIGN / name / "sae_weights.safetensors")["W_dec"].norm(dim=-1)
    assert found.format == name.split("/")[0]
    assert sae.config.sparsifier == READABLE[name]
    assert (peer["codes"] != 0).any()
    assert_close(codes, peer["codes"] * unit)
    assert_close(sae.decode(codes), peer["reconstructions"])
    assert_close(sae.decode(sae.encode_sparse(peer["inputs"])), peer["reconstructions"])
    assert about["rows"]["shortest"] <= about["rows"]["longest"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_represented_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[name]):
        read_foreign(find_sae(FOREIGN / name, None))


@pytest.mark.parametrize("name", ["saelens/standard", "saelens/jumprelu", "saelens/gated"])
def test_rows_of_latents_that_stand_alone_become_unit_rows(name: str) -> None:
    sae, _ = read_foreign(find_sae(FOREIGN / name, None))
    assert_close(sae.W_dec.norm(dim=-1), torch.ones(32))


def test_rows_of_latents_that_compete_keep_their_norms() -> None:
    sae, about = read_foreign(find_sae(FOREIGN / "saelens" / "topk", None))
    assert about["rows"]["longest"] > 1.5 * about["rows"]["shortest"]
    assert float(sae.W_dec.norm(dim=-1).max()) == pytest.approx(about["rows"]["longest"])


def test_rows_of_one_common_norm_become_unit_rows_by_the_input_scale(tmp_path: Path) -> None:
    folder = copy_of("saelens/topk", tmp_path)
    weights = load_tensors(folder / "sae_weights.safetensors")
    weights["W_dec"] = 3 * torch.nn.functional.normalize(weights["W_dec"], dim=-1)
    save_tensors(folder / "sae_weights.safetensors", weights)
    sae, _ = read_foreign(find_sae(folder, None))
    x = load_tensors(folder / "expected.safetensors")["inputs"]
    u = (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
    values, indices = u.topk(5)
    z = torch.zeros_like(u).scatter(-1, indices, values.relu())
    assert sae.config.input_scale == pytest.approx(1 / 3)
    assert_close(sae.encode(x), z)
    assert_close(sae.decode(z), z @ weights["W_dec"] + weights["b_dec"])
    assert_close(sae.W_dec.norm(dim=-1), torch.ones(32))


def test_matryoshka_widths_are_kept() -> None:
    nested = ["saelens/matryoshka", "saelens/matryoshka_finished", "dictionary_learning/matryoshka"]
    saes = [read_foreign(find_sae(FOREIGN / name, None))[0] for name in nested]
    assert [sae.config.prefixes for sae in saes] == [(8, 32)] * 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"normalize_activations": "constant_norm_rescale"}, "scale of each token"),
        ({"normalize_activations": "covariance_whitening"}, "scale of each token"),
        ({"normalize_activations": "expected_average_only_in"}, "activation_scaler.json"),
        ({"architecture": "transcoder"}, "architecture 'transcoder' cannot be read"),
        ({"reshape_activations": "hook_z"}, "attention heads"),
        ({"activation_fn": "tanh-relu"}, "tanh-relu"),
        ({"k": 2.5}, "whole number"),
        ({"k": 33}, "k is 33"),
    ],
)
def test_a_saelens_setting_that_cannot_be_honoured_is_refused(
    settings: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    folder = change(copy_of("saelens/topk", tmp_path), **settings)
    with pytest.raises(ValueError, match=sentence):
        read_foreign(find_sae(folder, None))


def test_an_unfinished_saelens_training_takes_its_scale_from_beside_it(tmp_path: Path) -> None:
    folder = copy_of("saelens/topk_rescaled", tmp_path)
    change(folder, normalize_activations="expected_average_only_in")
    save_json(folder / "activation_scaler.json", {"scaling_factor": 0.25})
    sae, _ = read_foreign(find_sae(folder, None))
    peer = load_tensors(folder / "expected.safetensors")
    codes = sae.encode(4 * peer["inputs"])
    assert_close(codes, peer["codes"])
    assert_close(sae.decode(codes), 4 * peer["reconstructions"])


def test_an_old_finetuning_scale_is_refused(tmp_path: Path) -> None:
    folder = copy_of("saelens/topk", tmp_path)
    weights = load_tensors(folder / "sae_weights.safetensors")
    save_tensors(
        folder / "sae_weights.safetensors", {**weights, "scaling_factor": torch.full((32,), 2.0)}
    )
    with pytest.raises(ValueError, match="finetuning scaling factor"):
        read_foreign(find_sae(folder, None))


def test_the_layer_of_a_run_chooses_among_its_folders() -> None:
    run = FOREIGN / "sparsify" / "run"
    assert find_sae(run, 2).folder.name == "layers.2"
    assert find_sae(FOREIGN / "dictionary_learning" / "topk", 1).site.layer == 1
    with pytest.raises(ValueError, match=r"name the folder of one, such as layers\.1"):
        find_sae(run, None)
    with pytest.raises(ValueError, match=r"none of 3 SAEs .* block 5"):
        find_sae(run, 5)


@pytest.mark.parametrize(
    ("name", "asked", "layer"),
    [
        ("saelens/topk", None, 1),
        ("saelens/topk_old_layout", None, 1),  # the stream *before* block 2
        ("sparsify/run/layers.2", 2, 2),
        ("dictionary_learning/topk", None, 1),
    ],
)
def test_the_place_in_the_model_is_read_from_the_file(
    name: str, asked: int | None, layer: int
) -> None:
    assert find_sae(FOREIGN / name, None).site.settle(asked) == layer


@pytest.mark.parametrize(
    ("name", "asked", "sentence"),
    [
        ("saelens/topk", 2, "is --layer 1 here"),
        ("saelens/topk_old_layout", 2, "is --layer 1 here"),
        ("sparsify/run/layers.2.mlp", 2, "only the residual stream"),
        ("sparsify/transcoder", None, "give --layer"),
    ],
)
def test_a_place_that_is_not_the_one_asked_for_is_refused(
    name: str, asked: int | None, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        find_sae(FOREIGN / name, None).site.settle(asked)


def test_a_folder_without_an_sae_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "cfg.json").write_text(json.dumps({"hidden_size": 3}))
    assert detect(tmp_path) is None
    with pytest.raises(ValueError, match=r"no SAE in .* sae_weights\.safetensors"):
        find_sae(tmp_path, None)


def test_a_pickle_that_is_more_than_tensors_is_not_loaded(tmp_path: Path) -> None:
    folder = copy_of("dictionary_learning/topk", tmp_path)
    # Protocol 0: `builtins.print("run")`, which a loader that executes would print.
    (folder / "ae.pt").write_bytes(b"cbuiltins\nprint\n(S'run'\ntR.")
    with pytest.raises(ValueError, match="not a plain state dict"):
        read_foreign(find_sae(folder, None))


@pytest.mark.parametrize("name", ["saelens/topk", "sparsify/run/layers.1"])
def test_a_file_that_lacks_a_weight_says_which(name: str, tmp_path: Path) -> None:
    folder = copy_of(name, tmp_path)
    weights = FORMATS[name.split("/")[0]].weights[0]
    tensors = load_tensors(folder / weights)
    save_tensors(folder / weights, {k: v for k, v in tensors.items() if k != "W_dec"})
    with pytest.raises(ValueError, match="lack 'W_dec'"):
        read_foreign(find_sae(folder, None))


def test_weights_that_are_not_finite_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = copy_of("saelens/topk", tmp_path)
    weights = load_tensors(folder / "sae_weights.safetensors")
    broken = {**weights, "b_enc": torch.full((32,), torch.nan)}
    short = {**weights, "b_enc": weights["b_enc"][:-1].clone()}
    for tensors, sentence in ((broken, "infinities or NaN"), (short, r"b_enc is \[31\]")):
        save_tensors(folder / "sae_weights.safetensors", tensors)
        with pytest.raises(ValueError, match=sentence):
            read_foreign(find_sae(folder, None))
