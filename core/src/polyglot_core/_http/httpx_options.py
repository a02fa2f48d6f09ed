"""The HTTP client: which library, and its options."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from polyglot_core._values.addresses import is_this_machine, proxy_problem
from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.importing import import_module
from polyglot_core._values.secret import Secret
from polyglot_core.errors import ConfigError, PolyglotError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import ModuleType

    import httpx

    from polyglot_core._values.connection import Route
    from polyglot_core._values.transports import HTTPRequest

__all__ = [
    "KEEPALIVE_SECONDS",
    "PACKAGES",
    "Client",
    "build_request",
    "http_of",
    "import_http",
    "proxy_for",
    "transport_options",
    "unreadable_certificates",
]

PACKAGES = frozenset({"httpx", "httpcore", "httpx2", "httpcore2"})
"""The packages that a client consists of."""

_MODULE_VARIABLE = "POLYGLOT_HTTP"

_LIBRARIES = ("httpx", "httpx2")  # the first unless the variable says otherwise

_KEEPALIVE_CONNECTIONS = 100

KEEPALIVE_SECONDS = 15.0
"""Seconds for which an idle connection is kept."""

Client = Any
"""An httpx or httpx2 client passed in by the user; a precise type would import one of them."""


def _http() -> ModuleType:
    """Import the HTTP library, on first use: it is most of the import time."""
    name = os.environ.get(_MODULE_VARIABLE) or _LIBRARIES[0]
    if name not in _LIBRARIES:
        msg = f"{_MODULE_VARIABLE} names the HTTP library {name!r}; known are {' and '.join(_LIBRARIES)}."
        raise ConfigError(msg, phase="configure")
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"The HTTP library {name!r}, named by {_MODULE_VARIABLE}, cannot be imported: {error}."
        raise ConfigError(msg, phase="configure") from error


def _socket_options() -> list[tuple[int, int, int]]:
    """Return options for TCP keep-alive, by which a peer that vanished is detected: after 60 s, every 60 s, 5 times."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    wanted = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))
    return options + [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted if hasattr(socket, name)
    ]


_tls_contexts: dict[tuple[ModuleType, str | None], object] = {}


def transport_options(http: ModuleType, origin: str, route: Route) -> dict[str, Any]:
    proxy = route.proxy or proxy_for(origin)
    options: dict[str, Any] = {
        "limits": http.Limits(
            max_connections=None,
            max_keepalive_connections=_KEEPALIVE_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
        ),
        "socket_options": _socket_options(),
        # Reading the certificates takes longer than everything else here, so it is done only for TLS.
        "verify": _trust(http, route.ca) if proxy or origin.startswith("https:") else False,
    }
    return {**options, "proxy": proxy.reveal()} if proxy else options


def _trust(http: ModuleType, ca: str | None) -> object:
    """Return the certificates to trust: those in `ca`, a file in PEM, or the HTTP library's default."""
    if (http, ca) not in _tls_contexts:
        try:
            context = (
                http.create_ssl_context() if ca is None else import_module("ssl").create_default_context(cafile=ca)
            )
        except OSError as error:
            raise unreadable_certificates(ca, error) from error
        _tls_contexts[http, ca] = context
    return _tls_contexts[http, ca]


def unreadable_certificates(ca: str | None, error: OSError) -> PolyglotError:
    """Return the error for trusted certificates that cannot be read; `ca` is the file that a connection names."""
    return no_descriptor(error) or ConfigError(f"The certificates in {ca} cannot be read: {error}.", phase="configure")


def proxy_for(origin: str) -> Secret | None:
    """Return the proxy that the environment sets for this origin (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY).

    Raises:
        ConfigError: The value is not the URL of a proxy.
    """
    environment = import_module("urllib.request")  # later, because it brings http.client and ssl
    parts = urlsplit(origin)
    if is_this_machine(parts.hostname or ""):  # never through a proxy
        return None
    proxy = _named_proxy(environment.getproxies(), parts.scheme)
    if not proxy or environment.proxy_bypass(parts.hostname or ""):
        return None
    if problem := proxy_problem(proxy):
        raise ConfigError(f"The proxy that the environment sets {problem}.", phase="configure")
    return proxy


def _named_proxy(proxies: Mapping[str, str], scheme: str) -> Secret | None:
    named = proxies.get(scheme) or proxies.get("all")
    return Secret(named if "://" in named else f"http://{named}") if named else None


def http_of(client: Client | None) -> ModuleType:
    """Return the library that a user's client belongs to, or the default one."""
    return _http() if client is None else import_module(type(client).__module__.partition(".")[0])


_imported: set[tuple[str, str, bool]] = set()
_LATE_MODULES = ("encodings.idna", "urllib.request")  # imported by the first connection


def import_http(client: Client | None, transport: str, *modules: str) -> None:
    """Import the HTTP library with everything that its first request would import, and `modules`.

    The library imports some of its modules when its first transport is created, so one is created, by its class name.

    Raises:
        ConfigError: The library cannot be imported.
    """
    http = http_of(client)
    needed = (http.__name__, transport, client is None)
    if needed not in _imported:
        for name in (*_LATE_MODULES, *modules):
            import_module(name)
        if client is None:
            getattr(http, transport)(verify=False)
        _imported.add(needed)


def build_request(
    http: ModuleType,
    sent: HTTPRequest,
    timeout: dict[str, float | None],
    trace: Callable[[str, Mapping[str, Any]], Awaitable[None] | None],
) -> httpx.Request:
    """Return the client's request. Only the client may hold it."""
    extensions = {"timeout": timeout, "trace": trace}
    request: httpx.Request = http.Request(
        sent.method, sent.url, headers=sent.headers, content=sent.body, extensions=extensions
    )
    return request
