"""A request that was sent and the answer to it: its bytes as they come, under the clocks, and its end.

Bodies are read raw and inflated here with a bound, because httpx 0.28 turns 336 bytes into 104 MB.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NoReturn, Protocol

from polyglot_core._http.inflate import inflater_for
from polyglot_core._http.kept import Lost, may_serve_again
from polyglot_core._http.translate import TwoReadersError, raise_translated, says_two_readers, timed_out
from polyglot_core._http.watchdog import Watch, parting, shut_down
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    import httpx

    from polyglot_core._attempt.clocks import Clocks
    from polyglot_core._http.kept import Kept
    from polyglot_core._http.watchdog import Parting
    from polyglot_core._values.limits import Limits

__all__ = ["DRAIN_SECONDS", "AsyncExchange", "Closer", "Exchange"]

DRAIN_SECONDS = 0.02
"""How long a finished answer's connection may take to say that it is free; most do at once."""

_SHORT_PAUSE = 0.01  # seconds between two reads that are not worth keeping the clocks from


def _socket_of(response: httpx.Response) -> object | None:
    """The socket below a response, or None where a client's own transport has none."""
    stream = response.extensions.get("network_stream")
    return None if stream is None else stream.get_extra_info("socket")


@contextlib.contextmanager
def _impatient(sock: object) -> Generator[bool]:
    """Let no receive on this socket wait longer than `DRAIN_SECONDS`; False where the platform has no such bound.

    The operating system's own bound is used, because the client sets Python's anew at each read.
    """
    if not isinstance(sock, socket.socket) or sys.platform == "win32":
        yield False
        return
    microseconds = int(DRAIN_SECONDS * 1_000_000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, microseconds))
    try:
        yield True
    finally:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))


class _ExchangeState:
    """What both kinds of exchange share: an answer, its socket and its watch.

    Attributes:
        status: HTTP status.
        headers: Header names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, response: httpx.Response, clocks: Clocks, url: str, limits: Limits, kept: Kept) -> None:
        self.status: int = response.status_code
        self.headers: dict[str, str] = dict(response.headers)
        self._response = response
        self._kept = kept
        self._interrupted = False  # within the client, whose lists and locks may be in any state
        self._url = url
        self._socket = _socket_of(response)
        self._process = os.getpid()
        self._clocks = clocks
        self._watch = Watch(partial(shut_down, self._socket), clocks)
        self._decoder = inflater_for(self.headers, limits.inflation)
        self._left = limits.response  # bytes that may still come
        self._limit = limits.response
        self._closed = False
        clocks.changed = self._watch.arm
        self._watch.arm()

    def abort(self) -> None:
        """Shut the socket down, from any thread; a read that waits returns at once."""
        if not self._closed:
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None and self._process == os.getpid():  # not a parent's, after a fork
            shut_down(self._socket)

    def _part_with_connection(self) -> None:
        """Shut the socket down unless its connection may serve another call."""
        if self._interrupted or self._kept.given_up or not may_serve_again(self._response):
            self._shut()

    def _resume(self, now: float) -> None:
        """A read begins a while after the last one ended; or the last one has not ended, and somebody else is at it."""
        if self._clocks.waiting:
            raise TwoReadersError
        self._clocks.pass_over(now)

    def _broken(self, error: Exception) -> NoReturn:
        if not says_two_readers(error):
            self._clocks.waited = self._clocks.asked
        raise_translated(error, self._watch, self._url)

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded(
            f"The answer is larger than {self._limit} bytes; more is allowed by limits.response.", phase="stream"
        )

    def _end_of_body(self) -> bytes:
        """Nothing, if the body is over; an error, if it is only that no more came."""
        if self._watch.fired:
            raise timed_out(self._watch.fired)
        if self._decoder is not None:
            self._decoder.finish()
        return b""


class Closeable(Protocol):
    """What an async client has to be closed: a response, or what a cancellation has left of one."""

    async def aclose(self) -> None:
        """Close it."""
        ...


class Closer(Protocol):
    """What closes the responses of an event loop."""

    async def close(self, response: Closeable) -> None:
        """Close a response to its end, also where the task that waits for it is cancelled. Never raises of itself."""
        ...

    def close_later(self, response: Closeable) -> None:
        """Have a response closed that was let go; from a finalizer, in any thread."""
        ...


_held: dict[int, tuple[Parting, Iterator[bytes]]] = {}
"""What closes responses whose exchange is collected, and the client's generators over them.

