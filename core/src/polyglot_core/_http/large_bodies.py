"""Large bodies of requests: a server may refuse one before it has read it all.

Such a server responds and then reads no more: it closes the connection, or leaves the client writing for ever. The
client reads a response when the writing has failed, so the writing is ended once the response is there. What TLS has
received may be no response (a server sends session tickets at any time) and cannot be decrypted while the client
writes, so there the response is read only if the server closes the connection.

All of this is done as far as the streams of httpx 0.28 and httpx2 are found; otherwise the clocks end the call.
"""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING, Any

from polyglot_core._http.pooled import stream_layers
from polyglot_core._http.watchdog import Timer, has_data, stop_writing

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LARGE_BODY", "BodyWriting"]

LARGE_BODY = 65_536
"""Bytes; a smaller body fits the buffers of a connection."""

_CHECK = 0.25  # seconds
_BEGINNING = 10  # bytes, up to the first digit of the status
_REFUSAL = re.compile(rb"HTTP/1\.\d [345]")  # not a 100: it asks for the body
_MOST = 262_144  # bytes that are received before the response is read


class BodyWriting:
    """The writing of one large body.

    Args:
        stream: The client's network stream.
    """

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 (the HTTP client's)
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self._over = False
        self._end_receiving: Callable[[], None] | None = None

    def begin(self) -> None:
        """Look for a response from now on."""
        within_tls = self._stream.get_extra_info("ssl_object") is not None
        for layer in stream_layers(self._stream):
            if hasattr(layer, "_protocol"):
                self._end_receiving = _Receiver(layer._transport, layer._protocol, within_tls=within_tls).end  # noqa: SLF001 (anyio's)
                return
        if not within_tls:
            Timer(_CHECK, self._check).start()

    def end(self, error: object = None) -> None:
        """Stop looking: the body was written, or failed with `error`. What was received can still be read."""
        self._over = True
        if self._end_receiving is not None:
            self._end_receiving()
        if type(error).__name__ == "WriteError":
            for layer in stream_layers(self._stream):
                _allow_reading(layer)

    def _check(self) -> bool:
        """End the writing if a refusal waits in the socket, in the watchdog's thread. Return True to check again."""
        if self._over:
            return False
        if not has_data(self._socket) or not _is_refusal(_peek(self._socket)):
            return True
        stop_writing(self._socket)
        return False


class _Receiver:
    """Receives from asyncio's transport while a body is written, in place of anyio's protocol.

    Anyio pauses the reading meanwhile, and asyncio drops what it has not received when a write fails.

    Args:
        transport: Asyncio's transport.
        protocol: Anyio's protocol, which keeps what is received.
        within_tls: True if what is received is encrypted.
    """

    def __init__(self, transport: Any, protocol: Any, *, within_tls: bool) -> None:  # noqa: ANN401 (asyncio's)
        self._transport = transport
        self._protocol = protocol
        self._within_tls = within_tls
        self._size = 0
        self._beginning = b""
        transport.set_protocol(self)
        transport.resume_reading()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (asyncio's)
        """Return an attribute of anyio's protocol, for every other event."""
        return getattr(self._protocol, name)

    def data_received(self, data: bytes) -> None:
        """Keep the data; end the writing if it is a refusal."""
        self._protocol.data_received(data)
        self._size += len(data)
        if len(self._beginning) < _BEGINNING:
            self._beginning += data[:_BEGINNING]
        refused = not self._within_tls and _is_refusal(self._beginning)
        if refused:
            self._protocol.write_event.set()
        if refused or self._size > _MOST:
            self.end()

    def end(self) -> None:
        """Let anyio's protocol decide again when to read."""
        if self._transport.get_protocol() is self:
            self._transport.pause_reading()
            self._transport.set_protocol(self._protocol)


def _allow_reading(layer: Any) -> None:  # noqa: ANN401 (anyio's or trio's)
    """Let a TLS layer decrypt what was received before a write failed; it is not written to again."""
    if getattr(layer, "_broken", None) is True:
        layer._broken = False  # noqa: SLF001 (anyio's)
    elif getattr(getattr(layer, "_state", None), "name", None) == "BROKEN":
        layer._state = type(layer._state).OK  # noqa: SLF001 (trio's)


def _is_refusal(beginning: bytes | None) -> bool:
    """Return whether a response begins that needs no body, or the connection has ended."""
    return beginning == b"" or bool(beginning and _REFUSAL.match(beginning))


def _peek(sock: Any) -> bytes | None:  # noqa: ANN401 (a socket, or trio's)
    """Return the first bytes that wait in a socket, without receiving them; None if nothing waits."""
    with contextlib.suppress(BlockingIOError), socket.fromfd(sock.fileno(), sock.family, sock.type) as same:
        return same.recv(_BEGINNING, socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0))
    return None
