"""A tiny model, a random SAE and a text, entered into a database, ready to be indexed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.corpus import Window
from models.language_model import LanguageModel
from models.sae import SAEConfig, SparseAutoencoder
from models.sae.checkpoint import save_sae
from server.settings import Settings
from server.store.features import get_feature
from server.store.session import Database
from server.worker.indexing import Indexing
from server.worker.library import (
    Corpus,
    enter_sae,
    load_model,
    open_corpus,
    open_sae,
    require_sae,
)
from server.worker.progress import TaskContext
from server.worker.task_index import target_of
from tests.models.tiny import TEXTS, save_tiny_lm

WIDTH, K, LAYER = 24, 5, 1
SILENT, NEGATIVE_ONLY, POSITIVE_ONLY = 3, 4, 5
TEXT = "\n<|endoftext|>\n".join(f"{a} {b} {c}" for a in TEXTS for b in TEXTS for c in TEXTS[:2])


@dataclass(frozen=True)
class Case:
    """What the tests of indexing work with."""

    context: TaskContext
    lm: LanguageModel
    corpus: Corpus
    sae_id: int

    @property
    def database(self) -> Database:
        return self.context.database

    @property
    def windows(self) -> list[Window]:
        return list(self.corpus.windows)

    def begin(self, windows: int | None = None) -> Indexing:
        """An indexing of the SAE as it is stored, in which an earlier one is continued."""
        target = target_of(self.context, require_sae(self.database, self.sae_id))
        indexing = Indexing(self.database, self.lm, [target], self.corpus, self.context)
        for _ in indexing.advance(len(self.windows) if windows is None else windows):
            pass
        return indexing

    def index(self) -> Indexing:
        """Index everything and publish."""
        indexing = self.begin()
        for _ in (*indexing.publish(), *indexing.oppose()):
            pass
        return indexing


def random_sae(sparsifier: str = "abstopk") -> SparseAutoencoder:
    """Random directions, and features that are silent, constant and negative, constant and positive."""
    sae = SparseAutoencoder(SAEConfig(32, WIDTH, sparsifier, K))  # type: ignore[arg-type]
    sae.initialise(torch.Generator().manual_seed(4))
    with torch.no_grad():
        for feature, bias in ((SILENT, 0.0), (NEGATIVE_ONLY, -50.0), (POSITIVE_ONLY, 50.0)):
            sae.W_enc[:, feature] = 0
            sae.b_enc[feature] = bias
    return sae


def make_case(database: Database, url: str, folder: Path, sparsifier: str = "abstopk") -> Case:
    """Enter everything; `folder` becomes the data directory."""
    model = save_tiny_lm(folder / "model")
    text = folder / "text.txt"
    text.write_text(TEXT)
    context = TaskContext(Settings(data_dir=folder, database_url=url), database)
    lm, model_id = load_model(database, str(model))
    place = folder / "saes" / "random"
    save_sae(place, random_sae(sparsifier), {"layer": LAYER, "text": str(text)})
    sae_id = enter_sae(database, lm, model_id, place, "saes/random", "random", None)
    corpus = open_corpus(database, lm, model_id, text)
    return Case(context, lm, corpus, sae_id)


def dense(case: Case) -> list[np.ndarray]:
    """Codes of every window alone, as the SAE is loaded now, position 0 set to 0."""
    sae = open_sae(case.context.settings, require_sae(case.database, case.sae_id))
    codes = []
    for window in case.windows:
        ids = torch.from_numpy(window.tokens[None].astype(np.int64))
        code = sae.encode(case.lm.residual(ids, LAYER)[0]).numpy().copy()
        code[0] = 0
        codes.append(code)
    return codes


def features_of(case: Case) -> list[Any]:
    record = require_sae(case.database, case.sae_id)
    with case.database.read() as session:
        return [get_feature(session, record, feature) for feature in range(WIDTH)]
