"""Which SAEs may share one pass of the activations, and whether a checkpoint is of them.

Knows configs only.
"""

import json
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any

from models.sae import SAEConfig
from models.train.config import TrainConfig, check_pair

Pair = tuple[SAEConfig, TrainConfig]


def check_sweep(configs: Sequence[Pair]) -> None:
    """Raise ValueError, naming the fields, unless these SAEs can be trained on one pass."""
    if not configs:
        raise ValueError("there is no SAE to train: give at least one pair of configs")
    first = configs[0]
    for number, (sae, config) in enumerate(configs, start=1):
        check_pair(sae, config)
        for name in ("batch", "tokens"):
            if getattr(config, name) != getattr(first[1], name):
                raise ValueError(
                    f"{name} is {getattr(config, name)} for SAE {number} but "
                    f"{getattr(first[1], name)} for SAE 1: SAEs on one pass share batch and tokens"
                )
        if sae.d_in != first[0].d_in:
            raise ValueError(
                f"d_in is {sae.d_in} for SAE {number} but {first[0].d_in} for SAE 1: "
                "SAEs on one pass read the same activations"
            )


def check_same(configs: Sequence[Pair], found: Sequence[dict[str, Any]]) -> None:
    """Raise ValueError, naming the first difference, unless the checkpoint is of these configs.

    A field that came since the checkpoint was written had its default then.
    """
    usual = {"sae": _defaults(SAEConfig), "train": _defaults(TrainConfig)}
    asked = [json.loads(json.dumps(describe(pair))) for pair in configs]
    if len(found) != len(asked):
        raise ValueError(
            f"the checkpoint is of {len(found)} SAEs, but {len(asked)} are asked for: "
            "give another checkpoint folder"
        )
    for number, (old, new) in enumerate(zip(found, asked, strict=True), start=1):
        for part in ("sae", "train"):
            made_with = usual[part] | old[part]
            for name, value in new[part].items():
                if made_with.get(name) != value:
                    raise ValueError(
                        f"the checkpoint was made with {name} = {made_with.get(name)} for SAE "
                        f"{number}, but {value} is asked for: give another checkpoint folder, or "
                        "the settings that the training began with"
                    )


def _defaults(config: type[SAEConfig] | type[TrainConfig]) -> dict[str, Any]:
    """As JSON has them."""
    found = {item.name: item.default for item in fields(config) if item.default is not MISSING}
    return json.loads(json.dumps(found))


def describe(pair: Pair) -> dict[str, Any]:
    """The two configs as a JSON object."""
    recipe = asdict(pair[1])
    recipe["kernels"] = {key: recipe["kernels"][key] for key in ("precision", "backend")}
    return {"sae": asdict(pair[0]), "train": recipe}
