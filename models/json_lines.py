"""JSON lines as documents: of every line, the text of one column.

Knows no files: the lines come in, with the name of where they stand.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

NAMES = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def read_json_lines(lines: Iterable[str], path: Path, column: str) -> Iterator[str]:
    """The text of each line; lines that are empty, or whose text is empty or null, are left out.

    Raises ValueError, naming the line and what is wrong with it, on all others without a text.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        text = _read_text(line, f"{path} line {number}", column)
        if text.strip():
            yield text


def _read_text(line: str, place: str, column: str) -> str:
    row = _parse(line, place)
    if not isinstance(row, dict) or column not in row:
        raise ValueError(
            f'{place} is not an object with a "{column}": mend or drop that line, '
            "or name the text's column with --text-column"
        )
    text = row[column]
    if text is not None and not isinstance(text, str):
        raise ValueError(
            f'{place} has {NAMES[type(text)]} as its "{column}", not text: mend or drop that line, '
            "or name the text's column with --text-column"
        )
    return text or ""


def _parse(line: str, place: str) -> object:
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ValueError(f"{place} is nested too deeply to be read: drop that line") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{place} is not JSON ({error.msg} at character {error.pos + 1}): mend or drop that line"
        ) from error
    except ValueError as error:  # Python reads whole numbers of some thousand digits at most
        raise ValueError(
            f"{place} has a number of too many digits to be read: write it as a string, or drop it"
        ) from error
