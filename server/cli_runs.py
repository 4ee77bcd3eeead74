"""The commands that do a run: `index`, `map`, the demo without a server, and `job`.

Knows how a request becomes a row and who does it. What is plainly wrong is refused before torch
is loaded and before a row is written; the tasks refuse the rest. Nothing is computed here.
"""

import argparse
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import TYPE_CHECKING, Any

from server.cli_output import print_json, print_line, show_progress
from server.cli_text import text_source
from server.protocol import DemoRequest, IndexRequest, MapRequest, Message
from server.settings import Settings
from server.supervisor import follow_stdin

if TYPE_CHECKING:
    from server.store.runs import RunRecord


def index(settings: Settings, arguments: argparse.Namespace) -> int:
    """Index SAEs of one model over one text."""
    request = IndexRequest(**given_fields(settings, arguments, IndexRequest))
    require_saes(settings, request.saes)
    return begin_run(settings, "index", request, arguments.json)


def map_sae(settings: Settings, arguments: argparse.Namespace) -> int:
    """Lay out one SAE's decoder rows."""
    request = MapRequest(**given_fields(settings, arguments, MapRequest))
    require_saes(settings, [request.sae])
    return begin_run(settings, "map", request, arguments.json)


def make_demo(settings: Settings, as_json: bool) -> int:
    """Make the demo in this process; nothing to do if it is there.

    A run that is queued, or whose process is gone, is taken up here. Raises RuntimeError while
    another process is at work on it.
    """
    runs = demo_runs(settings)
    if any(run.state == "done" for run in runs):
        _report(as_json, {"state": "done", "run": None}, "the demo is there: run `dipole serve`")
        return 0
    if runs:
        try:
            return resume_run(settings, "demo", runs[0].id, as_json)
        except ValueError as error:  # no input is to blame
            raise RuntimeError(str(error)) from error
    return begin_run(settings, "demo", DemoRequest(), as_json)


def demo_runs(settings: Settings) -> "list[RunRecord]":
    """The runs that have made the demo here, or are queued for it or at work on it; newest first."""
    from server.store.runs import list_runs

    with open_database(settings) as database, database.read() as session:
        runs = list_runs(session, states=["queued", "running", "done"], limit=1000)
    return [run for run in runs if run.kind == "demo"]


def queue_demo(settings: Settings) -> None:
    """Leave the demo to the worker."""
    from server.store.runs import create_run

    with open_database(settings) as database, database.write() as session:
        create_run(session, "demo", DemoRequest().model_dump(mode="json"))


def job(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do one queued run, for the executor; its outcome stands in the run's row."""
    if arguments.follow_stdin:
        follow_stdin()
    from server.worker.progress import RunInterrupted
    from server.worker.runs import RunStopped, claim, execute
    from server.worker.tasks import TASKS, TaskContext

    with open_database(settings) as database:
        claimed = claim(database, settings.data_dir, arguments.run_id)
        if claimed is None:
            return 0
        with told_to_end() as stopping, contextlib.suppress(RunStopped, RunInterrupted):
            context = TaskContext(
                settings=settings, database=database, run_id=claimed.run.id, stopping=stopping
            )
            for _ in execute(context, claimed, TASKS):
                pass
    return 0


def begin_run(settings: Settings, kind: str, request: Message, as_json: bool) -> int:
    """Do a new run in this process, with a bar or one JSON object."""
    from server.worker.runs import begin

    with open_database(settings) as database:
        claimed = begin(database, settings.data_dir, kind, request)
        return _work(settings, database, claimed, as_json)


def resume_run(settings: Settings, kind: str, run_id: int, as_json: bool) -> int:
    """Go on with a run of this kind that was cancelled, has failed or was left, in this process."""
    from server.worker.runs import reopen

    with open_database(settings) as database:
        claimed = reopen(database, settings.data_dir, kind, run_id)
        return _work(settings, database, claimed, as_json)


def _work(settings: Settings, database: Any, claimed: Any, as_json: bool) -> int:
    from server.worker.progress import RunInterrupted
    from server.worker.runs import execute
    from server.worker.tasks import TASKS, TaskContext

    run_id, kind = claimed.run.id, claimed.run.kind
    try:
        with told_to_end() as stopping:
            context = TaskContext(
                settings=settings, database=database, run_id=run_id, stopping=stopping
            )
            with contextlib.closing(execute(context, claimed, TASKS)) as steps:
                result = show_progress(steps, kind, quiet=as_json) or {}
    except RunInterrupted as error:
        by_hand = f", or `dipole train --resume {run_id}`" if kind == "train" else ""
        raise RuntimeError(
            f"run {run_id} was stopped and is queued: a running server goes on with it{by_hand}"
        ) from error
    outcome = {"run": run_id, "kind": kind, "state": "done", **result}
    shown = "".join(f"\n  {name}: {value}" for name, value in result.items())
    _report(as_json, outcome, f"{kind} done (run {run_id}){shown}")
    return 0


@contextlib.contextmanager
def told_to_end() -> Iterator[Event]:
    """An event that SIGTERM sets, instead of killing this process: a task then saves what it has."""
    event = Event()
    if current_thread() is not main_thread():  # where no signal arrives
        yield event
        return
    before = signal.signal(signal.SIGTERM, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)


def _report(as_json: bool, outcome: dict[str, Any], sentence: str) -> None:
    if as_json:
        print_json(outcome)
    else:
        print_line(sentence)


@contextlib.contextmanager
def open_database(settings: Settings) -> "Iterator[Any]":
    """The migrated database, closed at the end."""
    from server.store.migrate import migrate
    from server.store.session import Database

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    migrate(settings.database_url)
    database = Database.of(settings)
    try:
        yield database
    finally:
        database.dispose()


def given_fields(
    settings: Settings, arguments: argparse.Namespace, message: type[Message]
) -> dict[str, Any]:
    """The message's fields that were given as flags; files and folders made absolute.

    The run may be taken up later, by a process that was started elsewhere.
    """
    values = {
        name: value
        for name in message.model_fields
        if (value := getattr(arguments, name, None)) is not None
    }
    if "text" in values:
        column = getattr(arguments, "text_column", None)
        values["text"] = text_source(settings, values["text"], column)
    folder = Path(values.get("model", "")).expanduser()
    if "model" in values and (folder / "config.json").is_file():
        values["model"] = str(folder.resolve())
    return values


def require_saes(settings: Settings, keys: list[int | str]) -> None:
    """Raise ValueError, naming those there are, unless every key is an SAE's id or name."""
    from server.store.saes import get_sae, list_saes

    with open_database(settings) as database, database.read() as session:
        missing = [key for key in keys if get_sae(session, key) is None]
        names = [sae.name for sae in list_saes(session)]
    if missing:
        known = f"there are {', '.join(names)}" if names else "run `dipole demo` or `dipole train`"
        raise ValueError(f"no SAE is called {missing[0]}: {known}")
