"""Who may ask, from where, and what a page may load: checked before any route runs.

Knows hosts, origins, the token and headers; no page and no data. Refuses a Host that is not ours
(DNS rebinding), a write that another site sent (CSRF), and any request without the token if one
is set.
"""

import hmac
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.settings import Settings
from server.web.errors import error_response
from server.web.policies import HEADERS, POLICY

COOKIE = "dipole_token"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"0.0.0.0", "::"})
OPEN_PATHS = ("/healthz", "/static/", "/vendor/")
MONTH = 30 * 24 * 3600
MAX_BODY_BYTES = 256 * 1024


class Refusal(NamedTuple):
    """Why a request goes no further."""

    status: int
    detail: str


class Guard:
    """ASGI middleware: refuses what must not pass, and puts the headers on what does."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._token = settings.token
        self._is_open_host = settings.host in WILDCARDS
        self._hosts = LOOPBACK | {settings.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("content-security-policy", POLICY)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._answer(request)
        await (answer or self._app)(scope, limit_body(receive), send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        refusal = self._refuse_host(request) or refuse_origin(request)
        if refusal is None and self._token is not None:
            # A page may have a parameter of this name: only our token itself is a login.
            given = request.query_params.get("token") if request.method == "GET" else None
            if given is not None and self._refuse_token(given) is None:
                return self._remember(request)
            if not request.url.path.startswith(OPEN_PATHS):
                refusal = self._refuse_token(_given_token(request), request.cookies.get(COOKIE))
        return None if refusal is None else error_response(request, *refusal)

    def _refuse_host(self, request: Request) -> Refusal | None:
        host = host_name(request.headers.get("host", ""))
        # An address open to all needs a token (Settings), which a rebound page does not have.
        if host in self._hosts or (self._is_open_host and host):
            return None
        return Refusal(400, f"This server does not answer to the host name {host or '(none)'}.")

    def _refuse_token(self, token: str | None, cookie: str | None = None) -> Refusal | None:
        expected = self._token or ""
        if token is not None and hmac.compare_digest(token.encode(), expected.encode()):
            return None
        if cookie is not None and hmac.compare_digest(
            cookie.encode(), _cookie_of(expected).encode()
        ):
            return None
        return Refusal(
            401, "This server asks for its token: open the address that `dipole serve` printed."
        )

    def _remember(self, request: Request) -> Response:
        rest = [
            (name, value) for name, value in request.query_params.multi_items() if name != "token"
        ]
        target = f"/{request.url.path.lstrip('/')}" + (f"?{urlencode(rest)}" if rest else "")
        response = RedirectResponse(target, status_code=303)
        response.set_cookie(
            COOKIE,
            _cookie_of(self._token or ""),
            max_age=MONTH,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


def refuse_origin(request: Request) -> Refusal | None:
    """Refuse a write that a page of another site sent; scripts send neither header and pass."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return None
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return Refusal(403, "This request came from another site.")
    if (
        origin is not None
        and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    ):
        return Refusal(403, "This request came from another site.")
    return None


def limit_body(receive: Receive) -> Receive:
    """A `receive` that gives up, with 413, once too much has come; a stated length is not trusted."""
    total = 0

    async def receive_some() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY_BYTES:
            raise HTTPException(
                413, f"The request is too large: at most {MAX_BODY_BYTES // 1024} KiB are read."
            )
        return message

    return receive_some


def host_name(header: str) -> str:
    """The name in a Host header, without its port and without the brackets of IPv6."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _given_token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _cookie_of(token: str) -> str:
    """What the cookie holds: proof of the token, not the token."""
    return hmac.new(token.encode(), b"dipole cookie", sha256).hexdigest()
