"""EleutherAI sparsify: a folder with `cfg.json` and `sae.safetensors`, one per hook of a run.

Top-k by value only. Transcoders and skip connections are refused, for their output is not their
input. Knows no hub. Verified against eai-sparsify 1.3.3.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.artifact import load_json, load_tensors, save_json, save_tensors
from models.sae.foreign.plain import PlainSAE
from models.sae.foreign.reading import require, whole_number
from models.sae.foreign.site import Site, find_site

SETTINGS = "cfg.json"
WEIGHTS = "sae.safetensors"


def recognises(settings: Mapping[str, Any]) -> bool:
    """Whether a cfg.json is of sparsify: no other says d_in beside one of these."""
    return "d_in" in settings and ("num_latents" in settings or "expansion_factor" in settings)


def find_place(_settings: Mapping[str, Any], folder: str) -> Site:
    """Where it reads: the folder's name is the module's path."""
    return find_site(folder)


def read(folder: Path) -> PlainSAE:
    """The SAE of a folder. Raises ValueError, in a sentence, for what is no TopK autoencoder."""
    settings = load_json(folder / SETTINGS)
    if settings.get("transcode") or settings.get("skip_connection"):
        kind = "transcoder" if settings.get("transcode") else "coder with a skip connection"
        raise ValueError(
            f"{folder.name} is a {kind}, whose output is not its own input: "
            "import a sparse autoencoder"
        )
    if settings.get("activation", "topk") != "topk":
        raise ValueError(
            f"the activation {settings['activation']!r} chooses one latent of each group, which "
            "no sparsifier here does: import an SAE with activation topk"
        )
    tensors = load_tensors(folder / WEIGHTS)
    if "W_skip" in tensors:
        raise ValueError(f"{folder / WEIGHTS} has a skip connection: import a sparse autoencoder")
    encoder, b_enc, W_dec, b_dec = require(
        tensors, "encoder.weight", "encoder.bias", "W_dec", "b_dec"
    )
    # The weights tell the width: num_latents 0 only says d_in × expansion_factor.
    k = whole_number({"k": 32, **settings}, "k")
    return PlainSAE(encoder.T.contiguous(), b_enc, W_dec, b_dec, "topk", k)


def write(folder: Path, plain: PlainSAE) -> None:
    """Write a folder that sparsify loads. Raises ValueError for any rule but topk."""
    if plain.rule != "topk":
        help_ = (
            "add --split to write its two poles as latents of their own"
            if plain.is_signed
            else "export with --format saelens"
        )
        raise ValueError(f"sparsify knows top-k by value only, not {plain.rule}: {help_}")
    save_tensors(
        folder / WEIGHTS,
        {
            "encoder.weight": plain.W_enc.T,
            "encoder.bias": plain.b_enc,
            "W_dec": plain.W_dec,
            "b_dec": plain.b_dec,
        },
    )
    settings = {
        "activation": "topk",
        "expansion_factor": max(1, plain.d_sae // plain.d_in),
        "normalize_decoder": True,
        "num_latents": plain.d_sae,
        "k": plain.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": plain.d_in,
    }
    save_json(folder / SETTINGS, settings)
