"""The commands that do a run: `train`, `index`, `map`, the demo without a server, and `job`.

Knows how a request becomes a row and who does it. What is plainly wrong is refused before torch
is loaded and before a row is written; the tasks refuse the rest. Nothing is computed here.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.cli_output import print_json, print_line, show_progress
from server.protocol import DemoRequest, IndexRequest, MapRequest, Message, TrainRequest
from server.settings import Settings
from server.supervisor import follow_stdin

SPARSIFIERS_WITH_K = ("topk", "abstopk", "vsae")


def train(settings: Settings, arguments: argparse.Namespace) -> int:
    """Train an SAE, index it and map it."""
    request = TrainRequest(**_given(arguments, TrainRequest))
    if request.sae in SPARSIFIERS_WITH_K and request.k > request.width:
        raise ValueError(
            f"k {request.k} is larger than width {request.width}: choose a smaller --k"
            " or a larger --width"
        )
    return _do(settings, "train", request, arguments.json)


def index(settings: Settings, arguments: argparse.Namespace) -> int:
    """Index SAEs of one model over one text."""
    request = IndexRequest(**_given(arguments, IndexRequest))
    _require_saes(settings, request.saes)
    return _do(settings, "index", request, arguments.json)


def map_sae(settings: Settings, arguments: argparse.Namespace) -> int:
    """Lay out one SAE's decoder rows."""
    request = MapRequest(**_given(arguments, MapRequest))
    _require_saes(settings, [request.sae])
    return _do(settings, "map", request, arguments.json)


def make_demo(settings: Settings, as_json: bool) -> int:
    """Make the demo in this process; nothing to do if it is there."""
    if demo_is_there(settings):
        _report(as_json, {"state": "done", "run": None}, "the demo is there: run `dipole serve`")
        return 0
    return _do(settings, "demo", DemoRequest(), as_json)


def demo_is_there(settings: Settings) -> bool:
    """Whether a run has made the demo here, or is queued or at work on it."""
    from server.store.runs import list_runs

    with _database(settings) as database, database.read() as session:
        runs = list_runs(session, states=["queued", "running", "done"], limit=1000)
    return any(run.kind == "demo" for run in runs)


def queue_demo(settings: Settings) -> None:
    """Leave the demo to the worker."""
    from server.store.runs import create_run

    with _database(settings) as database, database.write() as session:
        create_run(session, "demo", DemoRequest().model_dump(mode="json"))


def job(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do one queued run, for the executor; its outcome stands in the run's row."""
    if arguments.follow_stdin:
        follow_stdin()
    from server.worker.runs import RunStopped, claim, execute
    from server.worker.tasks import TASKS, TaskContext

    with _database(settings) as database:
        claimed = claim(database, settings.data_dir, arguments.run_id)
        if claimed is None:
            return 0
        context = TaskContext(settings=settings, database=database)
        with contextlib.suppress(RunStopped):
            for _ in execute(context, claimed, TASKS):
                pass
    return 0


def _do(settings: Settings, kind: str, request: Message, as_json: bool) -> int:
    from server.worker.runs import begin, execute
    from server.worker.tasks import TASKS, TaskContext

    with _database(settings) as database:
        claimed = begin(database, settings.data_dir, kind, request)
        context = TaskContext(settings=settings, database=database)
        with contextlib.closing(execute(context, claimed, TASKS)) as steps:
            result = show_progress(steps, kind, quiet=as_json) or {}
    outcome = {"run": claimed.run.id, "kind": kind, "state": "done", **result}
    shown = "".join(f"\n  {name}: {value}" for name, value in result.items())
    _report(as_json, outcome, f"{kind} done (run {claimed.run.id}){shown}")
    return 0


def _report(as_json: bool, outcome: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(outcome)
    else:
        print_line(sentence)


@contextlib.contextmanager
def _database(settings: Settings) -> "Iterator[Any]":
    """The migrated database, closed at the end."""
    from server.store.migrate import migrate
    from server.store.session import Database

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.database_url)
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.dispose()


def _given(arguments: argparse.Namespace, message: type[Message]) -> dict[str, Any]:
    """The message's fields that were given as flags; files and folders made absolute.

    The run may be taken up later, by a process that was started elsewhere.
    """
    values = {
        name: value
        for name in message.model_fields
        if (value := getattr(arguments, name, None)) is not None
    }
    if "text" in values and not values["text"].startswith("hf:"):
        text = Path(values["text"]).expanduser()
        if not text.is_file():
            raise ValueError(f"no text file {text}: check --text")
        values["text"] = str(text.resolve())
    folder = Path(values.get("model", "")).expanduser()
    if "model" in values and (folder / "config.json").is_file():
        values["model"] = str(folder.resolve())
    return values


def _require_saes(settings: Settings, keys: list[int | str]) -> None:
    from server.store.saes import get_sae, list_saes

    with _database(settings) as database, database.read() as session:
        missing = [key for key in keys if get_sae(session, key) is None]
        names = [sae.name for sae in list_saes(session)]
    if missing:
        known = f"there are {', '.join(names)}" if names else "run `dipole demo` or `dipole train`"
        raise ValueError(f"no SAE is called {missing[0]}: {known}")
