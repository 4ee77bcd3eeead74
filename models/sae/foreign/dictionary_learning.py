"""dictionary_learning: a folder with `config.json` and `ae.pt`, a torch state dict.

Read with the weights-only loader, which executes nothing. Knows no hub. Verified against
dictionary-learning 0.1.0.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.artifact import load_json, save_json, write_atomically
from models.sae.config import Sparsifier
from models.sae.foreign.plain import PlainSAE
from models.sae.foreign.reading import require
from models.sae.foreign.site import Site, find_site

SETTINGS = "config.json"
WEIGHTS = "ae.pt"
WRITTEN: dict[Sparsifier, tuple[str, str]] = {
    "relu": ("AutoEncoder", "StandardTrainer"),
    "topk": ("AutoEncoderTopK", "TopKTrainer"),
    "batchtopk": ("BatchTopKSAE", "BatchTopKTrainer"),
    "jumprelu": ("JumpReluAutoEncoder", "JumpReluTrainer"),
}
"""dict_class and trainer_class of each rule."""


def recognises(settings: Mapping[str, Any]) -> bool:
    """Whether a config.json is of dictionary_learning."""
    return isinstance(settings.get("trainer"), dict) and "dict_class" in settings["trainer"]


def find_place(settings: Mapping[str, Any], _folder: str) -> Site:
    """Where it reads: submodule_name, else the residual stream after `layer`."""
    trainer = settings["trainer"]
    if trainer.get("submodule_name"):
        return find_site(trainer["submodule_name"])
    layer = trainer.get("layer")
    return Site(f"layer {layer}", layer) if isinstance(layer, int) else Site(None, None)


def read(folder: Path) -> PlainSAE:
    """The SAE of a folder. Raises ValueError, in a sentence, for classes that cannot be read."""
    name = load_json(folder / SETTINGS)["trainer"]["dict_class"]
    if name not in READERS:
        raise ValueError(
            f"a dictionary of class {name!r} cannot be read: import one of {', '.join(READERS)}"
        )
    return READERS[name](_load(folder / WEIGHTS))


def write(folder: Path, plain: PlainSAE) -> None:
    """Write a folder that dictionary_learning loads. Raises ValueError for signed rules."""
    if plain.rule not in WRITTEN:
        raise ValueError(
            f"dictionary_learning has no dictionary with the signed codes of {plain.rule}: "
            "add --split to write its two poles as latents of their own"
        )
    name, trainer = WRITTEN[plain.rule]
    if plain.prefixes and plain.rule == "batchtopk":
        name, trainer = "MatryoshkaBatchTopKSAE", "MatryoshkaBatchTopKTrainer"
    state = {
        key: value.detach().float().contiguous().clone() if value.is_floating_point() else value
        for key, value in _state(name, plain).items()
    }
    write_atomically(folder / WEIGHTS, lambda target: torch.save(state, target))
    layer = plain.about["layer"]
    about = {
        "trainer_class": trainer,
        "dict_class": name,
        "activation_dim": plain.d_in,
        "dict_size": plain.d_sae,
        "layer": layer,
        "lm_name": plain.about.get("model"),
        "submodule_name": f"resid_post_layer_{layer}",
    }
    if plain.k is not None:
        about["k"] = plain.k
    save_json(folder / SETTINGS, {"trainer": about, "buffer": {}})


def _load(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"no file {path}: check the path, or copy it again")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader's own kind of error is named by a banned module
        raise ValueError(
            f"{path} is not a plain state dict of tensors, and nothing else is read from a .pt "
            "file: save the dictionary's state_dict() again"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{path} holds more than tensors: save the dictionary's state_dict()")
    return state


def _linear(state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    encoder, bias, decoder = require(state, "encoder.weight", "encoder.bias", "decoder.weight")
    return encoder.T.contiguous(), bias, decoder.T.contiguous()


def _standard(state: dict[str, Tensor]) -> PlainSAE:
    W_enc, b_enc, W_dec = _linear(state)
    (b_dec,) = require(state, "bias")
    return PlainSAE(W_enc, b_enc, W_dec, b_dec, "relu")


def _april(state: dict[str, Tensor]) -> PlainSAE:
    """AutoEncoderNew: the decoder's bias is not taken from the input."""
    W_enc, b_enc, W_dec = _linear(state)
    (b_dec,) = require(state, "decoder.bias")
    return PlainSAE(W_enc, b_enc + b_dec @ W_enc, W_dec, b_dec, "relu")


