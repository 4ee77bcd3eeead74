"""Language models, SAEs and corpora between disk, database and memory.

The worker's shelf: finds artefacts by database key and enters new ones. Knows nothing of runs or HTTP.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

import models.demo
from models.artifact import sha256_of
from models.corpus import (
    CONTEXT,
    Window,
    bos_policy,
    fingerprint,
    make_windows,
    packing_policy,
    read_documents,
    take_tokens,
)
from models.evaluate.fidelity import Fidelity
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import WEIGHTS, load_sae, read_about, read_config
from models.texts import name_of
from models.windows import Windows
from server.settings import Settings
from server.store.corpora import (
    CorpusRecord,
    SequenceRow,
    add_sequences,
    create_corpus,
    find_corpus,
    get_sequences,
)
from server.store.language_models import get_model, upsert_model
from server.store.saes import SaeRecord, create_sae, get_sae
from server.store.session import Database
from server.worker.signs import apply_flips

DEMO = "demo"
DEMO_FOLDER = Path(models.demo.__file__).parent
DEMO_MODEL = DEMO_FOLDER / "lm"
DEMO_TEXT = DEMO_FOLDER / "stories.txt.gz"
DEMO_SAES = DEMO_FOLDER / "saes"
ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Corpus:
    """A tokenised text, with its database id."""

    id: int
    name: str
    windows: Windows
    fingerprint: str

    @property
    def tokens(self) -> int:
        """How many tokens, BOS included."""
        return self.windows.tokens


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
        return find_sae(session, key)


def find_sae(session: Session, key: int | str) -> SaeRecord:
    """The same, as this session sees it."""
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
    """Load an SAE's weights, every feature with its canonical sign once that is fixed (see `signs`).

    Raises ValueError when its files are gone or not those entered.
    """
    folder = sae_folder(settings, record)
    sae = load_sae(folder, device)
    if sha256_of(folder / WEIGHTS) != record.sha256:
        raise ValueError(
            f"{folder / WEIGHTS} is not the file that was entered as {record.name}: train it again"
        )
    apply_flips(sae, record.flips)
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


def read_windows(lm: LanguageModel, text: Path | str, tokens: int | None = None) -> Windows:
    """The windows of a text or of `hf:NAME`, up to that many tokens. Raises ValueError when there are none."""
    windows = Windows.gather(take_tokens(make_windows(lm, read_documents(text)), tokens))
    if not windows:
        raise ValueError(f"{text} yields no window of two tokens or more: give a longer text")
    return windows


def open_corpus(
    database: Database,
    lm: LanguageModel,
    model_id: int,
    text: Path | str,
    tokens: int | None = None,
    windows: Windows | None = None,
) -> Corpus:
    """Tokenise a text, store its windows once, and return them.

    Windows that differ from those stored, by what is read or how, are a corpus of their own.
    `tokens` takes the first windows up to that many tokens; the corpus is then one of its own, too.
    `windows` are those of the text, where the caller has read them already.
    """
    windows = read_windows(lm, text, tokens) if windows is None else windows
    mark = _mark_of(lm, text, tokens, windows)
    with database.read() as session:
        known = find_corpus(session, model_id, mark)
    name = name_of(text)
    name = name if tokens is None else f"{name}, first {tokens:,} tokens"
    if known is not None:
        return Corpus(known.id, known.name, windows, mark)
    with database.write() as session:
        corpus_id = create_corpus(
            session,
            name=name,
            source=str(text),
            model_id=model_id,
            fingerprint=mark,
            windows=len(windows),
            tokens=windows.tokens,
            context=min(CONTEXT, lm.context),
            bos_policy=bos_policy(lm),
            packing=packing_policy(lm),
        )
    for start in range(0, len(windows), ROWS_AT_ONCE):
        rows = [
            SequenceRow.of(start + place, window.document, window.start, window.tokens.tolist())
            for place, window in enumerate(windows[start : start + ROWS_AT_ONCE])
        ]
        with database.write() as session:
            add_sequences(session, corpus_id, rows)
    return Corpus(corpus_id, name, windows, mark)


def _mark_of(lm: LanguageModel, text: Path | str, tokens: int | None, windows: Windows) -> str:
    """The text and the very windows, since a tokenizer may change and keep its vocabulary."""
    mark = hashlib.sha256(f"{fingerprint(lm, text)} {windows.digest}".encode()).hexdigest()
    return mark if tokens is None else f"{mark}:{tokens}"


def reopen_corpus(database: Database, record: CorpusRecord) -> Corpus:
    """A corpus from its stored windows; its text need not be there any more.

    Raises ValueError when some of the windows are missing.
    """
    windows = Windows.gather(_stored_windows(database, record))
    return Corpus(record.id, record.name, windows, record.fingerprint)


def _stored_windows(database: Database, record: CorpusRecord) -> Iterator[Window]:
    for start in range(0, record.windows, ROWS_AT_ONCE):
        wanted = range(start, min(start + ROWS_AT_ONCE, record.windows))
        with database.read() as session:
            rows = get_sequences(session, record.id, wanted)
        if len(rows) < len(wanted):
            raise ValueError(f"the text {record.name} is not stored whole: name one with --text")
        for place in wanted:
            row = rows[place]
            tokens = np.array(row.token_ids, dtype=np.int32)
            yield Window(row.document, row.start, tokens)
