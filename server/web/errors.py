"""What a reader sees when something is wrong: one sentence, as a page or as JSON.

Knows status codes and who is asking; nothing of what failed beyond its sentence. A path that ends
in .json or .csv, or lies under /api, is answered with {"detail": ...}; any other with a page.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from server.leaving import CLOSED, ReaderLeft
from server.web.contexts import ErrorPage, Link
from server.web.policies import HEADERS, POLICY
from server.web.render import Renderer
from server.web.responses import Json
from server.web.worker_client import WorkerRefused, WorkerUnavailable

TITLES = {
    400: "That cannot be read",
    401: "A token is needed",
    403: "Not from here",
    404: "Nothing here",
    405: "Not that way",
    413: "Too large",
    422: "That cannot be read",
    429: "Too many at once",
    500: "Something broke",
    503: "Not ready yet",
    504: "Taking too long",
}
_WHOLE = "it should be a whole number, not {input}"
_NUMBER = "it should be a number, not {input}"
WANTED = {
    "missing": "it is missing",
    "extra_forbidden": "there is no such field",
    "int_parsing": _WHOLE,
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "it should be a smaller number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": "it should be a finite number",
    "bool_parsing": "it should be 1 or 0, not {input}",
    "greater_than_equal": "it should be at least {ge}",
    "greater_than": "it should be more than {gt}",
    "less_than_equal": "it should be at most {le}",
    "less_than": "it should be less than {lt}",
    "string_too_long": "it should have at most {max_length} characters",
}
"""What a field should be, by what pydantic calls the fault; of others its own words are given."""
LONGEST_INPUT = 60
NOT_FOUND = "There is no page at this address. The library lists what there is."
BROKEN = "This is a fault of the server. Its log says what happened."

logger = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Make every failure of a route a sentence."""

    async def http(request: Request, error: HTTPException) -> Response:
        detail = NOT_FOUND if error.detail == "Not Found" else str(error.detail)
        return error_response(request, error.status_code, detail, error.headers)

    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return error_response(request, 422, sentence_of(error.errors()))

    async def unavailable(request: Request, error: WorkerUnavailable) -> Response:
        return error_response(
            request, error.status, error.detail, {"retry-after": str(error.retry_after)}
        )

    async def refused(request: Request, error: WorkerRefused) -> Response:
        return error_response(request, error.status, error.detail)

    async def left(request: Request, error: ReaderLeft) -> Response:
        return Response(status_code=CLOSED)

    async def broken(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        # Starlette answers this outside all middleware, so the headers are put on here.
        return error_response(request, 500, BROKEN, {"content-security-policy": POLICY, **HEADERS})

    handlers: dict[type[Exception], Any] = {
        HTTPException: http,
        RequestValidationError: invalid,
        WorkerUnavailable: unavailable,
        WorkerRefused: refused,
        ReaderLeft: left,
        Exception: broken,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def error_response(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """One sentence in the form the asker reads."""
    if wants_json(request):
        return Json({"detail": detail}, status, headers=dict(headers or {}))
    renderer: Renderer = request.app.state.renderer
    query = f"?{request.url.query}" if request.url.query else ""
    retry = f"{request.url.path}{query}" if status in (429, 503, 504) else ""
    is_run = status == 404 and request.url.path.startswith("/run/")
    context = ErrorPage(
        status=status,
        title=TITLES.get(status, "Not possible"),
        detail=detail,
        retry=retry,
        more=Link("Runs", "/runs") if is_run else None,
    )
    response = renderer.page(request, "error.html", context, status=status)
    response.headers.update(headers or {})
    return response


def wants_json(request: Request) -> bool:
    """Whether the asker is a script, going by the address."""
    path = request.url.path
    return path.endswith((".json", ".csv")) or path.startswith("/api/") or path == "/healthz"


def sentence_of(errors: Sequence[Any]) -> str:
    """The first thing wrong with a request, in plain words: `limit: it should be at most 200.`"""
    first = errors[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("query", "body", "path"))
    if first["type"] in WANTED:
        given = f"“{str(first.get('input'))[:LONGEST_INPUT]}”"
        what = WANTED[first["type"]].format_map({**first.get("ctx", {}), "input": given})
    else:
        what = first["msg"].removeprefix("Value error, ").rstrip(".")
        what = what.replace("Input should", "it should", 1)
    if first["type"] == "json_invalid":
        where, what = "", "the body is not valid JSON"
    return f"{where}: {what}." if where else f"{what[:1].upper()}{what[1:]}."
