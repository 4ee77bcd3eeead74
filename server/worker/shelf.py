"""Models and SAEs held in memory for serving, loaded at first use, the least used dropped.

Knows nothing of HTTP. Not thread-safe: the worker's one device thread owns it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from server.settings import Settings
from server.store.language_models import ModelRecord, get_model
from server.store.saes import SaeRecord
from server.store.session import Database
from server.worker.library import open_sae, read_model, require_sae

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
MODELS_HELD = 2
SAES_HELD = 12


class Shelf:
    """What the worker can answer with right now."""

    def __init__(self, settings: Settings, database: Database, device: str) -> None:
        self.settings = settings
        self.database = database
        self.device = device
        self._models: OrderedDict[int, LanguageModel] = OrderedDict()
        self._saes: OrderedDict[tuple[str, bytes | None], SparseAutoencoder] = OrderedDict()

    def model(self, key: int | str) -> LanguageModel:
        """The language model of this id or name. Raises ValueError when there is none."""
        if key in self._models:  # by its id, which is never another's
            self._models.move_to_end(key)
            return self._models[key]
        with self.database.read() as session:
            record: ModelRecord | None = get_model(session, key)
        if record is None:
            raise ValueError(f"no model {key!r}: the library page lists those there are")
        return _held(
            self._models,
            record.id,
            MODELS_HELD,
            lambda: read_model(self.database, record.name, self.device),
        )

    def sae(self, key: int | str) -> tuple[SaeRecord, SparseAutoencoder]:
        """The SAE of this id or name with its row. Raises ValueError when there is none."""
        record = require_sae(self.database, key)
        return record, _held(
            self._saes,
            (record.sha256, record.flips),  # loaded before its signs were fixed, it is another one
            SAES_HELD,
            lambda: open_sae(self.settings, record, self.device),
        )


def _held(shelf: OrderedDict[Key, Value], key: Key, most: int, make: Callable[[], Value]) -> Value:
    if key not in shelf:
        shelf[key] = make()
        if len(shelf) > most:
            shelf.popitem(last=False)
    shelf.move_to_end(key)
    return shelf[key]
