"""SAELens: a folder with `cfg.json` and `sae_weights.safetensors`, layouts before and since 6.0.

Read: standard, gated, jumprelu, topk, abstopk, and the training checkpoints of batchtopk and
matryoshka_batchtopk. Written: what SAELens can hold, never a sign it would lose. Knows no hub.
Verified against sae-lens 6.54.12.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.sae.config import Sparsifier
from models.sae.foreign.plain import PlainSAE
from models.sae.foreign.reading import require, whole_number
from models.sae.foreign.site import Site, find_site

SETTINGS = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
SCALER = "activation_scaler.json"
LAYOUT = "6.54.12"
"""The version whose layout is written; without one, SAELens takes a file for an old one."""
READABLE = (
    "standard",
    "gated",
    "jumprelu",
    "topk",
    "abstopk",
    "batchtopk",
    "matryoshka_batchtopk",
)
WRITTEN: dict[Sparsifier, str] = {
    "relu": "standard",
    "topk": "topk",
    "abstopk": "abstopk",
    "jumprelu": "jumprelu",
    "batchtopk": "jumprelu",  # as SAELens itself saves a trained one
}
OLD_NAMES = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}


def recognises(settings: Mapping[str, Any]) -> bool:
    """Whether a cfg.json is of SAELens, of either layout."""
    return "d_sae" in settings and "sae" not in settings


def find_place(settings: Mapping[str, Any], _folder: str) -> Site:
    """Where it reads: hook_name, at the top or under metadata."""
    return find_site(_modern(settings).get("hook_name"))


def read(folder: Path) -> PlainSAE:
    """The SAE of a folder. Raises ValueError, in a sentence, for what could not be read exactly."""
    settings = _modern(load_json(folder / SETTINGS))
    architecture = _check(settings)
    tensors = load_tensors(folder / WEIGHTS)
    factor = tensors.get("scaling_factor")
    if factor is not None and not torch.allclose(factor, torch.ones_like(factor)):
        raise ValueError(
            f"{folder / WEIGHTS} holds a finetuning scaling factor, which SAELens has given up: "
            "fold it into W_dec first"
        )
    W_enc, W_dec, b_dec = require(tensors, "W_enc", "W_dec", "b_dec")
    encoder_bias, threshold = None, None
    if architecture == "gated":
        W_enc, encoder_bias, threshold = _ungate(tensors, W_enc)
    else:
        (encoder_bias,) = require(tensors, "b_enc")
    if not settings.get("apply_b_dec_to_input", True):
        encoder_bias = encoder_bias + b_dec @ W_enc
    rule, k, prefixes = _rule(architecture, settings)
    if architecture == "jumprelu":
        threshold = _jump(tensors)
    elif rule == "batchtopk":
        threshold = require(tensors, "topk_threshold")[0].expand(W_enc.shape[1])
    plain = PlainSAE(W_enc, encoder_bias, W_dec, b_dec, rule, k, threshold, prefixes)
    if settings.get("rescale_acts_by_decoder_norm", False):
        # The threshold of a batch rule was learnt on the rescaled u: it stays.
        norms = W_dec.norm(dim=-1).clamp(min=1e-8)
        plain = replace(plain.fold(norms), threshold=threshold)
    return _scaled(plain, settings, folder)


def write(folder: Path, plain: PlainSAE) -> None:
    """Write a folder that SAELens loads, raw activations going in.

    Raises ValueError for signed rules other than abstopk: SAELens would rectify them.
    """
    if plain.rule not in WRITTEN:
        raise ValueError(
            f"SAELens has no architecture with the signed codes of {plain.rule}: "
            "export with --format split, its two poles as latents of their own"
        )
    architecture = WRITTEN[plain.rule]
    settings: dict[str, Any] = {
        "architecture": architecture,
        "d_in": plain.d_in,
        "d_sae": plain.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": LAYOUT,
            "model_name": plain.about.get("model"),
            "hook_name": f"blocks.{plain.about['layer']}.hook_resid_post",
            "hook_head_index": None,
            "prepend_bos": True,
            "exported_by": "dipole",
            "split_poles": plain.about.get("split", False),
        },
    }
    if plain.prefixes:
        widths = {"matryoshka_widths": list(plain.prefixes)}
        settings["metadata"]["training_architecture_details"] = widths
    tensors = {
        "W_enc": plain.W_enc,
        "b_enc": plain.b_enc,
        "W_dec": plain.W_dec,
        "b_dec": plain.b_dec,
    }
    if architecture in ("topk", "abstopk"):
        settings |= {"k": plain.k, "rescale_acts_by_decoder_norm": False}
    if architecture == "jumprelu":
        assert plain.threshold is not None
        tensors["threshold"] = plain.threshold
    save_tensors(folder / WEIGHTS, tensors)
    save_json(folder / SETTINGS, settings)


def _modern(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One flat view of both layouts: since 6.0 the place stands under `metadata`."""
    flat = {**(settings.get("metadata") or {}), **settings}
    flat |= {new: flat[old] for old, new in OLD_NAMES.items() if old in flat}
    if flat.get("activation_fn") == "topk":
        flat["architecture"] = "topk"
        flat.setdefault("k", (flat.get("activation_fn_kwargs") or {}).get("k"))
    flat.setdefault("architecture", "standard")
    scaling = flat.get("normalize_activations")
    if scaling is None or isinstance(scaling, bool):
        flat["normalize_activations"] = "expected_average_only_in" if scaling else "none"
    return flat


