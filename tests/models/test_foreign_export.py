"""Exporting: what is written reads back to the same codes, and what would lose signs is refused."""

from functools import partial
from pathlib import Path

import pytest
import torch

from models.artifact import load_json, load_tensors
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.config import Sparsifier
from models.sae.foreign import EXPORTS, find_sae, read_foreign, write_foreign
from models.sae.foreign.plain import from_native
from models.sae.foreign.split import split_poles

assert_close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
ABOUT = {"model": "tiny", "layer": 1}
D_IN, D_SAE, K = 6, 20, 4
SETTINGS: dict[Sparsifier, dict[str, object]] = {
    "relu": {"threshold": 0.2},
    "soft_threshold": {"threshold": 0.2},
    "jumprelu": {"threshold": 0.3},
    "hard_threshold": {"threshold": 0.3},
    "topk": {"k": K},
    "abstopk": {"k": K},
    "batchtopk": {"k": K},
    "batchabstopk": {"k": K},
    "vsae": {"k": K},
    "dim": {},
}
HOLDS = {
    "saelens": {"relu", "jumprelu", "topk", "abstopk", "batchtopk", "vsae"},
    "sparsify": {"topk", "vsae"},
    "dictionary_learning": {"relu", "jumprelu", "topk", "batchtopk", "vsae"},
    "split": {"soft_threshold", "hard_threshold", "abstopk", "batchabstopk", "dim"},
    "dipole": set(SETTINGS),
}


def make(sparsifier: Sparsifier, **more: object) -> SparseAutoencoder:
    """An SAE with unit rows, an input scale, and biases and thresholds that matter."""
    config = SAEConfig(D_IN, D_SAE, sparsifier, input_scale=0.37, **SETTINGS[sparsifier], **more)  # type: ignore[arg-type]
    sae = SparseAutoencoder(config)
    with torch.no_grad():
        sae.initialise(torch.Generator().manual_seed(1))
        sae.W_enc.add_(0.3 * torch.randn_like(sae.W_enc))
        sae.b_enc.normal_().mul_(0.1)
        sae.b_dec.normal_().mul_(0.5)
        if "log_threshold" in sae.state_dict():
            sae.log_threshold.add_(0.5 * torch.randn(D_SAE))
        if sparsifier in ("batchtopk", "batchabstopk"):
            sae.threshold.fill_(0.4)
    return sae.eval().requires_grad_(False)


@pytest.fixture
def x() -> torch.Tensor:
    return 4 * torch.randn(40, D_IN)


@pytest.mark.parametrize(
    ("format_", "sparsifier"), [(name, kind) for name in EXPORTS for kind in sorted(HOLDS[name])]
)
def test_what_is_written_reads_back_to_the_same_reconstructions(
    format_: str, sparsifier: Sparsifier, x: torch.Tensor, tmp_path: Path
) -> None:
    sae = make(sparsifier)
    write_foreign(tmp_path / "out", sae, format_, ABOUT)
    found = find_sae(tmp_path / "out", None)
    back, _ = read_foreign(found)
    codes, again = sae.encode(x), back.encode(x)
    if format_ == "split":
        assert not back.config.is_signed
        again = again[:, :D_SAE] - again[:, D_SAE:]
    assert found.site.layer == (None if format_ == "sparsify" else 1)  # its folder's name says it
    assert back.config.input_scale == pytest.approx(0.37)
    assert (codes < 0).any() == sae.config.is_signed
    assert_close(again, codes)
    assert_close(back.decode(back.encode(x)), sae.decode(codes))


@pytest.mark.parametrize(
    ("format_", "sparsifier"),
    [(name, kind) for name in EXPORTS for kind in sorted(set(SETTINGS) - HOLDS[name])],
)
def test_a_format_that_cannot_hold_the_codes_says_which_can(
    format_: str, sparsifier: Sparsifier, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"split|saelens"):
        write_foreign(tmp_path / "out", make(sparsifier), format_, ABOUT)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("format_", "sparsifier"),
    [
        ("sparsify", "abstopk"),
        ("dictionary_learning", "abstopk"),
        ("dictionary_learning", "hard_threshold"),
        ("dictionary_learning", "soft_threshold"),
        ("dictionary_learning", "batchabstopk"),
        ("saelens", "abstopk"),
    ],
)
def test_a_signed_sae_goes_anywhere_as_its_two_poles(
    format_: str, sparsifier: Sparsifier, x: torch.Tensor, tmp_path: Path
) -> None:
    sae = make(sparsifier)
    write_foreign(tmp_path / "out", sae, format_, ABOUT, split=True)
    back, _ = read_foreign(find_sae(tmp_path / "out", None))
    poles = back.encode(x)
    assert (back.config.d_sae, bool((poles < 0).any())) == (2 * D_SAE, False)
    assert_close(poles[:, :D_SAE] - poles[:, D_SAE:], sae.encode(x))
    assert_close(back.decode(poles), sae.decode(sae.encode(x)))


