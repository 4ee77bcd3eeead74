"""What trained SAEs are called.

Knows the library's names, whose they are, and that a name is a folder's too.
"""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from server.protocol import TrainRequest
from server.protocol.names import check_name
from server.store.saes import get_sae
from server.store.session import Database
from server.train_rules import Variant, difference
from server.worker.training.folder import RunFolder


def choose_names(
    database: Database,
    folder: RunFolder,
    request: TrainRequest,
    chosen: Sequence[Variant],
    model: str,
    layer: int,
) -> list[str]:
    """One free name for each SAE; those that an earlier attempt has entered keep theirs.

    Raises ValueError when a name is taken by another, or cannot be a folder's.
    """
    stem = request.name or f"{Path(model).name}-layer{layer}"
    tails = [_tail(request, variant, chosen) for variant in chosen]
    names = [f"{check_name(stem, tail)}{tail}" for tail in tails]
    if request.name is None:
        return [next_free(database, folder, place, name) for place, name in enumerate(names)]
    for place, name in enumerate(names):
        if not _is_free(database, folder, place, name):
            raise ValueError(f"there is an SAE named {name!r} already: choose another --name")
    return names


def next_free(database: Database, folder: RunFolder, place: int, name: str) -> str:
    """This name, or with the first number behind it that makes it free for the SAE of this place."""
    numbered = (f"{name}-{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if _is_free(database, folder, place, free))


def _is_free(database: Database, folder: RunFolder, place: int, name: str) -> bool:
    with database.read() as session:
        record = get_sae(session, name)
    return record is None or folder.owns(record.config, place)


def _tail(request: TrainRequest, variant: Variant, chosen: Sequence[Variant]) -> str:
    """What tells an SAE from others of its model and layer; where a name was given, of its sweep."""
    if request.name is not None:
        return difference(variant, chosen)
    parts = [variant.sae]
    if variant.sae == "vsae":
        parts += ["magnitude"] * request.by_magnitude + ["rectified"] * request.rectify
    parts += ["matryoshka"] * bool(request.prefixes) + ["tokens"] * request.token_bias
    parts.append(str(request.width))
    parts += [] if variant.k is None else [f"k{variant.k}"]
    parts += [] if variant.sparsity_weight is None else [f"l{variant.sparsity_weight:g}"]
    parts.append(f"seed{variant.seed}")
    return "".join(f"-{part}" for part in parts)