def _topk(state: dict[str, Tensor]) -> PlainSAE:
    """Its threshold is not used when it encodes: the k largest are taken."""
    W_enc, b_enc, W_dec = _linear(state)
    b_dec, k = require(state, "b_dec", "k")
    return PlainSAE(W_enc, b_enc, W_dec, b_dec, "topk", int(_one("k", k)))


def _batch_topk(state: dict[str, Tensor]) -> PlainSAE:
    W_enc, b_enc, W_dec = _linear(state)
    (b_dec,) = require(state, "b_dec")
    k, threshold = _batch_rule(state, len(b_enc))
    return PlainSAE(W_enc, b_enc, W_dec, b_dec, "batchtopk", k, threshold)


def _matryoshka(state: dict[str, Tensor]) -> PlainSAE:
    W_enc, b_enc, W_dec, b_dec, sizes = require(
        state, "W_enc", "b_enc", "W_dec", "b_dec", "group_sizes"
    )
    prefixes = tuple(int(width) for width in sizes.cumsum(0))
    k, threshold = _batch_rule(state, len(b_enc))
    return PlainSAE(W_enc, b_enc, W_dec, b_dec, "batchtopk", k, threshold, prefixes)


def _batch_rule(state: dict[str, Tensor], d_sae: int) -> tuple[int, Tensor]:
    k, threshold = require(state, "k", "threshold")
    if _one("threshold", threshold) < 0:
        raise ValueError(
            "this BatchTopK dictionary never learnt its inference threshold (it is "
            f"{float(threshold):g}): train it past threshold_start_step, then import it"
        )
    return int(_one("k", k)), threshold.reshape(()).expand(d_sae)


def _one(name: str, tensor: Tensor) -> float:
    if tensor.numel() != 1:
        raise ValueError(
            f"{name} is {list(tensor.shape)}, but must be one number: copy the SAE again"
        )
    return float(tensor)


def _jumprelu(state: dict[str, Tensor]) -> PlainSAE:
    """The decoder's bias is not taken from the input."""
    W_enc, b_enc, W_dec, b_dec, threshold = require(
        state, "W_enc", "b_enc", "W_dec", "b_dec", "threshold"
    )
    return PlainSAE(W_enc, b_enc + b_dec @ W_enc, W_dec, b_dec, "jumprelu", threshold=threshold)


def _gated(state: dict[str, Tensor]) -> PlainSAE:
    """As a JumpReLU: with r = e^r_mag, the gate xW + b_gate > 0 is u > b_mag − r·b_gate."""
    encoder, decoder, b_dec, r_mag, gate, magnitude = require(
        state,
        "encoder.weight",
        "decoder.weight",
        "decoder_bias",
        "r_mag",
        "gate_bias",
        "mag_bias",
    )
    gain = r_mag.exp()
    threshold = magnitude - gain * gate
    W_enc, W_dec = encoder.T * gain, decoder.T.contiguous()
    return PlainSAE(W_enc, magnitude, W_dec, b_dec, "jumprelu", threshold=threshold)


READERS: dict[str, Callable[[dict[str, Tensor]], PlainSAE]] = {
    "AutoEncoder": _standard,
    "AutoEncoderNew": _april,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "MatryoshkaBatchTopKSAE": _matryoshka,
    "JumpReluAutoEncoder": _jumprelu,
    "GatedAutoEncoder": _gated,
}


def _state(name: str, plain: PlainSAE) -> dict[str, Tensor]:
    linear = {"encoder.weight": plain.W_enc.T, "encoder.bias": plain.b_enc}
    linear["decoder.weight"] = plain.W_dec.T
    plainly = {"W_enc": plain.W_enc, "b_enc": plain.b_enc, "W_dec": plain.W_dec}
    plainly["b_dec"] = plain.b_dec
    chosen = {"k": torch.tensor(plain.k or 0, dtype=torch.int32), "threshold": torch.tensor(-1.0)}
    if plain.rule == "batchtopk":
        assert plain.threshold is not None
        chosen["threshold"] = plain.threshold[0]
    match name:
        case "AutoEncoder":
            return {**linear, "bias": plain.b_dec}
        case "JumpReluAutoEncoder":
            assert plain.threshold is not None
            b_enc = plain.b_enc - plain.b_dec @ plain.W_enc
            return {**plainly, "b_enc": b_enc, "threshold": plain.threshold}
        case "MatryoshkaBatchTopKSAE":
            widths = torch.tensor((0, *plain.prefixes))
            return {**plainly, **chosen, "group_sizes": widths.diff()}
    return {**linear, **chosen, "b_dec": plain.b_dec}
