"""An unfinished index as one file that is either whole or absent, and back.

Only arrays: what a pass has counted and kept so far, and how many windows it has read. Knows nothing of
whose it is: the caller names the file after what must not have changed in between.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.artifact import write_atomically
from models.index.indexer import Indexer
from models.index.top import Examples

WINDOWS = "windows"


def save_indexers(path: Path, indexers: Sequence[Indexer], windows: int) -> None:
    """Write the indexers' state after `windows` windows; raises OSError when the disk is full."""
    arrays = {WINDOWS: np.array([windows])}
    for number, indexer in enumerate(indexers):
        arrays |= {f"{number}.{name}": array for name, array in _state(indexer).items()}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, lambda target: save_file(whole, target))


def load_indexers(path: Path, indexers: Sequence[Indexer]) -> int:
    """Bring fresh indexers to the saved state; returns the number of windows, 0 if there is none.

    A broken file counts as none.
    """
    try:
        arrays = load_file(path)
    except (FileNotFoundError, SafetensorError):
        return 0
    for number, indexer in enumerate(indexers):
        _restore(indexer, _below(arrays, str(number)))
    return int(arrays[WINDOWS][0])


def _state(indexer: Indexer) -> dict[str, np.ndarray]:
    arrays = {"background": indexer.background}
    for name, part in (("statistics", indexer.statistics), ("sample", indexer.sample)):
        arrays |= {f"{name}.{key}": array for key, array in part.state().items()}
    for name, top in indexer.lists().items():
        arrays |= {f"{name}.{key}": array for key, array in top.result()._asdict().items()}
    return arrays


def _restore(indexer: Indexer, arrays: dict[str, np.ndarray]) -> None:
    indexer.background = arrays["background"]
    for name, part in (("statistics", indexer.statistics), ("sample", indexer.sample)):
        part.restore(_below(arrays, name))
    for name, top in indexer.lists().items():
        top.replace(Examples(**_below(arrays, name)))


def _below(arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
