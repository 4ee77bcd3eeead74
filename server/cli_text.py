"""What `--text` may name: a file, a data set of the hub, or `-`, the text on standard input.

Standard input is kept in the data directory under the hash of its bytes, so that a run can be taken
up again and the same text is the same corpus. Knows no torch and reads no document.
"""

import codecs
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from server.settings import Settings

FOLDER = "texts"
BLOCK = 1 << 20
FIRST = 1 << 16  # bytes in which JSONL is told from plain text


def text_source(
    settings: Settings, text: str, column: str | None = None, stdin: BinaryIO | None = None
) -> str:
    """The source as a run keeps it: an absolute path or `hf:…`, with `#COLUMN` where one is named.

    The run may be taken up later, by a process that was started elsewhere. Raises ValueError when
    there is no such file, or two columns are named.
    """
    if text == "-":
        text = str(_spool(settings.data_dir / FOLDER, sys.stdin.buffer if stdin is None else stdin))
    place, named = _split(text)
    if None not in (column, named) and column != named:
        raise ValueError(f"--text names the column {named}, --text-column {column}: name it once")
    column = named if column is None else column
    if not place.startswith("hf:"):
        path = file_of(place)
        if path is None:
            raise ValueError(f"no text file {place}: check --text")
        place = str(path)
    elif place.startswith("hf:."):
        place = f"hf:{Path(place.removeprefix('hf:')).resolve()}"
    return place if column is None else f"{place}#{column}"


def file_of(place: str) -> Path | None:
    """The file of this name, absolute; None also for what no file can be called."""
    try:
        path = Path(place).expanduser()
        return path.resolve() if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, no such user's home, a NUL
        return None


def _split(text: str) -> tuple[str, str | None]:
    place, mark, column = text.rpartition("#")
    if not mark or file_of(text) is not None:
        return text, None
    return place, column


def _spool(folder: Path, stdin: BinaryIO) -> Path:
    """Everything on standard input as a file named by its hash. Raises ValueError when it is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, first = hashlib.sha256(), b""
    handle, name = tempfile.mkstemp(prefix=".stdin-", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            while block := stdin.read(BLOCK):
                first = first or block[:FIRST]
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        if not first:
            raise ValueError("nothing came on standard input: pipe a text into --text -")
        kind = "jsonl" if _is_jsonl(first) else "txt"
        path = folder / f"{digest.hexdigest()[:16]}.{kind}"
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _is_jsonl(first: bytes) -> bool:
    """Whether the first line is a JSON object; one longer than what was read counts by its brace."""
    line, end, _ = first.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")
    if not line.startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return not end and len(first) == FIRST
    except (RecursionError, ValueError):  # JSON that Python does not read: its reader says why
        return True
