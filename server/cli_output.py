"""What the command line writes: lines and one JSON object on stdout, bars and complaints on stderr.

Knows no command. Nothing but `print_json` writes to stdout when --json was asked for.
"""

import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

if TYPE_CHECKING:  # the module itself imports the database, which --help can do without
    from server.worker.progress import Progress


def print_json(value: dict[str, Any]) -> None:
    """The one object that --json promises."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_line(text: str) -> None:
    """One line for a person to read."""
    print(text, flush=True)


def print_complaint(text: str) -> None:
    """One sentence on stderr."""
    print(f"dipole: {text}", file=sys.stderr, flush=True)


def sentence_of(error: Exception) -> str:
    """An error as one line: of pydantic's and SQLAlchemy's long ones, what the reader can use."""
    if isinstance(error, ValidationError):
        return "; ".join(
            ": ".join([*_place_of(problem["loc"]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors(include_url=False)
        )
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _place_of(place: tuple[int | str, ...]) -> list[str]:
    """Which field it is about; none for a rule about several."""
    return [".".join(map(str, place))] if place else []


def show_progress(
    steps: "Iterable[Progress]", title: str, quiet: bool = False
) -> dict[str, Any] | None:
    """Draw a bar on stderr while the steps pass; returns the last result among them."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    result = None
    with Bars(*columns, console=Console(stderr=True), disable=quiet) as bars:
        bar = bars.add_task(title, total=None, message="")
        for step in steps:
            bars.update(bar, completed=step.done, total=step.total, message=step.message)
            result = step.result if step.result is not None else result
    return result
