"""An SAE on disk: every kind comes back as it was, older folders load, broken ones are named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.sae.checkpoint import SETTINGS, WEIGHTS, load_sae, read_about, read_config, save_sae
from models.sae.foreign import find_sae
from models.sae.foreign.site import Site
from tests.models.small_sae import D_IN, D_SAE, KINDS, draw, draw_tokens, make_sae

VARIANTS: list[tuple[str, dict]] = [(kind, {}) for kind in KINDS] + [
    ("abstopk", {"prefixes": (5, D_SAE)}),
    ("batchabstopk", {"prefixes": (5, D_SAE), "token_bias": True, "vocabulary": 11}),
    ("hard_threshold", {"token_bias": True, "vocabulary": 11}),
    ("vsae", {"sample": False, "rectify": True}),
    ("vsae", {"sigma": "fixed", "by_magnitude": True}),
]


@pytest.mark.parametrize(("kind", "options"), VARIANTS)
def test_every_sae_comes_back_as_it_was(kind: str, options: dict, tmp_path: Path) -> None:
    sae, x, tokens = make_sae(kind, input_scale=1.3, **options), draw(9, D_IN), draw_tokens(9)
    save_sae(tmp_path, sae, {"model": "tiny", "layer": 1})
    loaded = load_sae(tmp_path)
    assert loaded.config == sae.config == read_config(tmp_path)
    assert read_about(tmp_path) == {"model": "tiny", "layer": 1}
    assert loaded.state_dict().keys() == sae.state_dict().keys()
    for name, tensor in sae.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
        assert loaded.state_dict()[name].dtype == torch.float32
    assert torch.equal(loaded.encode(x, tokens), sae.encode(x, tokens))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_folder_from_before_the_newer_settings_loads(tmp_path: Path) -> None:
    sae = make_sae("abstopk")
    save_sae(tmp_path, sae, {})
    document = json.loads((tmp_path / SETTINGS).read_text())
    for name in ("prefixes", "token_bias", "vocabulary"):
        del document["sae"][name]
    (tmp_path / SETTINGS).write_text(json.dumps(document))
    assert load_sae(tmp_path).config == sae.config


def test_an_early_vsae_that_kept_an_unused_sigma_loads(tmp_path: Path) -> None:
    sae, x = make_sae("vsae", sample=False), draw(9, D_IN)
    save_sae(tmp_path, sae, {})
    tensors = load_file(tmp_path / WEIGHTS)
    tensors |= {"W_var": torch.zeros(D_IN, D_SAE), "b_var": torch.zeros(D_SAE)}
    save_file(tensors, tmp_path / WEIGHTS)
    assert torch.equal(load_sae(tmp_path).encode(x), sae.encode(x))


def test_weights_that_do_not_fit_the_settings_are_named(tmp_path: Path) -> None:
    save_sae(tmp_path, make_sae("batchtopk"), {})
    tensors = load_file(tmp_path / WEIGHTS)
    del tensors["threshold"]
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match=r"describes .*threshold"):
        load_sae(tmp_path)


def test_a_folder_without_an_sae_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dipole train"):
        load_sae(tmp_path)


def change(folder: Path, **settings: object) -> None:
    """Settings of a saved SAE; those given as `...` are left out."""
    document = json.loads((folder / SETTINGS).read_text())
    document["sae"] |= settings
    document["sae"] = {name: value for name, value in document["sae"].items() if value is not ...}
    (folder / SETTINGS).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"d_in": ...}, "lacks d_in: copy"),
        ({"d_sae": "8"}, "d_sae is '8', but must be a whole number"),
        ({"k": 2.5}, "k is 2.5, but must be a whole number"),
        ({"prefixes": None}, "prefixes is None, but must be a list"),
        ({"threshold": "low"}, "threshold is 'low', but must be a number"),
        ({"rectify": 0}, "rectify is 0, but must be true or false"),
        ({"gain": 2.0}, r"does not know \(gain\): was it written by a newer Dipole"),
    ],
)
def test_settings_that_are_missing_wrong_or_not_known_are_named(
    settings: dict, sentence: str, tmp_path: Path
) -> None:
    save_sae(tmp_path, make_sae("abstopk"), {})
    change(tmp_path, **settings)
    with pytest.raises(ValueError, match=sentence):
        load_sae(tmp_path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    save_sae(tmp_path, make_sae("abstopk"), {})
    tensors = load_file(tmp_path / WEIGHTS)
    tensors["W_dec"][3, 2] = value
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="infinities or NaN in W_dec: copy"):
        load_sae(tmp_path)


def test_what_is_said_of_an_sae_is_finite_too(tmp_path: Path) -> None:
    save_sae(tmp_path, make_sae("abstopk"), {"layer": 1})
    text = (tmp_path / SETTINGS).read_text()
    (tmp_path / SETTINGS).write_text(text.replace('"layer": 1', '"layer": NaN'))
    with pytest.raises(ValueError, match="a number that is not finite"):
        read_about(tmp_path)


@pytest.mark.parametrize("about", ["x", None, {"layer": "4"}, {}])
def test_an_sae_that_does_not_say_its_layer_is_found_all_the_same(
    tmp_path: Path, about: object
) -> None:
    save_sae(tmp_path, make_sae("abstopk"), {})
    document = json.loads((tmp_path / SETTINGS).read_text())
    (tmp_path / SETTINGS).write_text(json.dumps(document | {"about": about}))
    found = find_sae(tmp_path, 3)
    assert (found.format, found.site) == ("dipole", Site(None, None))
