"""One case of the index benchmark with ours, printed as a line of JSON."""

import json
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import torch
from index_case import LAYER, load_model

from models.activations import TOKENS_PER_FORWARD
from models.corpus import Window, batch_windows, pad
from models.index.indexer import WINDOWS_AT_ONCE
from models.language_model import LanguageModel
from models.sae import SparseAutoencoder
from models.sae.checkpoint import load_sae
from models.windows import Windows
from server.settings import Settings
from server.store.migrate import migrate
from server.store.session import Database
from server.worker.indexing import Indexing, Target
from server.worker.library import enter_model, enter_sae, open_corpus
from server.worker.progress import TaskContext


def main() -> None:
    """CASE TOKENS ROUNDS."""
    case, tokens, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    lm = load_model(case.parent)
    rows = np.load(case.parent / "tokens.npy")[: tokens // 128]
    windows = [Window(number, 0, row) for number, row in enumerate(rows)]
    bare(
        lm, load_sae(case / "sae"), windows[:WINDOWS_AT_ONCE]
    )  # whatever happens only once; its memory
    before = peak_mb()
    measured = [measure(lm, case, windows) for _ in range(rounds)]
    found = {key: median(each[key] for each in measured) for key in measured[0]}
    found |= {"peak_mb": peak_mb() - before}
    print(json.dumps(found | {"tokens": rows.size, "rounds": rounds}))


def measure(lm: LanguageModel, case: Path, windows: Sequence[Window]) -> dict[str, float]:
    """CPU seconds of the whole, of the model and the encoder in it, and of its parts."""
    with tempfile.TemporaryDirectory() as folder:
        indexing = prepare(lm, case, windows, Path(folder))
        with (
            inside(LanguageModel, "residuals") as model,
            inside(SparseAutoencoder, "encode_sparse") as encoder,
        ):
            begin = process_time()
            for _ in indexing.advance(len(windows)):
                pass
            passed = process_time()
            bare_seconds = model[0] + encoder[0]
        for _ in indexing.publish():
            pass
        end = process_time()
        for _ in indexing.oppose():
            pass
        opposed = process_time()
        begin_again = process_time()
        indexing.passages.score()
        concepts = process_time() - begin_again
        indexing.database.dispose()
    return {
        "bare": bare_seconds,
        "whole": end - begin,
        "ratio": (end - begin) / bare_seconds,
        "pass": (passed - begin) / bare_seconds,
        "concepts": concepts,
        "oppose": opposed - end,
        "largest": float(np.abs(indexing.indexers[0].statistics.extremes).max()),
    }


@contextmanager
def inside(owner: type, name: str) -> Iterator[list[float]]:
    """The CPU seconds spent in a method while open."""
    method, seconds = getattr(owner, name), [0.0]

    @wraps(method)
    def timed(*arguments: Any, **options: Any) -> Any:
        begin = process_time()
        try:
            return method(*arguments, **options)
        finally:
            seconds[0] += process_time() - begin

    setattr(owner, name, timed)
    try:
        yield seconds
    finally:
        setattr(owner, name, method)


def prepare(lm: LanguageModel, case: Path, windows: Sequence[Window], folder: Path) -> Indexing:
    """A fresh database with model, SAE and corpus in it."""
    settings = Settings(data_dir=folder, database_url=f"sqlite:///{folder / 'dipole.db'}")
    migrate(settings.database_url)
    database = Database(settings.database_url)
    model_id = enter_model(database, lm, str(case.parent / "lm"))
    sae_id = enter_sae(database, lm, model_id, case / "sae", "sae", "random", None)
    text = folder / "text"
    text.write_text("the windows are handed over")
    corpus = open_corpus(database, lm, model_id, text, windows=Windows.gather(windows))
    target = Target(sae_id, "random", load_sae(case / "sae"), LAYER, mark="random")
    return Indexing(database, lm, [target], corpus, TaskContext(settings, database))


@torch.inference_mode()
def bare(lm: LanguageModel, sae: SparseAutoencoder, windows: Sequence[Window]) -> None:
    """The language model and the encoder alone, in the batches of the index."""
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        part = windows[start : start + WINDOWS_AT_ONCE]
        for batch in batch_windows(part, TOKENS_PER_FORWARD):
            ids = torch.from_numpy(pad([part[index] for index in batch]))
            sae.encode_sparse(lm.residual(ids, LAYER)[:, 1:].flatten(0, 1))


def peak_mb() -> float:
    """The most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
