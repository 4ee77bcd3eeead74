"""Files of other libraries that hold what nobody would write: a sentence says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.sae.foreign import dictionary_learning, find_sae, read_foreign
from tests.models.test_foreign import FOREIGN, change, copy_of

Spoil = Callable[[Path], None]


def setting(**settings: object) -> Spoil:
    return lambda folder: change(folder, **settings) and None


def infinite(folder: Path) -> None:
    text = (folder / "cfg.json").read_text()
    (folder / "cfg.json").write_text(text.replace('"k": 5', '"k": Infinity'))


def weights(**tensors: torch.Tensor) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / "sae_weights.safetensors"
        save_tensors(path, {**load_tensors(path), **tensors})

    return spoil


def wrong_encoder(folder: Path) -> None:
    change(folder, apply_b_dec_to_input=False)
    weights(W_enc=torch.ones(7, 32))(folder)


def listed_scaler(folder: Path) -> None:
    change(folder, normalize_activations="expected_average_only_in")
    save_json(folder / "activation_scaler.json", [1])


def trainer(folder: Path, **settings: object) -> None:
    document = load_json(folder / "config.json")
    save_json(folder / "config.json", {**document, "trainer": document["trainer"] | settings})


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("saelens/standard", wrong_encoder),
        ("saelens/standard", weights(W_enc=torch.ones(32))),
        ("saelens/batchtopk", weights(topk_threshold=torch.ones(5))),
        ("saelens/standard", setting(metadata="x")),
        ("saelens/batchtopk", infinite),
        ("saelens/topk", infinite),
        ("saelens/matryoshka", setting(matryoshka_widths=["a"])),
        ("saelens/topk", setting(activation_fn="topk", k=None, activation_fn_kwargs=[1])),
        ("saelens/topk", setting(architecture=["topk"])),
        ("saelens/topk_rescaled", listed_scaler),
        ("sparsify/run/layers.1", setting(k="many")),
        ("dictionary_learning/topk", lambda folder: trainer(folder, dict_class=["x"])),
    ],
)
def test_a_damaged_file_is_told_in_a_sentence(name: str, spoil: Spoil, tmp_path: Path) -> None:
    folder = copy_of(name, tmp_path)
    spoil(folder)
    with pytest.raises(ValueError, match=r"again|whole number|cannot be read"):
        read_foreign(find_sae(folder, None))


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("batchtopk", {"threshold": torch.ones(5)}),
        ("jumprelu", {"b_dec": torch.ones(5)}),
        ("topk", {"k": torch.ones(3)}),
        ("matryoshka", {"group_sizes": torch.tensor(32)}),
    ],
)
def test_tensors_of_a_wrong_shape_are_told_in_a_sentence(
    name: str, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = dictionary_learning._load
    monkeypatch.setattr(dictionary_learning, "_load", lambda path: load(path) | tensors)
    with pytest.raises(ValueError, match="again"):
        read_foreign(find_sae(FOREIGN / "dictionary_learning" / name, None))
