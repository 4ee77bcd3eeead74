"""What a stream serves: activations of which model and layer, of which tokens, less which sinks.

So that a saved position is not taken up on something else. Knows nothing of batches.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.activations.sinks import SinkPolicy
from models.activations.sources import Source

SHOWN = 20
"""Characters of a digest that a sentence needs."""


def pack_origin(source: Source, sinks: SinkPolicy) -> Tensor:
    """Model, layer, tokens and sink policy as JSON in a tensor of bytes: reads all tokens once."""
    origin = source.origin() | {"text": _digest(source)}
    origin |= {f"sinks.{name}": value for name, value in asdict(sinks).items()}
    return torch.frombuffer(bytearray(json.dumps(origin).encode()), dtype=torch.uint8)


def check_origin(saved: Tensor, here: Tensor) -> None:
    """Raise ValueError, naming what differs, unless both are of the same activations.

    A float32 cache holds the very ones that its model gives: only what both say is compared.
    """
    old, new = _unpack(saved), _unpack(here)
    differ = [name for name in old if name in new and old[name] != new[name]]
    if differ:
        found = ", ".join(
            f"{name} {_shown(old[name])}, here {_shown(new[name])}" for name in differ
        )
        raise ValueError(
            f"the saved position belongs to other activations ({found}): "
            "resume with what the training began with, or start anew"
        )


def _digest(source: Source) -> str:
    """Of the windows' lengths and token ids, in their order."""
    digest = hashlib.sha256(source.lengths.astype("<i8").tobytes())
    for window in range(len(source.lengths)):
        digest.update(np.asarray(source.tokens(window)).astype("<i8").tobytes())
    return digest.hexdigest()


def _unpack(packed: Tensor) -> dict[str, Any]:
    return json.loads(bytes(packed.cpu().tolist()))


def _shown(value: object) -> str:
    shown = str(value)
    return f"{shown[:SHOWN]}…" if len(shown) > 2 * SHOWN else shown
