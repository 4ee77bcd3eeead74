"""The axis task: a Difference-in-Mean direction from two lists of texts, kept as an axis like any other.

It is a dictionary of one feature: entered, indexed and mapped as SAEs are. Source: science §4.
"""

from collections.abc import Iterator
from typing import Any

from models.concepts.axes import axes_as_sae, text_moments
from models.concepts.probe import Direction, difference_in_mean, read_texts
from models.language_model import LanguageModel
from models.texts import pin_source
from server.protocol.axis import AxisRequest
from server.store.corpora import CorpusRecord, corpus_of_index, get_corpus
from server.store.saes import get_sae, list_saes
from server.store.session import Database
from server.worker.bringing_in import Home, index_and_map, save_and_enter, settle_name
from server.worker.concepts import Sides, find_sides
from server.worker.library import (
    DEMO,
    DEMO_TEXT,
    Corpus,
    enter_model,
    open_corpus,
    read_model,
    reopen_corpus,
)
from server.worker.progress import Progress, TaskContext
from server.worker.reading import finish, say_limit, usual_limit

MOMENT_WINDOWS = 128
"""Windows, spread over the text, whose mean is the axis's zero."""


def run_axis(context: TaskContext, request: AxisRequest) -> Iterator[Progress]:
    """Everything from two lists to an axis of the library; nothing is entered before it is measured."""
    yield Progress(0, 1, "loading the language model")
    lm = read_model(context.database, request.model)
    layer = lm.layers // 2 if request.layer is None else request.layer
    lm.check_layer(layer)
    name, record = settle_name(context, request.name, request.name, "kept")
    sides = find_sides(request.contrast, request.plus, request.minus)
    yield Progress(0, 1, f"reading {len(sides.a) + len(sides.b)} texts")
    found = difference_in_mean(
        read_texts(lm, None, layer, sides.a, sides.b, is_train=sides.is_train)
    )
    usual = None if request.text is None else usual_limit(request.text, request.tokens)
    yield Progress(0, 1, "opening the text to index on") if usual is None else say_limit(usual)
    model_id = enter_model(context.database, lm, request.model)
    corpus = _open_corpus(context.database, lm, model_id, layer, request, usual)
    if record is None:
        spread = corpus.windows[:: max(1, len(corpus.windows) // MOMENT_WINDOWS)]
        sae = axes_as_sae([found], *text_moments(lm, layer, spread))
        about = {
            "model": request.model,
            "layer": layer,
            "axes": [_entry(request, sides, found)],
            "kept": {
                "run": context.run_id,
                "contrast": request.contrast,
                "texts": [len(sides.a), len(sides.b)],
                "zero_windows": len(spread),
            },
            **_text_of(context.database, corpus),
        }
        record = save_and_enter(context, Home(lm, model_id), name, sae, about)
    yield from index_and_map(context, lm, record, corpus)
    result = {
        "sae": record.id,
        "name": name,
        "feature": 0,
        "layer": layer,
        "auc": found.auc.value,
        "auc_low": found.auc.low,
        "auc_high": found.auc.high,
        "held_out_texts": found.auc.texts,
    }
    yield finish(corpus, f"{name} is in the library", result, usual)


def _entry(request: AxisRequest, sides: Sides, found: Direction) -> dict[str, Any]:
    """What is kept of the axis: its sides, A being the + pole, and how it does on held-out texts."""
    side_a, side_b = sides.names if request.contrast else ("", "")
    return {
        "name": request.name,
        "side_a": request.plus_label or side_a,
        "side_b": request.minus_label or side_b,
        "auc": found.auc.value,
        "auc_low": found.auc.low,
        "auc_high": found.auc.high,
        "texts": found.auc.texts,
    }


def _text_of(database: Database, corpus: Corpus) -> dict[str, Any]:
    """Where the text came from and how much of it is read, for indexing once more."""
    with database.read() as session:
        record = get_corpus(session, corpus.id)
    assert record is not None
    limit = corpus.fingerprint.partition(":")[2]
    return {"text": record.source, **({"text_tokens": int(limit)} if limit else {})}


def _open_corpus(
    database: Database,
    lm: LanguageModel,
    model_id: int,
    layer: int,
    request: AxisRequest,
    usual: int | None,
) -> Corpus:
    if request.text is not None:
        limit = request.tokens or usual
        return open_corpus(database, lm, model_id, pin_source(request.text), limit)
    known = _indexed_text(database, model_id, layer)
    if known is not None:
        return reopen_corpus(database, known)
    if request.model == DEMO:
        return open_corpus(database, lm, model_id, DEMO_TEXT)
    raise ValueError(f"--text is needed: no SAE of {request.model} has been indexed on one yet")


def _indexed_text(database: Database, model_id: int, layer: int) -> CorpusRecord | None:
    """The text that an SAE of this model was indexed on: best one of this layer, then the newest."""
    with database.read() as session:
        indexed = [sae for sae in list_saes(session) if sae.model_id == model_id and sae.tokens]
        for summary in sorted(indexed, key=lambda sae: (sae.layer != layer, -sae.id)):
            sae = get_sae(session, summary.id)
            corpus = corpus_of_index(session, sae.published_index_id) if sae else None
            if corpus is not None:
                return corpus
    return None
