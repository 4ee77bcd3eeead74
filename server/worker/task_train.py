"""The train task: train one SAE on a text, measure it, enter it, index and map it."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from models.activations import training_batches
from models.corpus import Window
from models.evaluate.fidelity import measure_fidelity
from models.layout import MOST_ROWS
from models.sae import SAEConfig
from models.sae.checkpoint import save_sae
from models.sae.config import WITH_K
from models.train import TrainConfig, TrainUpdate, train
from server.protocol import TrainRequest
from server.store.saes import get_sae
from server.store.session import Database
from server.worker.indexing import Indexing, Target
from server.worker.library import enter_model, enter_sae, open_corpus, read_model, read_windows
from server.worker.progress import Progress, TaskContext
from server.worker.task_map import map_sae

HELD_OUT_SHARE = 0.1
HELD_OUT_WINDOWS = 400
FEWEST_HELD_OUT = 20  # tokens
SPARSITY_WEIGHTS = {"relu": 1.0, "jumprelu": 0.01, "vsae": 1e-4}
INITIAL_THRESHOLD = 0.1  # θ of jumprelu, in scaled units


def run_train(context: TaskContext, request: TrainRequest) -> Iterator[Progress]:
    """Everything from text to a browsable SAE; nothing is entered before it is trained and saved."""
    text = Path(request.text)
    yield Progress(0, request.tokens, "loading the language model")
    lm = read_model(context.database, request.model)
    layer = lm.layers // 2 if request.layer is None else request.layer
    lm.check_layer(layer)
    config = sae_config(request, lm.d_in)
    recipe = train_config(request)
    windows = read_windows(lm, text)
    training, held_out = split(windows)
    name = free_name(context.database, request, lm.name, layer)
    # Nothing is entered before the whole request has been found possible.
    model_id = enter_model(context.database, lm, request.model)
    corpus = open_corpus(context.database, lm, model_id, text, windows=windows)
    batches = training_batches(lm, layer, training, recipe.batch, recipe.tokens, recipe.seed)
    update: TrainUpdate | None = None
    for update in train([(config, recipe)], batches):
        last = update.steps[0]
        done = min(last.step * recipe.batch, recipe.tokens)
        message = (
            f"trained {done:,} tokens: nMSE {last.nmse:.3f}, L0 {last.l0:.1f}, dead {last.dead}"
        )
        yield Progress(done, recipe.tokens, message)
    assert update is not None
    sae = update.saes[0].eval().requires_grad_(False)
    yield Progress(recipe.tokens, recipe.tokens, "measuring on held-out windows")
    fidelity = measure_fidelity(lm, layer, sae, held_out[:HELD_OUT_WINDOWS])
    about = {
        "model": request.model,
        "layer": layer,
        "text": str(text.resolve()),
        "training": asdict(recipe),
        "fidelity": fidelity._asdict(),
        "dead_at_end": update.steps[0].dead,
    }
    folder = _new_folder(context.settings.data_dir / "saes" / name)
    try:
        save_sae(folder, sae, about)
        sae_id = enter_sae(
            context.database, lm, model_id, folder, f"saes/{folder.name}", name, fidelity
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    indexing = Indexing(context.database, lm, [Target(sae_id, name, sae, layer)], corpus)
    yield from indexing.advance(len(corpus.windows))
    yield from indexing.publish()
    yield from indexing.oppose()
    if config.d_sae <= MOST_ROWS:
        yield Progress(corpus.tokens, corpus.tokens, f"mapping {name}")
        map_sae(context.database, sae_id, sae, "axis", request.seed)
    result = {"sae": sae_id, "name": name, "layer": layer, **fidelity._asdict()}
    yield Progress(corpus.tokens, corpus.tokens, f"{name} is in the library", result)


def _new_folder(path: Path) -> Path:
    """A folder that was not there: two trainings of one name must not share files."""
    number = 1
    while True:
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder


def sae_config(request: TrainRequest, d_in: int) -> SAEConfig:
    """The SAE asked for. Raises ValueError on impossible combinations."""
    return SAEConfig(
        d_in,
        request.width,
        request.sae,
        k=request.k if request.sae in WITH_K else None,
        threshold=INITIAL_THRESHOLD if request.sae == "jumprelu" else 0.0,
    )


def train_config(request: TrainRequest) -> TrainConfig:
    """The recipe: small trainings take smaller batches, so that there are steps enough."""
    batch = 4_096 if request.tokens >= 4_000_000 else 2_048 if request.tokens >= 200_000 else 512
    return TrainConfig(
        tokens=request.tokens,
        batch=batch,
        lr=3e-4 if batch == 4_096 else 1e-3,
        seed=request.seed,
        sparsity_weight=SPARSITY_WEIGHTS.get(request.sae, 0.0),
        dead_after=max(50_000, request.tokens // 8),
    )


def split(windows: Sequence[Window]) -> tuple[Sequence[Window], Sequence[Window]]:
    """Training and held-out windows: the last tenth of the documents is held out.

    Raises ValueError when the text is one document.
    """
    documents = windows[-1].document + 1
    if documents < 2:
        raise ValueError(
            "the text is a single document, so nothing can be held out: "
            "separate its documents by blank lines or by lines <|endoftext|>"
        )
    first = documents - max(1, int(documents * HELD_OUT_SHARE))
    cut = next(place for place, window in enumerate(windows) if window.document >= first)
    held_out = sum(len(window.tokens) - 1 for window in windows[cut:])
    if held_out < FEWEST_HELD_OUT:
        raise ValueError(
            f"the last tenth of the text has {held_out} tokens, but {FEWEST_HELD_OUT} are needed "
            "to measure on: give a longer text"
        )
    return windows[:cut], windows[cut:]


def free_name(database: Database, request: TrainRequest, model: str, layer: int) -> str:
    """The name asked for, or one made of what is trained. Raises ValueError when a given name is taken."""
    k = f"-k{request.k}" if request.sae in WITH_K else ""
    stem = (
        request.name
        or f"{Path(model).name}-layer{layer}-{request.sae}-{request.width}{k}-seed{request.seed}"
    )
    if "/" in stem or stem.startswith("."):
        raise ValueError(
            f"the name {stem!r} cannot be a folder: leave out slashes and a leading dot"
        )
    with database.read() as session:
        if get_sae(session, stem) is None:
            return stem
        if request.name:
            raise ValueError(f"there is an SAE named {stem!r} already: choose another --name")
        number = 2
        while get_sae(session, f"{stem}-{number}") is not None:
            number += 1
    return f"{stem}-{number}"
