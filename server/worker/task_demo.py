"""The demo task: the shipped model, SAEs and axes, browsable after the first tokens.

One pass of the language model serves all of them. Knows nothing of how the artefacts were made.
"""

from collections.abc import Iterator, Sequence

from models.corpus import Window
from models.evaluate.fidelity import Fidelity
from models.language_model import LanguageModel
from models.layout import Metric
from models.sae.checkpoint import read_about
from server.protocol import DemoRequest
from server.store.saes import SaeRecord, get_sae
from server.worker.indexing import Indexing
from server.worker.library import DEMO, DEMO_SAES, DEMO_TEXT, enter_sae, load_model, open_corpus
from server.worker.progress import Progress, TaskContext
from server.worker.task_index import target_of
from server.worker.task_map import map_sae

METRICS: tuple[Metric, ...] = ("directed", "axis")
"""The last is the one that is shown first."""
DEMO_NAMES = ("abstopk", "topk", "vsae", "axes")


def run_demo(context: TaskContext, request: DemoRequest) -> Iterator[Progress]:
    """Enter, index the first tokens, publish, map; then the rest, and opposition."""
    database = context.database
    yield Progress(0, 1, "loading the demo model")
    lm, model_id = load_model(database, DEMO)
    yield Progress(0, 1, "tokenising the demo stories")
    corpus = open_corpus(database, lm, model_id, DEMO_TEXT)
    records = [enter_demo_sae(context, lm, model_id, name) for name in DEMO_NAMES]
    targets = [target_of(context, record) for record in records]
    indexing = Indexing(database, lm, targets, corpus, context)
    yield from indexing.advance(_windows_for(corpus.windows, request.first_tokens))
    yield from indexing.publish()
    tokens = corpus.windows[: indexing.done].tokens
    for target in targets:
        yield Progress(tokens, corpus.tokens, f"mapping {target.name}")
        for metric in METRICS:
            map_sae(database, target.sae_id, target.sae, metric, seed=0)
    yield from indexing.advance(len(corpus.windows))
    yield from indexing.publish()
    yield from indexing.oppose()
    result = {"saes": [record.id for record in records], "tokens": corpus.tokens}
    yield Progress(corpus.tokens, corpus.tokens, "the demo is complete", result)


def _windows_for(windows: Sequence[Window], tokens: int) -> int:
    """How many windows hold at least `tokens` indexed tokens (all, if there are fewer)."""
    seen = 0
    for count, window in enumerate(windows, start=1):
        seen += len(window.tokens) - 1
        if seen >= tokens:
            return count
    return len(windows)


def enter_demo_sae(context: TaskContext, lm: LanguageModel, model_id: int, name: str) -> SaeRecord:
    """The demo SAE's row, made the first time."""
    full_name = f"{DEMO}-{name}"
    with context.database.read() as session:
        known = get_sae(session, full_name)
    if known is None:
        folder = DEMO_SAES / name
        measured = read_about(folder).get("fidelity")
        fidelity = Fidelity(**measured) if measured else None
        enter_sae(
            context.database,
            lm,
            model_id,
            folder,
            f"{DEMO}:{name}",
            full_name,
            fidelity,
            is_demo=True,
        )
        with context.database.read() as session:
            known = get_sae(session, full_name)
    assert known is not None
    return known
