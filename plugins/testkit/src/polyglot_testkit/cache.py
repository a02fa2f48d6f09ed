"""A cache of complete responses: a layer over the transport, keyed by the encoded request."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.errors import ConfigError
from polyglot_testkit.capture import AsyncBeneath, AsyncCapturedReply, Beneath, Capture, CapturedReply, off_loop
from polyglot_testkit.exchanges import Exchange, RecordingError, dump, load
from polyglot_testkit.recorder import InferenceT, layered, without_keys
from polyglot_testkit.redaction import Redactor, names_key, secrets_in
from polyglot_testkit.replies import open_replayed, open_replayed_async
from polyglot_testkit.stores import FolderStore, SQLiteStore

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from polyglot_core import Connection
    from polyglot_core.plugin import AsyncReply, AsyncTransport, HTTPRequest, Opening, Reply, Secret, SyncTransport
    from polyglot_testkit.stores import Store

__all__ = ["cached"]

_log = logging.getLogger("polyglot_testkit")

MAX_BYTES = 256 * 1024 * 1024
"""Bytes of all entries, unless another number is given."""

_OF_TRANSPORTS = (
    "accept-encoding", "connection", "content-length", "host", "user-agent", "baggage", "date", "traceparent",
    "tracestate", "*-date", "*idempotency*", "*request-id", "*retry-count", "*trace-id",
)  # fmt: skip
"""Request headers that differ between equal requests: of the client, of a trace, and ids of a request."""

_SQLITE = frozenset({".db", ".sqlite", ".sqlite3"})


def cached(
    inference: InferenceT,
    path: str | os.PathLike[str],
    *,
    max_bytes: int = MAX_BYTES,
    max_age: float | None = None,
) -> InferenceT:
    """Return an inference like another one, which takes the response to a request that was sent before from a cache.

    A response is kept once it is complete. What was truncated, cancelled or failed is not. The key of an entry is the
    encoded request: method, URL, headers and body, without credentials. A response from the cache has the `transport`
    ``cache``; it is decoded as ever, and streams.

    Args:
        inference: The inference. Its connections, transports, client and observers stay.
        path: A folder; or an SQLite file, if the name ends with ``.sqlite``, ``.sqlite3`` or ``.db``.
        max_bytes: Size of all entries together. Those used least recently are dropped.
        max_age: Seconds for which a response is used; None for no limit.

    Raises:
        ConfigError: A number is wrong, or the file is not a cache.
        OSError: The folder or the file cannot be created.
    """
    _check("max_bytes", max_bytes, int, "a whole number above 0")
    if max_age is not None:
        _check("max_age", max_age, (int, float), "seconds above 0, or None")
    where = Path(path).absolute()  # the working directory may change
    kind = SQLiteStore if where.suffix.lower() in _SQLITE and not where.is_dir() else FolderStore
    store = kind(where, max_bytes, max_age)
    return layered(inference, lambda connection: _CacheLayer(store, connection, where))


def _check(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:  # noqa: ANN401 (from a caller)
    positive = value > 0 if isinstance(value, (int, float)) and not isinstance(value, bool) else False
    if not positive or not isinstance(value, kind):
        raise ConfigError(f"{name} is {value!r}, and should be {expected}.", phase="configure")


class _CacheLayer:
    """The layer over the transport of one connection."""

    name = "cache"

    def __init__(self, store: Store, connection: Connection, where: Path) -> None:
        self.under = connection.transport
        self._store = store
        self._where = where
        self._secrets: tuple[Secret, ...] = () if connection.secret is None else (connection.secret,)
        self._facts = {"name": connection.name, "driver": connection.driver}

    def look(self, request: HTTPRequest) -> tuple[Redactor, str, Exchange | None]:
        """Return what removes the keys of a request, its key in the cache, and the exchange found there."""
        redactor = Redactor([*self._secrets, *secrets_in(request)])
        key = key_of(request, redactor)
        return redactor, key, self._find(key)

    def _find(self, key: str) -> Exchange | None:
        """Return the exchange of a key. An entry that cannot be read is logged, and is none."""
        try:
            entry = self._store.get(key)
            if entry is None:
                return None
            found = load(entry, f"entry {key} of {self._where}")
            if len(found) == 1 and found[0].end == "complete" and found[0].status is not None:
                return found[0]
            what = "it has no complete response"
        except (RecordingError, OSError, sqlite3.Error) as error:
            what = str(error)
        _log.warning("An entry of the cache %s cannot be used, and is dropped: %s", self._where, what)
        try:
            self._store.drop(key)
        except (OSError, sqlite3.Error) as error:
            _log.warning("It could not be dropped: %s", error)
        return None

    def keep(self, key: str, redactor: Redactor, capture: Capture) -> None:
        """Keep the exchange of a key if its response is complete and quotes no key of the request. Log a failure."""
        if capture.end != "complete" or capture.status is None or not 200 <= capture.status < 300:
            return
        received = capture.exchange()
        exchange = without_keys(received, redactor)
        quotes_key = exchange.reads != received.reads  # what is removed would be missing in a hit
        del received  # which has the keys, and a traceback could show it
        if quotes_key or exchange.end != "complete":
            return
        try:
            self._store.put(key, dump([replace(exchange, connection=self._facts)]))
        except (OSError, sqlite3.Error) as error:
            _log.warning("A response could not be kept in the cache %s: %s", self._where, error)

    def wrap(self, _: str, below: Callable[[], tuple[str, SyncTransport]], /) -> _Caching:
        """Return a transport that looks into the cache, for threads."""
        return _Caching(self, below)

    def wrap_async(self, _: str, below: Callable[[], tuple[str, AsyncTransport]], /) -> _AsyncCaching:
        """Return a transport that looks into the cache, for an event loop."""
        return _AsyncCaching(self, below)

    def __repr__(self) -> str:
        return f"<cache in {str(self._where)!r}>"


def key_of(request: HTTPRequest, redactor: Redactor) -> str:
    """Return the key of an encoded request, in hexadecimal."""
    headers = sorted(
        (name, redactor.text(value))
        for name, value in request.headers.items()
        if not names_key(name) and not any(fnmatchcase(name, pattern) for pattern in _OF_TRANSPORTS)
    )
    digest = hashlib.sha256()
    for part in (request.method, redactor.text(request.url), *(f"{name}: {value}" for name, value in headers)):
        digest.update(part.encode() + b"\n")
    body = redactor.body(request.body)
    digest.update(b"\n" + body)
    if body != request.body:  # what was removed may be a word of a prompt, and two prompts differ in it
        digest.update(hashlib.sha256(request.body).digest())
    return digest.hexdigest()


class _Caching(Beneath):
    """A transport that looks into the cache, for threads."""

    def __init__(self, layer: _CacheLayer, below: Callable[[], tuple[str, SyncTransport]]) -> None:
        super().__init__(below)
        self._layer = layer

    def open(self, request: HTTPRequest, opening: Opening, /) -> Reply:
        """Return the response from the cache, or send the request by the transport beneath."""
        layer = self._layer
        redactor, key, found = layer.look(request)
        if found is not None:
            return open_replayed(found, layer.name, opening)
        name, transport = self.beneath
        capture = Capture(request)
        reply = transport.open(request, opening)
        capture.respond(reply, name)
        return CapturedReply(reply, capture, lambda taken: layer.keep(key, redactor, taken))


class _AsyncCaching(AsyncBeneath):
    """A transport that looks into the cache, for one event loop."""

    def __init__(self, layer: _CacheLayer, below: Callable[[], tuple[str, AsyncTransport]]) -> None:
        super().__init__(below)
        self._layer = layer

    async def open(self, request: HTTPRequest, opening: Opening, /) -> AsyncReply:
        """Return the response from the cache, or send the request by the transport beneath."""
        layer = self._layer
        redactor, key, found = await off_loop(layer.look, request)
        if found is not None:
            return await open_replayed_async(found, layer.name, opening)
        name, transport = self.beneath
        capture = Capture(request)
        reply = await transport.open(request, opening)
        capture.respond(reply, name)
        return AsyncCapturedReply(reply, capture, lambda taken: layer.keep(key, redactor, taken))
