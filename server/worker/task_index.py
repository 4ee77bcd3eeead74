"""The index task: SAEs of one model over one text, in one pass of the model."""

from collections.abc import Iterator
from pathlib import Path

from models.hub_texts import is_hub
from models.texts import pin_source, split_column
from server.protocol import IndexRequest
from server.store.language_models import get_model
from server.store.saes import SaeRecord
from server.worker.indexing import Indexing, Target
from server.worker.library import DEMO_TEXT, load_model, open_corpus, open_sae, require_sae
from server.worker.progress import Progress, TaskContext
from server.worker.reading import finish, say_limit, usual_limit


def run_index_task(context: TaskContext, request: IndexRequest) -> Iterator[Progress]:
    """Index, publish, and score opposition."""
    records = [require_sae(context.database, key) for key in request.saes]
    if len({record.model_id for record in records}) > 1:
        names = ", ".join(f"{record.name} ({record.model})" for record in records)
        raise ValueError(
            f"these SAEs belong to different models: {names}; index them one model at a time"
        )
    tokens = request.tokens
    if request.text is not None:
        text = pin_source(request.text)
    else:
        text = usual_text(records[0])
        tokens = tokens or records[0].config.get("text_tokens")
    usual = usual_limit(text, tokens)
    yield Progress(0, 1, "loading the language model")
    lm, model_id = load_model(context.database, _source(context, records[0]))
    targets = [target_of(context, record) for record in records]
    if usual is not None:
        yield say_limit(usual)
    corpus = open_corpus(context.database, lm, model_id, text, tokens or usual)
    indexing = Indexing(context.database, lm, targets, corpus, context)
    yield from indexing.advance(len(corpus.windows))
    yield from indexing.publish()
    yield from indexing.oppose()
    result = {
        "saes": [record.id for record in records],
        "tokens": corpus.tokens,
        "windows": len(corpus.windows),
    }
    yield finish(corpus, "indexed", result, usual)


def target_of(context: TaskContext, record: SaeRecord) -> Target:
    """An SAE ready to be indexed, axis names included."""
    axes = record.config.get("axes")
    labels = None if axes is None else [(axis["side_b"], axis["side_a"]) for axis in axes]
    return Target(
        record.id,
        record.name,
        open_sae(context.settings, record),
        record.layer,
        labels,
        record.sha256,
        record.flips,
    )


def usual_text(record: SaeRecord) -> Path | str:
    """The text an SAE was trained on, where it is still there."""
    if record.is_demo:
        return DEMO_TEXT
    text = record.config.get("text")
    if text is not None and is_hub(text):
        return text
    if text is None or not Path(split_column(text)[0]).is_file():
        raise ValueError(f"the text of {record.name} is not here any more: name one with --text")
    return Path(text)


def _source(context: TaskContext, record: SaeRecord) -> str:
    with context.database.read() as session:
        model = get_model(session, record.model_id)
    assert model is not None
    return model.name
