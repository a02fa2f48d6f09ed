"""Which transport serves a connection: an installed package's, or httpx."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from polyglot_core._http.httpx_options import Client, import_http, proxy_for, unreadable_certificates
from polyglot_core._values.entry_points import entry_points, is_allowed, load
from polyglot_core._values.importing import import_module
from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core._http.exchange import Closer
    from polyglot_core._values.connection import Route
    from polyglot_core._values.transports import TransportLayer, TransportPackage

__all__ = ["async_transport", "prepare", "sync_transport"]

TRANSPORTS = "polyglot.transports"
"""Entry-point group: name of a transport → a `TransportPackage`."""

_VARIABLE = "POLYGLOT_TRANSPORT"
_HTTPX = "httpx"


def prepare(route: Route, client: Client | None, kind: str, *modules: str) -> None:
    """Import what the first request by a route needs, so that no clock runs meanwhile."""
    while (over := _layer(route)) is not None:
        route = over[1]
    if client is None and _chosen(route) is not None:
        for module in modules:
            import_module(module)
    else:
        import_http(client, kind, *modules)


def sync_transport(origin: str, route: Route, client: Client | None) -> tuple[str, Any]:
    """Return the transport to an origin for threads, after its name."""
    if (over := _layer(route)) is not None:
        return over[0].name, over[0].wrap(origin, partial(sync_transport, origin, over[1], client))
    if client is None and (found := _chosen(route, origin)) is not None:
        name, package = found
        return name, _made(package.sync_transport, origin, route.ca)
    from polyglot_core._http.httpx_transport import HTTPXTransport  # noqa: PLC0415 (not where another one serves)

    return _HTTPX, HTTPXTransport(origin, route, client)


def async_transport(origin: str, route: Route, closer: Closer, client: Client | None) -> tuple[str, Any]:
    """Return the transport to an origin for the running event loop, after its name."""
    if (over := _layer(route)) is not None:
        return over[0].name, over[0].wrap_async(origin, partial(async_transport, origin, over[1], closer, client))
    if client is None and (found := _chosen(route, origin)) is not None:
        name, package = found
        if (transport := _made(package.async_transport, origin, route.ca)) is not None:
            return name, transport
    from polyglot_core._http.httpx_transport import AsyncHTTPXTransport  # noqa: PLC0415 (as above)

    return _HTTPX, AsyncHTTPXTransport(origin, route, closer, client)


def _layer(route: Route) -> tuple[TransportLayer, Route] | None:
    """Return the layer of a route, and the route of the transport beneath; None without a layer."""
    layer = route.transport
    return None if layer is None or isinstance(layer, str) else (layer, route._replace(transport=layer.under))


def _made(make: Callable[[str, str | None], Any], origin: str, ca: str | None) -> Any:  # noqa: ANN401 (either kind)
    try:
        return make(origin, ca)
    except OSError as error:
        raise unreadable_certificates(ca, error) from error


def _chosen(route: Route, origin: str | None = None) -> tuple[str, TransportPackage] | None:
    """Return the name and the package that serve a route; None for httpx, which also serves every proxy.

    Raises:
        ConfigError: The transport that the connection or the variable names is not installed.
        PluginError: It cannot be imported. One that nothing names is logged then, and httpx serves.
    """
    found = {name: list(filter(is_allowed, entries)) for name, entries in entry_points(TRANSPORTS).items()}
    installed = {name: entries[0] for name, entries in found.items() if len(entries) == 1}
    named = str(route.transport or os.environ.get(_VARIABLE) or "")
    name = named or (next(iter(installed)) if len(installed) == 1 else _HTTPX)
    if name == _HTTPX or route.proxy or (origin is not None and proxy_for(origin)):
        return None
    if name not in installed:
        where = "The connection names" if route.transport else f"{_VARIABLE} names"
        known = ", ".join([_HTTPX, *sorted(installed)])
        msg = f"{where} the transport {name!r}, which is not installed; installed are: {known}."
        raise ConfigError(msg, phase="configure")
    package = load(installed[name], "transport", needed=bool(named))
    return None if package is None else (name, package)
