"""What a layer over a transport sees of an exchange: the request, each read of the body, and how it ended."""

from __future__ import annotations

import threading
import zlib
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio
import anyio.to_thread

from polyglot_testkit.exchanges import Ending, Exchange, Read, RecordedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyglot_core.plugin import AsyncReply, AsyncTransport, HTTPRequest, Reply, SyncTransport

__all__ = ["AsyncBeneath", "AsyncCapturedReply", "Beneath", "Capture", "CapturedReply", "off_loop"]

_TransportT = TypeVar("_TransportT", bound="SyncTransport | AsyncTransport")
_ResultT = TypeVar("_ResultT")
_ReplyT = TypeVar("_ReplyT", bound="Reply | AsyncReply")

_MOST_INFLATED = 256 * 1024 * 1024  # bytes of a compressed body that are kept


async def off_loop(call: Callable[..., _ResultT], *arguments: object) -> _ResultT:
    """Return the result of a function that uses the disk, run in a thread, also if the task is cancelled meanwhile."""
    found: list[_ResultT] = []
    with anyio.CancelScope(shield=True):
        found.append(await anyio.to_thread.run_sync(partial(call, *arguments)))
    return found[0]


class Capture:
    """One exchange, while it is received.

    Attributes:
        request: The request, with every secret revealed; dropped when the capture becomes an exchange.
        at: When it was sent.
        status: HTTP status of the response; None until there is one.
        headers: Headers of the response.
        transport: Name of the transport beneath.
        end: How the response ended; None until then.
    """

    def __init__(self, request: HTTPRequest) -> None:
        self.request = request
        self.at = datetime.now(UTC)
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.transport = ""
        self.end: Ending | None = None
        self._error: str | None = None
        self._begun = perf_counter()
        self._head = self._ended = 0.0
        self._reads: list[Read] = []
        self._aborted = False

    def respond(self, reply: Reply | AsyncReply, transport: str) -> None:
        """Record that the head of the response was received."""
        self.status, self.headers = reply.status, dict(reply.headers)
        self.transport = getattr(reply, "transport", transport)
        self._head = self._now()

    def receive(self, data: bytes | None) -> None:
        """Record a read of the body; None at its end."""
        if data is None:
            self._finish("eof")
        elif self.end is None:
            self._reads.append(Read(data, self._now()))

    def complete(self) -> None:
        """Record that the response is complete."""
        if self.end in {None, "eof"}:
            self._finish("complete", anew=True)

    def abort(self, end: Callable[[], object]) -> None:
        """Record that the client ends the exchange, and end it."""
        self._aborted = True
        end()

    def break_with(self, error: BaseException) -> None:
        """Record that the connection broke, or that a wait was interrupted."""
        if isinstance(error, Exception) and not self._aborted:
            self._error = type(error).__name__
            self._finish("error")
        else:
            self._finish("cut")

    def close(self) -> None:
        """Record that the response was closed."""
        self._finish("cut")
        if self._aborted and self.end == "eof":  # the end of a body that was shut down looks regular
            self.end = "cut"

    def _finish(self, end: Ending, *, anew: bool = False) -> None:
        if self.end is None or anew:
            self.end, self._ended = end, self._now()

    def _now(self) -> float:
        return perf_counter() - self._begun

    def exchange(self) -> Exchange:
        """Return the exchange. It has all headers and every key. A compressed body is inflated."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        encoding = headers.pop("content-encoding", "").strip().lower()
        end: Ending = self.end or "cut"
        error = self._error
        reads: tuple[Read, ...] | None = tuple(self._reads)
        if encoding not in {"", "identity"} and (reads := _inflated(self._reads, encoding)) is None:
            end, error = "error", "NotInflated"  # a compressed body cannot be searched for keys
        sent = self.request
        return Exchange(
            request=RecordedRequest(method=sent.method, url=sent.url, headers=sent.headers, body=sent.body),
            at=self.at.isoformat(timespec="milliseconds"),
            status=self.status,
            headers=headers,
            seconds=self._head,
            transport=self.transport,
            reads=reads or (),
            end=end,
            error=error,
            ended=self._ended,
        )


def _inflated(reads: list[Read], encoding: str) -> tuple[Read, ...] | None:
    """Return the reads of a compressed body, inflated; None if that is not possible to its end."""
    windows = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}.get(encoding, ())
    for window in windows:
        inflate, left, found = zlib.decompressobj(window), _MOST_INFLATED, []
        try:
            for read in reads:
                data = inflate.decompress(read.data, left)
                while inflate.eof and inflate.unused_data.strip(b"\0"):  # another member follows
                    rest, inflate = inflate.unused_data, zlib.decompressobj(window)
                    data += inflate.decompress(rest, left)
                left -= len(data)
                if left <= 0 or inflate.unconsumed_tail:
                    return None
                if data:
                    found.append(Read(data, read.seconds))
        except zlib.error:
            continue
        return tuple(found)
    return None


class _Captured(Generic[_ReplyT]):
    """What both kinds of captured reply share. `done` is called with the capture once the reply is closed."""

    def __init__(
        self,
        reply: _ReplyT,
        capture: Capture,
        done: Callable[[Capture], object],
        lost: Callable[[Capture], object] | None = None,
    ) -> None:
        self.status, self.headers, self.transport = reply.status, reply.headers, capture.transport
        # Not methods: the watchdog holds them, and must not hold the reply, which is collected if it is dropped.
        self.abort: Callable[[], object] = partial(capture.abort, reply.abort)
        self.data_waits: Callable[[], bool] = reply.data_waits
        self._reply = reply
        self._capture = capture
        self._done, self._lost = done, lost
        self._closed = False

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and self._lost is not None:
            self._lost(self._capture)


class CapturedReply(_Captured["Reply"]):
    """A reply that notes what is read of it."""

    def read(self) -> bytes | None:
        """Return the next bytes of the body, as `Reply.read` does."""
        try:
            data = self._reply.read()
        except BaseException as error:
            self._capture.break_with(error)
            raise
        self._capture.receive(data)
        return data

    def drain(self, seconds: float, /) -> None:
        """Read the rest of the body, as `Reply.drain` does."""
        self._capture.complete()
        self._reply.drain(seconds)

    def close(self, *, reuse: bool) -> None:
        """Close the reply, and hand the capture over."""
        try:
            self._reply.close(reuse=reuse)
        finally:
            if not self._closed:
                self._closed = True
                self._capture.close()
                self._done(self._capture)


class AsyncCapturedReply(_Captured["AsyncReply"]):
    """A reply that notes what is read of it, async."""

    async def read(self) -> bytes | None:
        """Return the next bytes of the body, as `Reply.read` does."""
        try:
            data = await self._reply.read()
        except BaseException as error:
            self._capture.break_with(error)
            raise
        self._capture.receive(data)
        return data

    async def drain(self, seconds: float, /) -> None:
        """Read the rest of the body, as `Reply.drain` does."""
        self._capture.complete()
        await self._reply.drain(seconds)

    async def close(self, *, reuse: bool) -> None:
        """Close the reply, and hand the capture over."""
        try:
            await self._reply.close(reuse=reuse)
        finally:
            if not self._closed:
                self._closed = True
                self._capture.close()
                if self._capture.end == "cut":  # perhaps by a coroutine that is collected, which cannot wait
                    self._done(self._capture)
                else:
                    await off_loop(self._done, self._capture)


class _Beneath(Generic[_TransportT]):
    """The transport beneath a layer, made when it is first used."""

    def __init__(self, below: Callable[[], tuple[str, _TransportT]]) -> None:
        self._below = below
        self._made: tuple[str, _TransportT] | None = None
        self._lock = threading.Lock()  # guards the making

    @property
    def beneath(self) -> tuple[str, _TransportT]:
        """Return the transport beneath, after its name."""
        if self._made is None:
            with self._lock:
                return self._make()
        return self._made

    def _make(self) -> tuple[str, _TransportT]:
        """Return the transport; another thread may have made it."""
        self._made = made = self._made or self._below()
        return made

    @property
    def idle(self) -> int:
        """Number of connections that are open and not in use."""
        return 0 if self._made is None else self._made[1].idle

    def close_idle(self, seconds: float, /) -> None:
        """Close the connections that have been idle for `seconds` or longer."""
        if self._made is not None:
            self._made[1].close_idle(seconds)

    def retire(self) -> None:
        """Close the idle connections now, and the others when their responses end."""
        if self._made is not None:
            self._made[1].retire()


class Beneath(_Beneath["SyncTransport"]):
    """The transport beneath a layer, for threads."""

    def close(self) -> None:
        """Close every connection."""
        if self._made is not None:
            self._made[1].close()


class AsyncBeneath(_Beneath["AsyncTransport"]):
    """The transport beneath a layer, for one event loop."""

    async def close(self) -> None:
        """Close every connection."""
        if self._made is not None:
            await self._made[1].close()
