"""The import task: an SAE of another library into ours, measured, entered, indexed and mapped."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from models.corpus import Window
from models.evaluate.fidelity import measure_fidelity
from models.language_model import LanguageModel
from models.sae import SAEConfig
from models.sae.foreign import Fetched, fetch_sae, read_foreign
from models.texts import pin_source
from server.protocol.files import ImportRequest
from server.store.language_models import get_model
from server.store.session import Database
from server.worker.bringing_in import Home, index_and_map, save_and_enter, settle_name
from server.worker.library import (
    DEMO,
    DEMO_TEXT,
    enter_model,
    open_corpus,
    read_model,
    read_windows,
)
from server.worker.progress import Progress, TaskContext
from server.worker.reading import finish, say_limit, usual_limit

MEASURED_SHARE = 0.1
MEASURED_WINDOWS = 400
FORMER_LIFE = ("run", "fidelity", "training", "text", "text_tokens", "kept", "imported")
"""What an SAE of our own format says of its making: kept under `imported`, not as its own."""


def run_import(context: TaskContext, request: ImportRequest) -> Iterator[Progress]:
    """Everything from a folder or hub id to a browsable SAE; nothing is entered before it is read."""
    yield Progress(0, 1, f"looking for an SAE in {request.source}")
    fetched = fetch_sae(request.source, request.layer)
    layer = fetched.found.site.settle(request.layer)
    yield Progress(0, 1, f"reading a {fetched.found.format} SAE")
    sae, facts = read_foreign(fetched.found)
    text = _text(context.database, request)
    yield Progress(0, 1, "loading the language model")
    lm = read_model(context.database, request.model)
    _check_fit(lm, layer, sae.config, request)
    usual = _usual_name(lm, layer, fetched, sae.config)
    name, record = settle_name(context, request.name, usual, "imported")
    usual = usual_limit(text, request.tokens)
    limit = request.tokens or usual
    if usual is not None:
        yield say_limit(usual)
    windows = read_windows(lm, text, limit)
    model_id = enter_model(context.database, lm, request.model)
    corpus = open_corpus(context.database, lm, model_id, text, limit, windows)
    if record is None:
        yield Progress(0, corpus.tokens, "measuring on the last windows of the text")
        fidelity = measure_fidelity(lm, layer, sae, _last_windows(windows))
        about = {
            **_about(request, fetched, text, facts),
            "model": request.model,
            "layer": layer,
            "fidelity": fidelity._asdict(),
        }
        about["imported"]["run"] = context.run_id
        record = save_and_enter(context, Home(lm, model_id), name, sae, about)
    yield from index_and_map(context, lm, record, corpus)
    result = {
        "sae": record.id,
        "name": name,
        "layer": layer,
        "format": fetched.found.format,
        "commit": fetched.commit,
        "sparsifier": sae.config.sparsifier,
        "width": sae.config.d_sae,
        **record.config["fidelity"],
    }
    yield finish(corpus, f"{name} is in the library", result, usual)


def _text(database: Database, request: ImportRequest) -> Path | str:
    if request.text is not None:
        return pin_source(request.text)
    with database.read() as session:
        known = get_model(session, request.model)
    if DEMO in (request.model, known and known.source):
        return DEMO_TEXT
    raise ValueError(
        f"--text is needed: only the demo model has a text of its own, {request.model} has none"
    )


def _check_fit(lm: LanguageModel, layer: int, sae: SAEConfig, request: ImportRequest) -> None:
    lm.check_layer(layer)
    if sae.d_in != lm.d_in:
        raise ValueError(
            f"the SAE reads {sae.d_in} dimensions, but the residual stream of {lm.name} has "
            f"{lm.d_in}: give the model it was trained on with --model (now {request.model})"
        )
    if sae.vocabulary is not None and sae.vocabulary != len(lm.vocabulary):
        raise ValueError(
            f"the SAE's token bias has {sae.vocabulary} tokens, but {lm.name} has "
            f"{len(lm.vocabulary)}: give the model it was trained on with --model"
        )


def _usual_name(lm: LanguageModel, layer: int, fetched: Fetched, sae: SAEConfig) -> str:
    k = "" if sae.k is None else f"-k{sae.k}"
    model = Path(lm.name).name
    return f"{model}-layer{layer}-{sae.sparsifier}-{sae.d_sae}{k}-{fetched.found.format}"


def _last_windows(windows: Sequence[Window]) -> Sequence[Window]:
    """The last tenth of the text, as a training here would hold out."""
    return windows[-max(1, int(len(windows) * MEASURED_SHARE)) :][:MEASURED_WINDOWS]


def _about(
    request: ImportRequest, fetched: Fetched, text: Path | str, facts: dict[str, Any]
) -> dict[str, Any]:
    found = fetched.found
    imported = {
        "format": found.format,
        "source": request.source,
        "folder": found.folder.name,
        "commit": fetched.commit,
        "hook": found.site.hook,
        "rows": facts.get("rows"),
        "said": {key: facts[key] for key in FORMER_LIFE if key in facts},
    }
    own = {key: value for key, value in facts.items() if key not in (*FORMER_LIFE, "rows")}
    source = str(text.resolve()) if isinstance(text, Path) else text
    return own | {"text": source, "imported": imported}
