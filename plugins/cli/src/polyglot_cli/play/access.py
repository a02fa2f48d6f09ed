"""Who may read the page: those who have its URL, from this machine, and no other web site.

A web site in the same browser can send requests to loopback, and a name of its own may resolve to loopback (DNS
rebinding). So each request needs the token in its path, a ``Host`` of this machine, and an ``Origin`` that is that of
the page, if it has one. There are no CORS headers, so that no other origin can read a response.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_NAMES = ("127.0.0.1", "localhost")
_OWN_SITES = (None, "same-origin", "none")  # values of Sec-Fetch-Site; "none" is the address bar
_FORBIDDEN = "Forbidden. Open the URL that `polyglot play` printed.\n"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """Passes requests with the token on to an application, without the token in their path; refuses all others.

    Args:
        app: The application.
        token: The token, the first segment of every path.
        port: The port on which the page is served.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._prefix = f"/{token}/".encode()
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if not self._permits(scope):
            await PlainTextResponse(_FORBIDDEN, status_code=403)(scope, receive, send_guarded)
            return
        path = scope["path"][len(self._prefix) - 1 :]
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send_guarded)

    def _permits(self, scope: Scope) -> bool:
        start = scope["path"].encode()[: len(self._prefix)]
        return hmac.compare_digest(start, self._prefix) and self._is_own_site(Headers(scope=scope))

    def _is_own_site(self, headers: Headers) -> bool:
        host, origins = headers.get("host"), headers.getlist("origin")
        return (
            len(headers.getlist("host")) == 1
            and host in self._hosts
            and all(origin == f"http://{host}" for origin in origins)
            and headers.get("sec-fetch-site") in _OWN_SITES
        )
