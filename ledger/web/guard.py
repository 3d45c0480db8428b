"""The guard before every answer of the page, errors included.

1. Only GET and HEAD: nothing here can be changed.
2. `Host` is this server with its port, else 421: a name that an attacker points at the loopback
   is refused before anything is read.
3. What another site asks for is refused, unless a person goes to the page.
4. Without the token 401. It is taken once from the URL, then kept in a cookie of this port that
   scripts cannot read.
5. Every answer forbids scripts, styles and requests of elsewhere, and is never stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that says why nothing else is answered."""

    status: int
    code: str
    error: str


class Guard:
    """An application behind the guard.

    Attributes:
        port: The port that it is reached at; the cookie is named after it, as cookies of one host
            are shared by all its ports.
    """

    def __init__(self, app: App, *, token: str, port: int, hosts: Iterable[str] = ()) -> None:
        """Stand before `app`.

        Args:
            app: What answers a request that may pass.
            token: The secret; whoever has it may read everything.
            port: As above.
            hosts: Further names by which this server may be called, without the port.
        """
        self._app = app
        self._token = token.encode()
        self.port = port
        self._cookie = f"metaledger-{port}"
        self._hosts = {f"{host}:{port}" for host in (*LOOPBACK, *hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_our_headers(message.get("headers", ()))
            await send(message)

        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, guarded, refusal)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), None)
        if given is not None and self._is_token(given):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            await self._let_in(guarded, scope["path"], rest)
        elif self._is_token(self._kept(headers)):
            await self._app(scope, receive, guarded)
        else:
            error = "this page needs its token: open the address that 'metaledger web' printed"
            await _refuse(scope, guarded, Refusal(status=401, code="token-needed", error=error))

    def _refusal(self, scope: Scope, headers: dict[str, bytes]) -> Refusal | None:
        if scope["method"] not in {"GET", "HEAD"}:
            error = f"{scope['method']}: expected GET or HEAD, this page only reads"
            return Refusal(status=405, code="read-only", error=error)
        host = headers.get("host", b"").decode("latin-1")
        if host not in self._hosts:
            error = f"host: expected this computer with port {self.port}, got another name"
            return Refusal(status=421, code="wrong-host", error=error)
        navigates = headers.get("sec-fetch-mode", b"") == b"navigate"
        if headers.get("sec-fetch-site", b"") == b"cross-site" and not navigates:
            error = "another site asked for this; open the page itself"
            return Refusal(status=403, code="cross-site", error=error)
        return None

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token)

    def _kept(self, headers: dict[str, bytes]) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", b"").decode("latin-1"))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""

    async def _let_in(self, send: Send, path: str, query: str) -> None:
        """Keep the token in a cookie, and go to the same place without it."""
        # Two slashes at the front would lead to another host.
        place = "/" + quote(path.lstrip("/")) + (f"?{query}" if query else "")
        token = self._token.decode()
        cookie = f"{self._cookie}={token}; Path=/; HttpOnly; SameSite=Strict"
        headers = [(b"location", place.encode()), (b"set-cookie", cookie.encode())]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    body = msgspec.json.encode({"error": refusal.error, "code": refusal.code})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if refusal.status == 405:  # noqa: PLR2004 (method not allowed)
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _with_our_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    ours = {name.encode(): value.encode() for name, value in HEADERS.items()}
    return [*((name, value) for name, value in headers if name not in ours), *ours.items()]
