"""Responses that carry any string a text may hold: JSON in ASCII, CSV in UTF-8.

Knows no page. A corpus can hold a lone surrogate, which UTF-8 cannot; JSON escapes keep it exactly.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from fastapi.responses import JSONResponse, Response


class Json(JSONResponse):
    """JSON in ASCII: exact for every string, and an error instead of NaN."""

    def render(self, content: Any) -> bytes:
        """Encode; raises ValueError for NaN and infinities."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def csv_response(name: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A table to download; None becomes an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return Response(
        text.getvalue().encode("utf-8", "backslashreplace"),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}.csv"'},
    )
