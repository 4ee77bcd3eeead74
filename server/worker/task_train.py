"""The train task: train one SAE or a sweep on a text, measure, enter, index and map them.

Resumable: what a killed, stopped or cancelled attempt has kept in the run's folder is used by the
next one. The parts are in `server.worker.training`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from models.language_model import LanguageModel
from models.texts import pin_source
from server.protocol import TrainRequest
from server.store.runs import RunRecord, get_run
from server.store.saes import SaeRecord
from server.worker.indexing import Indexing
from server.worker.library import (
    Corpus,
    enter_model,
    open_corpus,
    read_model,
    read_windows,
)
from server.worker.progress import Progress, TaskContext
from server.worker.reading import text_limit
from server.worker.task_index import target_of
from server.worker.task_map import map_steps
from server.worker.training.entering import Home, enter_trained, find_entered
from server.worker.training.folder import RunFolder
from server.worker.training.held_out import split
from server.worker.training.job import TrainingJob
from server.worker.training.learn import learn
from server.worker.training.names import choose_names
from server.worker.training.recipes import Planned, plan_saes

HELD_OUT_WINDOWS = 400


def run_train(context: TaskContext, request: TrainRequest) -> Iterator[Progress]:
    """Everything from text to browsable SAEs; none is entered before all are trained and saved."""
    text = pin_source(request.text)
    limit = text_limit(text, request.tokens)
    yield Progress(0, request.tokens, "loading the language model")
    device = pick_device(request.device)
    lm = read_model(context.database, request.model, device)
    layer = lm.layers // 2 if request.layer is None else request.layer
    lm.check_layer(layer)
    planned = plan_saes(request, lm)
    windows = read_windows(lm, text, limit)
    training, held_out = split(windows)
    folder = RunFolder.open(context.settings.data_dir, _run_of(context), request)
    try:
        if folder.names is None:
            chosen = [item.variant for item in planned]
            names = choose_names(context.database, folder, request, chosen, lm.name, layer)
            folder.save_names(names)
        # Nothing is entered before the whole request has been found possible.
        model_id = enter_model(context.database, lm, request.model)
        corpus = open_corpus(context.database, lm, model_id, text, limit, windows)
        records = [find_entered(context, folder, place) for place in range(len(planned))]
        if None in records and not folder.is_trained:
            job = TrainingJob(request, lm, layer, planned, folder)
            yield from learn(job, training, context.settings.data_dir, context.stopping)
        home = Home(lm, model_id, layer, held_out[:HELD_OUT_WINDOWS], device)
        for place, record in enumerate(records):
            if record is None:
                yield Progress(request.tokens, request.tokens, "measuring on held-out windows")
                records[place] = enter_trained(context, home, folder, place)
        entered = [record for record in records if record is not None]
        yield from _index_and_map(context, lm, entered, corpus, planned)
    except BaseException:
        if not folder.is_kept:
            folder.remove()
        raise
    folder.remove()
    shown = ", ".join(record.name for record in entered)
    message = f"{shown} {'is' if len(entered) == 1 else 'are'} in the library"
    yield Progress(corpus.tokens, corpus.tokens, message, _result(entered, planned, layer))


def _run_of(context: TaskContext) -> RunRecord | None:
    if context.run_id is None:
        return None
    with context.database.read() as session:
        return get_run(session, context.run_id)


def pick_device(wanted: str) -> str:
    """The device asked for; "auto" is the GPU where there is one."""
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"there is no {wanted} here: leave out --device, or choose cpu")
    return wanted


def _index_and_map(
    context: TaskContext,
    lm: LanguageModel,
    records: Sequence[SaeRecord],
    corpus: Corpus,
    planned: Sequence[Planned],
) -> Iterator[Progress]:
    targets = [target_of(context, record) for record in records]
    for target in targets:
        target.sae.to(lm.device)
    indexing = Indexing(context.database, lm, targets, corpus, context)
    yield from indexing.advance(len(corpus.windows))
    yield from indexing.publish()
    yield from indexing.oppose()
    for target, item in zip(targets, planned, strict=True):
        yield Progress(corpus.tokens, corpus.tokens, f"mapping {target.name}")
        seed, sae = item.variant.seed, target.sae.cpu()
        for step in map_steps(context.database, target.sae_id, sae, "axis", seed):
            said = f"mapping {target.name}: {step.message}"
            yield Progress(corpus.tokens, corpus.tokens, said)


def _result(records: Sequence[SaeRecord], planned: Sequence[Planned], layer: int) -> dict[str, Any]:
    """`sae`, `name` and measures of a single training; `saes`, a list of such, of a sweep."""
    found = [
        {"sae": record.id, "name": record.name, "layer": layer, **record.config["fidelity"]}
        for record in records
    ]
    if len(found) == 1:
        return found[0]
    return {
        "layer": layer,
        "saes": [
            {
                **entry,
                **item.variant._asdict(),
                "sae": entry["sae"],
                "sparsifier": item.sae.sparsifier,
            }
            for entry, item in zip(found, planned, strict=True)
        ],
    }
