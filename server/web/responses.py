"""Responses that carry any string a text may hold: JSON in ASCII, CSV in UTF-8.

Knows no page. A corpus can hold a lone surrogate, which UTF-8 cannot; JSON escapes keep it exactly.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

from fastapi.responses import JSONResponse, Response

PLAIN = frozenset(f"{ascii_letters}{digits} -_.()[]+")
"""What stands in every header and every file name as it is."""
AT_ONCE = 4_096
"""Entries of a column in one piece."""


class Json(JSONResponse):
    """JSON in ASCII: exact for every string, and an error instead of NaN."""

    def render(self, content: Any) -> bytes:
        """Encode; raises ValueError for NaN and infinities."""
        return _dump(content).encode("ascii")


def column_pieces(head: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """`head` and then `columns` as one JSON object, in pieces that need little memory.

    Floats are cut to six significant digits. Raises ValueError for NaN and infinities.
    """
    yield _dump(head)[:-1] + ',"columns":'
    for place, (name, values) in enumerate(columns.items()):
        yield f"{',' if place else '{'}{_dump(name)}:"
        for begin in range(0, len(values), AT_ONCE):
            yield f"{',' if begin else '['}{_listed(values[begin : begin + AT_ONCE])}"
        yield "]" if values else "[]"
    yield "}}" if columns else "{}}"


def _listed(values: Sequence[Any]) -> str:
    """Entries by commas."""
    if not all(value is None or isinstance(value, float) for value in values):
        return _dump(values)[1:-1]
    text = ",".join(["null" if value is None else f"{value:.6g}" for value in values])
    if "nan" in text or "inf" in text:
        raise ValueError("NaN and infinities are no JSON")
    return text


def _dump(content: Any) -> str:
    return json.dumps(content, allow_nan=False, separators=(",", ":"))


def csv_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table to download; None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return Response(
        text.getvalue().encode("utf-8", "backslashreplace"),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": attachment(f"{name}.csv")},
    )


def attachment(name: str) -> str:
    """A header's value that names a file in any script (RFC 6266); headers themselves are Latin-1."""
    plain = "".join(letter if letter in PLAIN else "_" for letter in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
