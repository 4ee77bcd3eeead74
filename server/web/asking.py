"""From what a form or a script asks to a queued run: checked here, done by the worker.

Knows the kinds of run, the rules of their requests and where the demo's text is. Every problem is a
ValueError of one sentence, and nothing is entered then.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from server.cli_text import text_source
from server.protocol import IndexRequest, MapRequest, Message, TrainRequest
from server.protocol.axis import AxisRequest
from server.protocol.files import ImportRequest
from server.settings import Settings
from server.store.runs import create_run
from server.store.saes import get_sae
from server.store.session import Database, DatabaseBusy, StorageFull
from server.train_rules import check_training
from server.web.errors import sentence_of
from server.web.forms import Form

KINDS: dict[str, type[Message]] = {
    "train": TrainRequest,
    "import": ImportRequest,
    "index": IndexRequest,
    "map": MapRequest,
    "axis": AxisRequest,
}
DEMO = "demo"
LISTS = ("sae", "k", "seed", "sparsity_weight", "prefixes", "saes")
"""Fields that may hold several values, divided by commas."""
LINES = ("plus", "minus")
"""Fields that hold several texts, one per line."""
NEGATED = {"no_sample": "sample"}


def read_fields(form: Form) -> dict[str, Any]:
    """A form's fields as those of a request: still text, lists divided, ticked boxes true."""
    values: dict[str, Any] = {}
    for name, given in form.items():
        if name in NEGATED:
            values[NEGATED[name]] = False
        elif name in LISTS:
            parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
            several = list(dict.fromkeys(parts)) if name == "sae" else parts
            is_list = len(several) > 1 or name in ("prefixes", "saes")
            values[name] = several if is_list else several[0] if several else None
        elif name in LINES:
            values[name] = [line for line in given[-1].splitlines() if line.strip()]
        else:
            values[name] = given[-1]
    return {name: value for name, value in values.items() if value is not None}


def check_request(settings: Settings, kind: str, values: dict[str, Any]) -> Message:
    """The request of these values, with files and folders of this server made absolute."""
    try:
        request = KINDS[kind](**_placed(settings, values))
        if isinstance(request, TrainRequest):
            check_training(request)
    except ValidationError as error:
        raise ValueError(sentence_of(error.errors()).replace("_", " ")) from error
    except ValueError as error:
        raise ValueError(_without_flags(str(error))) from error
    return request


def enter_run(database: Database, kind: str, request: Message) -> int:
    """The id of a new queued run."""
    try:
        with database.write() as session:
            if isinstance(request, AxisRequest) and get_sae(session, request.name) is not None:
                raise ValueError(f"there is an SAE named {request.name!r} already: choose another")
            return create_run(session, kind, request.model_dump(mode="json"))
    except (StorageFull, DatabaseBusy) as error:
        raise ValueError(str(error)) from error


def _placed(settings: Settings, values: dict[str, Any]) -> dict[str, Any]:
    placed = dict(values)
    if isinstance(text := placed.get("text"), str):
        placed["text"] = _text_place(settings, text)
    if isinstance(model := placed.get("model"), str):
        placed["model"] = _folder(settings, model, "config.json", "language model")
    if isinstance(source := placed.get("source"), str):
        placed["source"] = _folder(settings, source, None, "SAE")
    return placed


def _text_place(settings: Settings, text: str) -> str:
    if text == DEMO:
        return str(_demo_text())
    if text == "-":
        raise ValueError("a page has no standard input: name a text file of the server, or hf:NAME")
    place = text_source(settings, text)
    local = place.removeprefix("hf:")
    if local.startswith("/"):
        _require_allowed(settings, local.rpartition("#")[0] or local)
    return place


def _demo_text() -> Path:
    """Where the demo's stories are; found without importing what would bring torch along."""
    spec = find_spec("models")
    if spec is None or spec.origin is None:
        raise ValueError("the demo's text is not installed: name a text file of the server")
    return Path(spec.origin).parent / "demo" / "stories.txt.gz"


def _folder(settings: Settings, place: str, holds: str | None, what: str) -> str:
    """A folder of this server as an absolute path; a name or a hub id as it is."""
    if not place.strip():  # which as a path would be where the server was started
        raise ValueError(f"the {what} is not named: give a folder of the server, or a hub id")
    try:
        folder = Path(place).expanduser()
        is_there = folder.is_dir() and (holds is None or (folder / holds).is_file())
    except (OSError, RuntimeError, ValueError):  # too long, no such user's home, a NUL
        folder, is_there = Path(), False
    if is_there:
        return _require_allowed(settings, str(folder))
    if place.startswith(("/", "~", ".")):
        raise ValueError(f"there is no {what} in the folder {place} of the server: check the path")
    return place


def _require_allowed(settings: Settings, place: str) -> str:
    """The path, resolved; raises ValueError where others come in and it lies outside of what is theirs."""
    path = Path(place).resolve()
    if not settings.may_be_named(path):
        raise ValueError(
            f"{place} lies outside of the data directory: put it there, or name its folder in"
            " DIPOLE_ROOTS when you start the server"
        )
    return str(path)


def _without_flags(sentence: str) -> str:
    """A sentence about flags of the command line, for a reader who has fields before them."""
    return re.sub(r"--([a-z][a-z-]*)", lambda flag: flag[1].replace("-", " "), sentence)
