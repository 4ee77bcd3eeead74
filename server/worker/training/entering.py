"""From the run's folder into the library: measured, named, in its final place, each SAE once.

An attempt that follows a killed one finds what that one had entered. Knows nothing of training.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple

from models.corpus import Window
from models.evaluate.fidelity import Fidelity, measure_fidelity
from models.language_model import LanguageModel
from models.sae.checkpoint import load_sae, read_about, save_sae
from server.store.saes import SaeRecord, get_sae
from server.worker.library import enter_sae, require_sae
from server.worker.progress import TaskContext
from server.worker.training.folder import RunFolder
from server.worker.training.names import next_free

SAES = "saes"


class Home(NamedTuple):
    """Where the SAEs of a run belong."""

    lm: LanguageModel
    model_id: int
    layer: int
    held_out: Sequence[Window]
    device: str


def find_entered(context: TaskContext, folder: RunFolder, place: int) -> SaeRecord | None:
    """The SAE of this place, if an earlier attempt of the run has entered it."""
    assert folder.names is not None
    with context.database.read() as session:
        record = get_sae(session, folder.names[place])
    return record if record is not None and folder.owns(record.config, place) else None


def enter_trained(context: TaskContext, home: Home, folder: RunFolder, place: int) -> SaeRecord:
    """Measure the trained SAE of this place on held-out windows and enter it."""
    assert folder.names is not None
    name = folder.names[place]
    free = next_free(context.database, folder, place, name)
    if free != name:  # another training has taken it since it was chosen
        name = free
        folder.save_names([*folder.names[:place], name, *folder.names[place + 1 :]])
    path = _moved(context.settings.data_dir / SAES, folder, place, name)
    if path is None:
        path = _settle(context.settings.data_dir / SAES, home, folder, place, name)
    fidelity = Fidelity(**read_about(path)["fidelity"])
    relative = f"{SAES}/{path.name}"
    enter_sae(context.database, home.lm, home.model_id, path, relative, name, fidelity)
    return require_sae(context.database, name)


def _settle(saes: Path, home: Home, folder: RunFolder, place: int, name: str) -> Path:
    """Measure, write the measures down, and move the SAE's folder to where it stays."""
    waiting = folder.trained(place)
    sae, about = load_sae(waiting, home.device), read_about(waiting)
    if "fidelity" not in about:
        measured = measure_fidelity(home.lm, home.layer, sae, home.held_out)
        about["fidelity"] = measured._asdict()
        save_sae(waiting, sae, about)
    saes.mkdir(parents=True, exist_ok=True)
    return waiting.rename(next(path for path in _places(saes, name) if not path.exists()))


def _moved(saes: Path, folder: RunFolder, place: int, name: str) -> Path | None:
    """The SAE's final folder, if an attempt was killed between moving and entering it."""
    for path in takewhile(Path.exists, _places(saes, name)):
        with suppress(ValueError):
            if folder.owns(read_about(path), place):
                return path
    return None


def _places(saes: Path, name: str) -> Iterator[Path]:
    """Folders that an SAE of this name may have: the library's names are unique, folders need not be."""
    yield saes / name
    yield from (saes / f"{name}-{number}" for number in count(2))