The client's generator closes itself when it is collected, under a lock that the thread in which the garbage collector
runs may hold already. So it must never be garbage: the watchdog's thread, which holds no lock, closes the response.
"""

_numbers = itertools.count()  # of exchanges; an id would be used again


def _close_held(number: int, response: httpx.Response, sock: object, watch: Watch, process: int) -> None:
    """Close the response of an exchange that was collected, and its socket: it was not read to its end."""
    watch.stop()
    if process == os.getpid():
        shut_down(sock)
        response.close()
    _held.pop(number, None)


class Exchange(_ExchangeState):
    """A request that was sent and the answer to it, sync."""

    def __init__(
        self, response: httpx.Response, clocks: Clocks, url: str, limits: Limits, kept: Kept, *, trace: object = None
    ) -> None:
        super().__init__(response, clocks, url, limits, kept)
        self._pieces: Iterator[bytes] = iter(response.stream)  # type: ignore[arg-type]  # a sync transport's stream is sync
        self._trace = trace
        self._number = number = next(_numbers)
        close = partial(_close_held, number, response, self._socket, self._watch, self._process)
        _held[number] = parting(self, close), self._pieces

    def read(self) -> bytes:
        """The next bytes of the body; empty at its end.

        Raises:
            TimedOut: A clock ran out.
            TransportError: The bytes stopped coming.
            LimitExceeded: The body inflates beyond all measure.
        """
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has long been waiting
            clocks.asked = now
            if self._left < 0:  # what came with the byte too many has been handed out
                raise self._too_large()
            try:
                data = next(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if data:
                return data

    def drain(self) -> None:
        """The answer is complete: read what little may follow, for no long, so that the connection can serve again."""
        deadline = perf_counter() + DRAIN_SECONDS
        try:
            with contextlib.suppress(Exception), _impatient(self._socket) as bounded:
                while bounded and perf_counter() < deadline and next(self._pieces, None) is not None:
                    pass
        except BaseException:
            self._interrupted = True
            raise

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Never raises of itself."""
        if not self._closed:
            self._closed = True
            try:
                self._watch.stop()
                with contextlib.suppress(Exception):
                    self._part_with_connection()
                    self._response.close()
            except BaseException:
                self._interrupted = True
                self._shut()
                self._watch.stop()
                raise
            finally:
                _held.pop(self._number, None)
                if self._interrupted:
                    self._kept.give_up(self._trace)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):  # the response itself is closed by its `Parting`
            self.abort()
            self._closed = True
            self._watch.stop()


class AsyncExchange(_ExchangeState):
    """A request that was sent and the answer to it, async."""

    def __init__(
        self,
        response: httpx.Response,
        clocks: Clocks,
        url: str,
        limits: Limits,
        kept: Kept,
        *,
        closer: Closer,
    ) -> None:
        super().__init__(response, clocks, url, limits, kept)
        self._pieces: AsyncIterator[bytes] = aiter(response.stream)  # type: ignore[arg-type]  # as above, async
        self._closer = closer

    async def read(self) -> bytes:
        """The next bytes of the body; empty at its end. Raises as `Exchange.read`."""
        clocks = self._clocks
        while True:
            now = perf_counter()
            if now - clocks.waited > _SHORT_PAUSE:
                self._resume(now)  # first, or the watchdog would see a read that has long been waiting
            clocks.asked = now
            if self._left < 0:  # what came with the byte too many has been handed out
                raise self._too_large()
            try:
                data = await anext(self._pieces, None)
            except Exception as error:  # noqa: BLE001 (translated)
                self._broken(error)
            except BaseException:
                self._interrupted = True
                raise
            clocks.waited = perf_counter()
            if data is None:
                return self._end_of_body()
            if self._decoder is not None:
                data = self._decoder.decode(data)
            self._left -= len(data)
            if data:
                return data

    async def drain(self) -> None:
        """As `Exchange.drain`; the caller bounds it."""
        try:
            with contextlib.suppress(Exception):
                while await anext(self._pieces, None) is not None:
                    pass
        except BaseException:
            self._interrupted = True
            raise

    async def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end. Never raises of itself."""
        if not self._closed:
            self._closed = True
            self._watch.stop()
            self._part_with_connection()
            try:
                await self._closer.close(self._response)
            finally:
                if self._interrupted:
                    self._closer.close_later(Lost(self._kept.transport, self._response))

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.abort()
            self._closed = True
            self._watch.stop()
            with contextlib.suppress(Exception):  # the loop may be gone; the socket is shut down all the same
                self._closer.close_later(self._response)
