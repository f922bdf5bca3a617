"""Who may send a request: the guard in front of every route.

Without a token the server listens on the loopback alone. A page of another site can still send
requests there, so the header `Host` must name this machine (a foreign name that resolves to it is
DNS rebinding), and a browser's request from another site is refused. With a token, every request
carries it: as `Authorization: Bearer TOKEN`, or in a cookie that the login form sets, which other
sites' requests do not carry.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 16_000_000
LONGEST_FORM = 10_000
"""Bytes of the login form."""

LEAST_TOKEN = 16
"""Characters of a token, at least."""

COOKIE = "imf_serve"
LOGIN = "/login"
PAGE = Path(__file__).with_name("page")

OPEN_FILES = frozenset({"/static/serve.css", "/static/report.css", "/favicon.ico"})
"""Paths that the login form needs."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of every answer."""


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine that no other one reaches."""


@dataclass(frozen=True)
class Access:
    """The rules of the guard.

    Attributes:
        hosts: Names of this machine that `Host` may have, without a port, in lower case.
        token: Token of every request, under any name of the server; None where only this machine
            reaches it.
    """

    hosts: frozenset[str] = LOOPBACK
    token: str | None = None

    def knows(self, host: str) -> bool:
        """Returns whether a header `Host` may name this machine."""
        if self.token is not None:  # another site that resolves here has no cookie of this one
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return "@" not in host and name in self.hosts

    def accepts(self, token: str) -> bool:
        """Compares a token in constant time."""
        return self.token is not None and hmac.compare_digest(token.encode(), self.token.encode())

    def accepts_cookie(self, value: str) -> bool:
        """Compares the cookie in constant time."""
        return hmac.compare_digest(value.encode(), self.cookie.encode())

    @property
    def cookie(self) -> str:
        """Value of the cookie: derived from the token, which it does not give away."""
        return hmac.new(
            (self.token or "").encode(), b"imf serve cookie", hashlib.sha256
        ).hexdigest()


def refusal(status: int, error: str, remedy: str) -> JSONResponse:
    """Returns an error as the API gives it."""
    return JSONResponse({"error": error, "remedy": remedy}, status, headers=HEADERS)


TOO_LONG = refusal(
    413,
    f"the body has more than {MAX_BODY_BYTES:,} bytes",
    "send fewer facts or a smaller picture",
)


class Guard:
    """Lets requests through that `Access` allows, with bounded bodies, and adds headers.

    Args:
        app: The application behind it.
        access: The rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _read_headers(scope["headers"])
        answer = self._check(scope, headers) or await self._check_token(scope, headers, receive)
        body = None
        if answer is None and scope["method"] not in SAFE_METHODS:
            body = await _read_body(headers, receive, MAX_BODY_BYTES)
            answer = TOO_LONG if body is None else None
        if answer is not None:
            await answer(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(key.lower().encode(), value.encode()) for key, value in HEADERS.items()]
                names = {key for key, _ in added}
                kept = [pair for pair in message["headers"] if pair[0] not in names]
                message = {**message, "headers": [*kept, *added]}
            await send(message)

        await self._app(scope, receive if body is None else _Replay(body, receive), send_safely)

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """Refuses foreign names of this machine and requests of other sites."""
        host = headers.get("host", "")
        if not self._access.knows(host):
            return refusal(
                400,
                f"the server has no name {host[:200]!r}",
                "open it under the address that it printed",
            )
        if _is_foreign(scope, headers, host):
            return refusal(
                403, "another site sent this request", "send it from the server's own page"
            )
        return None

    async def _check_token(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive
    ) -> Response | None:
        """Refuses requests without the token, and turns a token into a cookie."""
        path, is_safe = scope["path"], scope["method"] in SAFE_METHODS
        if self._access.token is None:
            return None
        if path == LOGIN and not is_safe:
            body = await _read_body(headers, receive, LONGEST_FORM) or b""
            fields = parse_qs(body.decode("utf-8", "replace"))
            is_right = self._access.accepts(fields.get("token", [""])[0])
            return self._let_in(_find_page(headers)) if is_right else _login()
        if self._has_token(headers):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if is_safe and self._access.accepts(dict(query).get("token", "")):
            rest = urlencode([(key, value) for key, value in query if key != "token"])
            raw = scope.get("raw_path", path.encode()).decode("latin-1")
            return self._let_in(f"/{raw.lstrip('/')}" + (f"?{rest}" if rest else ""))
        if not is_safe or path.startswith("/api"):
            return refusal(
                401, "the token is missing or wrong", "send the header Authorization: Bearer TOKEN"
            )
        return None if path in OPEN_FILES else _login()

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        has_token = scheme.lower() == "bearer" and self._access.accepts(given.strip())
        return has_token or self._access.accepts_cookie(_read_cookie(headers))

    def _let_in(self, target: str) -> Response:
        answer = RedirectResponse(target, 303, headers=HEADERS)
        answer.set_cookie(COOKIE, self._access.cookie, httponly=True, samesite="lax", path="/")
        return answer


class _Replay:
    """Gives a body that was read already, then what the client sends next."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _read_body(headers: Mapping[str, str], receive: Receive, longest: int) -> bytes | None:
    """Reads a body; None if it is longer than `longest` bytes."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > longest:
        return None
    parts, size = [], 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > longest:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _is_foreign(scope: Scope, headers: Mapping[str, str], host: str) -> bool:
    """Returns whether a browser sent the request for another site's page."""
    origin = headers.get("origin")
    is_safe = scope["method"] in SAFE_METHODS
    if origin is not None and not (is_safe and origin == "null"):
        return origin not in {f"http://{host}", f"https://{host}"}
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return not (is_safe and headers.get("sec-fetch-mode") == "navigate")
    return False


def _login() -> Response:
    return HTMLResponse((PAGE / "login.html").read_text(encoding="utf-8"), 401, headers=HEADERS)


def _read_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Returns headers by name in lower case; a repeated header fails every rule."""
    found: dict[str, str] = {}
    for key, value in pairs:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _read_cookie(headers: Mapping[str, str]) -> str:
    return cookie_parser(headers.get("cookie", "").replace(", ", "; ")).get(COOKIE, "")


def _find_page(headers: Mapping[str, str]) -> str:
    """Returns the path of the page that showed the login form."""
    page = urlsplit(headers.get("referer", ""))
    path = f"/{page.path.lstrip('/')}"
    return "/" if path == LOGIN else path + (f"?{page.query}" if page.query else "")