def test_abstopk_is_topk_on_the_split(x: torch.Tensor) -> None:
    split = split_poles(from_native(make("abstopk")))
    assert (split.rule, split.k, split.d_sae) == ("topk", K, 2 * D_SAE)
    assert_close(split.W_dec[D_SAE:], -split.W_dec[:D_SAE])
    u = (x - split.b_dec) @ split.W_enc + split.b_enc
    assert_close(u[:, D_SAE:], -u[:, :D_SAE])


def test_a_signed_vsae_is_exported_as_the_abstopk_of_its_mean(tmp_path: Path) -> None:
    sae = make("vsae", by_magnitude=True)
    write_foreign(tmp_path / "out", sae, "saelens", ABOUT)
    assert load_json(tmp_path / "out" / "cfg.json")["architecture"] == "abstopk"


@pytest.mark.parametrize("format_", ["saelens", "dictionary_learning"])
def test_nested_widths_survive_where_the_format_has_a_place(format_: str, tmp_path: Path) -> None:
    sae = make("batchtopk", prefixes=(5, D_SAE))
    write_foreign(tmp_path / "out", sae, format_, ABOUT)
    back, _ = read_foreign(find_sae(tmp_path / "out", None))
    assert back.config.prefixes == (5, D_SAE)


def test_a_saelens_file_has_what_saelens_insists_on(tmp_path: Path) -> None:
    write_foreign(tmp_path / "out", make("abstopk"), "saelens", ABOUT)
    settings = load_json(tmp_path / "out" / "cfg.json")
    assert settings["dtype"] == "float32"
    assert int(settings["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    assert settings["metadata"]["hook_name"] == "blocks.1.hook_resid_post"
    assert settings["normalize_activations"] == "none"


def test_raw_activations_go_into_what_is_exported(x: torch.Tensor, tmp_path: Path) -> None:
    sae = make("topk")
    write_foreign(tmp_path / "out", sae, "sparsify", ABOUT)
    weights = load_tensors(tmp_path / "out" / "sae.safetensors")
    u = (x - weights["b_dec"]) @ weights["encoder.weight"].T + weights["encoder.bias"]
    values, indices = u.topk(K)
    z = torch.zeros_like(u).scatter(-1, indices, values.relu())
    assert_close(z, sae.encode(x))
    assert_close(z @ weights["W_dec"] + weights["b_dec"], sae.decode(z))


def test_a_token_bias_stays_in_our_own_format(tmp_path: Path) -> None:
    sae = make("abstopk", token_bias=True, vocabulary=7)
    with pytest.raises(ValueError, match="--format dipole"):
        write_foreign(tmp_path / "out", sae, "saelens", ABOUT)
    write_foreign(tmp_path / "out", sae, "dipole", ABOUT)
    assert read_foreign(find_sae(tmp_path / "out", None))[0].config.token_bias


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        write_foreign(tmp_path, make("abstopk"), "saelens", ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_row_of_zeros_does_not_count_as_a_norm(tmp_path: Path) -> None:
    sae = make("topk")
    with torch.no_grad():
        sae.W_dec[3].zero_()
    write_foreign(tmp_path / "out", sae, "sparsify", ABOUT)
    back, _ = read_foreign(find_sae(tmp_path / "out", None))
    assert back.config.input_scale == pytest.approx(0.37)
    assert all(torch.isfinite(value).all() for value in back.state_dict().values())


@pytest.mark.parametrize("format_", ["saelens", "split", "dictionary_learning"])
def test_a_format_that_names_the_layer_refuses_an_sae_without_one(
    format_: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="not known after which block"):
        write_foreign(tmp_path / "out", make("topk"), format_, {"model": "tiny"})
    assert not (tmp_path / "out").exists()
