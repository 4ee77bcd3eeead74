"""Language models, SAEs and corpora between disk, database and memory.

The worker's shelf: finds artefacts by database key and enters new ones. Knows nothing of runs or HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import models.demo
from models.artifact import sha256_of
from models.corpus import (
    BOS_POLICY,
    CONTEXT,
    NO_BOS_POLICY,
    Window,
    fingerprint,
    make_windows,
    read_documents,
    take_tokens,
)
from models.evaluate.fidelity import Fidelity
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import WEIGHTS, load_sae, read_about, read_config
from server.settings import Settings
from server.store.corpora import SequenceRow, add_sequences, create_corpus, find_corpus
from server.store.language_models import get_model, upsert_model
from server.store.saes import SaeRecord, create_sae, get_sae
from server.store.session import Database

DEMO = "demo"
DEMO_FOLDER = Path(models.demo.__file__).parent
DEMO_MODEL = DEMO_FOLDER / "lm"
DEMO_TEXT = DEMO_FOLDER / "stories.txt.gz"
DEMO_SAES = DEMO_FOLDER / "saes"
ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Corpus:
    """A tokenised text in memory, with its database id."""

    id: int
    name: str
    windows: Sequence[Window]

    @property
    def tokens(self) -> int:
        """How many tokens, BOS included."""
        return sum(len(window.tokens) for window in self.windows)

    def background(self, vocabulary: int) -> np.ndarray:
        """How often each token occurs behind position 0: int64 [vocabulary]."""
        counts = np.zeros(vocabulary, dtype=np.int64)
        for window in self.windows:
            np.add.at(counts, window.tokens[1:], 1)
        return counts


def read_model(database: Database, source: str, device: str = "cpu") -> LanguageModel:
    """Load `demo`, a known model's name, a folder or a hub id; enters nothing."""
    with database.read() as session:
        known = get_model(session, source)
    place = known.source if known else source
    name = known.name if known else source
    return LanguageModel.load(str(DEMO_MODEL) if place == DEMO else place, device, name)


def enter_model(database: Database, lm: LanguageModel, source: str) -> int:
    """The database id of a model that was read from `source`, made the first time."""
    with database.write() as session:
        known = get_model(session, source)
        place = known.source if known else source
        return upsert_model(
            session,
            name=lm.name,
            source=place,
            family=lm.family,
            d_in=lm.d_in,
            layers=lm.layers,
            parameters=lm.parameters,
            vocabulary=lm.vocabulary,
            bos_token_id=lm.bos_token_id,
            is_demo=place == DEMO,
        )


def load_model(database: Database, source: str, device: str = "cpu") -> tuple[LanguageModel, int]:
    """Load a model and enter it; returns it with its database id."""
    lm = read_model(database, source, device)
    return lm, enter_model(database, lm, source)


def require_sae(database: Database, key: int | str) -> SaeRecord:
    """The SAE of this id or name. Raises ValueError when there is none."""
    with database.read() as session:
        record = get_sae(session, key)
    if record is None:
        raise ValueError(
            f"no SAE {key!r}: run `dipole train` first, or see the library for the names there are"
        )
    return record


def sae_folder(settings: Settings, record: SaeRecord) -> Path:
    """Where an SAE's files are: the demo's in the package, all others in the data directory."""
    if record.path.startswith(f"{DEMO}:"):
        return DEMO_SAES / record.path.removeprefix(f"{DEMO}:")
    return settings.data_dir / record.path


def open_sae(settings: Settings, record: SaeRecord, device: str = "cpu") -> SparseAutoencoder:
    """Load an SAE's weights. Raises ValueError when its files are gone or not those entered."""
    folder = sae_folder(settings, record)
    sae = load_sae(folder, device)
    if sha256_of(folder / WEIGHTS) != record.sha256:
        raise ValueError(
            f"{folder / WEIGHTS} is not the file that was entered as {record.name}: train it again"
        )
    return sae


def enter_sae(
    database: Database,
    lm: LanguageModel,
    model_id: int,
    folder: Path,
    path: str,
    name: str,
    fidelity: Fidelity | None,
    is_demo: bool = False,
) -> int:
    """Enter a saved SAE into the database; `path` is how `sae_folder` finds it again."""
    config, about = read_config(folder), read_about(folder)
    measures = (
        {}
        if fidelity is None
        else {
            "nmse": fidelity.nmse,
            "loss_recovered": fidelity.loss_recovered,
            "l0": fidelity.l0,
            "cosine": fidelity.cosine,
            "evaluated_tokens": fidelity.tokens,
        }
    )
    with database.write() as session:
        return create_sae(
            session,
            name=name,
            model_id=model_id,
            layer=about["layer"],
            hook=f"{lm.hook_name}.{about['layer']}",
            sparsifier=config.sparsifier,
            d_in=config.d_in,
            d_sae=config.d_sae,
            k=config.k,
            path=path,
            sha256=sha256_of(folder / WEIGHTS),
            config=about,
            is_demo=is_demo,
            **measures,
        )


def read_windows(lm: LanguageModel, text: Path, tokens: int | None = None) -> list[Window]:
    """The windows of a text, up to that many tokens. Raises ValueError when there are none."""
    windows = list(take_tokens(make_windows(lm, read_documents(text)), tokens))
    if not windows:
        raise ValueError(f"{text} yields no window of two tokens or more: give a longer text")
    return windows


def open_corpus(
    database: Database,
    lm: LanguageModel,
    model_id: int,
    text: Path,
    tokens: int | None = None,
    windows: list[Window] | None = None,
) -> Corpus:
    """Tokenise a text, store its windows once, and return them.

    `tokens` takes the first windows up to that many tokens; the corpus is then one of its own.
    `windows` are those of the text, where the caller has read them already.
    """
    windows = read_windows(lm, text, tokens) if windows is None else windows
    mark = fingerprint(lm, text) + (f":{tokens}" if tokens is not None else "")
    with database.read() as session:
        known = find_corpus(session, model_id, mark)
    name = text.name if tokens is None else f"{text.name}, first {tokens:,} tokens"
    if known is not None:
        return Corpus(known.id, known.name, windows)
    with database.write() as session:
        corpus_id = create_corpus(
            session,
            name=name,
            source=str(text),
            model_id=model_id,
            fingerprint=mark,
            windows=len(windows),
            tokens=sum(len(window.tokens) for window in windows),
            context=min(CONTEXT, lm.context),
            bos_policy=NO_BOS_POLICY if lm.bos_token_id is None else BOS_POLICY,
        )
    for start in range(0, len(windows), ROWS_AT_ONCE):
        rows = [
            SequenceRow.of(start + place, window.document, window.start, window.tokens.tolist())
            for place, window in enumerate(windows[start : start + ROWS_AT_ONCE])
        ]
        with database.write() as session:
            add_sequences(session, corpus_id, rows)
    return Corpus(corpus_id, name, windows)