def _check(settings: Mapping[str, Any]) -> str:
    """The architecture. Raises ValueError for what this family of SAEs cannot represent."""
    architecture = settings["architecture"]
    if architecture not in READABLE:
        raise ValueError(
            f"a SAELens SAE of architecture {architecture!r} cannot be read: "
            f"import one of {', '.join(READABLE)}"
        )
    if settings.get("activation_fn", "relu") not in ("relu", "topk"):
        raise ValueError(
            f"the activation function {settings['activation_fn']!r} cannot be read: "
            "import an SAE with relu or topk"
        )
    if settings.get("reshape_activations", "none") != "none":
        raise ValueError(
            "this SAE reads attention heads (reshape_activations), but only the residual stream "
            "can be browsed: import one that was trained on it"
        )
    scaling = settings["normalize_activations"]
    if scaling not in ("none", "expected_average_only_in"):
        raise ValueError(
            f"normalize_activations is {scaling!r}: a scale of each token's own, which one input "
            "scale cannot stand for; import an SAE trained with none or expected_average_only_in"
        )
    return architecture


def _rule(
    architecture: str, settings: Mapping[str, Any]
) -> tuple[Sparsifier, int | None, tuple[int, ...]]:
    trained = settings.get("training_architecture_details") or {}
    widths = settings.get("matryoshka_widths") or trained.get("matryoshka_widths") or ()
    prefixes = tuple(sorted({*widths, settings["d_sae"]})) if widths else ()
    match architecture:
        case "standard":
            return "relu", None, prefixes
        case "jumprelu" | "gated":
            return "jumprelu", None, prefixes
        case "topk":
            return "topk", whole_number(settings, "k"), prefixes
        case "abstopk":
            return "abstopk", whole_number(settings, "k"), prefixes
    # A batch rule's k is a mean over tokens, and may be a fraction.
    return "batchtopk", max(1, round(float(settings.get("k", 1)))), prefixes


def _jump(tensors: Mapping[str, Tensor]) -> Tensor:
    if "threshold" not in tensors and "log_threshold" in tensors:
        return require(tensors, "log_threshold")[0].exp()
    return require(tensors, "threshold")[0]


def _ungate(tensors: Mapping[str, Tensor], W_enc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A gated encoder as a JumpReLU one (2404.16014, appendix): with r = e^r_mag and
    v = r·xW + b_mag, the gate xW + b_gate > 0 is v > b_mag − r·b_gate."""
    b_gate, b_mag, r_mag = require(tensors, "b_gate", "b_mag", "r_mag")
    gain = r_mag.exp()
    return W_enc * gain, b_mag, b_mag - gain * b_gate


def _scaled(plain: PlainSAE, settings: Mapping[str, Any], folder: Path) -> PlainSAE:
    """Put the expected-average scale of an unfinished training into the weights."""
    if settings["normalize_activations"] == "none":
        return plain
    if not (folder / SCALER).is_file():
        raise ValueError(
            f"this SAE was trained on inputs scaled by a factor (expected_average_only_in), but "
            f"{SCALER} is not beside it: save the trained SAE with SAELens, which folds it in"
        )
    factor = load_json(folder / SCALER).get("scaling_factor")
    return plain if factor is None else plain.rescale(float(factor))
