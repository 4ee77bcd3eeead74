"""One SAE that was not trained here into the library: named, saved, entered, indexed and mapped.

The common part of the import and axis tasks. Trained SAEs, which may be many, have `training.names`
and `training.entering`.
"""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from models.evaluate.fidelity import Fidelity
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import save_sae
from server.protocol.names import check_name
from server.store.saes import SaeRecord, get_sae
from server.worker.indexing import Indexing
from server.worker.library import Corpus, enter_sae, require_sae
from server.worker.progress import Progress, TaskContext
from server.worker.task_index import target_of
from server.worker.task_map import map_steps

SAES = "saes"


class Home(NamedTuple):
    """The model an SAE belongs to."""

    lm: LanguageModel
    model_id: int


def settle_name(
    context: TaskContext, asked: str | None, usual: str, made: str
) -> tuple[str, SaeRecord | None]:
    """A free name, or the name and the SAE that an earlier attempt of this run has entered.

    `made` is the field of the SAE's configuration that says which `run` entered it. Raises ValueError
    when the name asked for is another SAE's, or cannot be a folder's.
    """
    stem = check_name(asked or usual)
    for number in count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        with context.database.read() as session:
            record = get_sae(session, name)
        if record is None:
            return name, None
        own = record.config.get(made, {}).get("run")
        if own is not None and own == context.run_id:
            return name, record
        if asked:
            raise ValueError(f"there is an SAE named {name!r} already: choose another --name")
    raise AssertionError("numbers do not end")


def save_and_enter(
    context: TaskContext, home: Home, name: str, sae: SparseAutoencoder, about: dict[str, Any]
) -> SaeRecord:
    """Save the SAE in our own format and enter it; a failure leaves no folder behind."""
    folder = _new_folder(context.settings.data_dir / SAES, name)
    try:
        save_sae(folder, sae, about)
        path, measured = f"{SAES}/{folder.name}", about.get("fidelity")
        fidelity = Fidelity(**measured) if measured else None
        enter_sae(context.database, home.lm, home.model_id, folder, path, name, fidelity)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return require_sae(context.database, name)


def index_and_map(
    context: TaskContext, lm: LanguageModel, record: SaeRecord, corpus: Corpus
) -> Iterator[Progress]:
    """Read the whole text, publish, score opposition, lay out."""
    target = target_of(context, record)
    indexing = Indexing(context.database, lm, [target], corpus, context)
    yield from indexing.advance(len(corpus.windows))
    yield from indexing.publish()
    yield from indexing.oppose()
    yield Progress(corpus.tokens, corpus.tokens, f"mapping {target.name}")
    for step in map_steps(context.database, record.id, target.sae, "axis", seed=0):
        yield Progress(corpus.tokens, corpus.tokens, f"mapping {target.name}: {step.message}")


def _new_folder(saes: Path, name: str) -> Path:
    """A folder that was not there: names in the library are unique, folders need not be."""
    for number in count(1):
        folder = saes / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError("numbers do not end")
