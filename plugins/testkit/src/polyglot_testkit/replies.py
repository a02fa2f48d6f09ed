"""Replies that are read from an exchange instead of the network, at once or at its pace."""

from __future__ import annotations

import builtins
import threading
from time import perf_counter
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from polyglot_core.plugin import Opening
    from polyglot_testkit.exchanges import Exchange

__all__ = ["AsyncReplayedReply", "ReplayedReply", "open_replayed", "open_replayed_async"]

_SLICE = 0.05  # seconds after which a task that waits looks whether it was aborted


class _Replayed:
    """What both kinds share: the exchange, and how far it has been read."""

    def __init__(self, exchange: Exchange, transport: str, pace: float) -> None:
        self.status = exchange.status or 0
        self.headers = exchange.headers
        self.transport = transport
        self._exchange = exchange
        self._pace = pace
        self._begun = perf_counter()
        self._position = 0
        self._aborted = threading.Event()

    def abort(self) -> None:
        """End a wait, from any thread."""
        self._aborted.set()

    def data_waits(self) -> bool:
        """Return False: what is due is returned at once."""
        return False

    def left(self, seconds: float) -> float:
        """Return how long to wait until a recorded moment, in seconds; at most 0 if it has passed."""
        return self._begun + seconds * self._pace - perf_counter() if self._pace else 0.0

    def check(self) -> None:
        """Raise if the reply was aborted, or if no response was recorded.

        Raises:
            Exception: The exception that was recorded, or one for an abort.
        """
        if self._aborted.is_set():
            raise ConnectionAbortedError("the replay was aborted")
        if self._exchange.status is None:
            raise _recorded_error(self._exchange)

    @property
    def due(self) -> float:
        """Return when the next read returns, in recorded seconds."""
        reads = self._exchange.reads
        return reads[self._position].seconds if self._position < len(reads) else self._exchange.ended

    def take(self) -> bytes | None:
        """Return the bytes of the next read; None at the end of the body.

        Raises:
            Exception: The exception that was recorded there, or one for a response that was cut.
        """
        self.check()
        if self._position < len(self._exchange.reads):
            self._position += 1
            return self._exchange.reads[self._position - 1].data
        if self._exchange.end in {"cut", "error"}:
            raise _recorded_error(self._exchange)
        return None


class ReplayedReply(_Replayed):
    """A reply from an exchange, for threads."""

    def wait(self, seconds: float) -> None:
        """Wait until a recorded moment."""
        if (left := self.left(seconds)) > 0:
            self._aborted.wait(left)

    def read(self) -> bytes | None:
        """Return the next bytes, as `Reply.read` does."""
        self.wait(self.due)
        return self.take()

    def drain(self, _: float, /) -> None:
        """Do nothing: there is no connection."""

    def close(self, *, reuse: bool) -> None:
        """Do nothing: there is no connection."""


class AsyncReplayedReply(_Replayed):
    """A reply from an exchange, for an event loop."""

    async def wait(self, seconds: float) -> None:
        """Wait until a recorded moment."""
        while (left := self.left(seconds)) > 0 and not self._aborted.is_set():  # noqa: ASYNC110 (another thread aborts)
            await anyio.sleep(min(left, _SLICE))

    async def read(self) -> bytes | None:
        """Return the next bytes, as `Reply.read` does."""
        await self.wait(self.due)
        return self.take()

    async def drain(self, _: float, /) -> None:
        """Do nothing: there is no connection."""

    async def close(self, *, reuse: bool) -> None:
        """Do nothing: there is no connection."""


def open_replayed(exchange: Exchange, transport: str, opening: Opening, pace: float = 0.0) -> ReplayedReply:
    """Return the reply of an exchange, once its head is due.

    Raises:
        Exception: The exception that was recorded in place of a response.
    """
    reply = ReplayedReply(exchange, transport, pace)
    _begin(exchange, reply, opening)
    reply.wait(exchange.seconds if exchange.status is not None else exchange.ended)
    reply.check()
    return reply


async def open_replayed_async(
    exchange: Exchange, transport: str, opening: Opening, pace: float = 0.0
) -> AsyncReplayedReply:
    """Return the reply of an exchange, once its head is due. Raises as `open_replayed`."""
    reply = AsyncReplayedReply(exchange, transport, pace)
    _begin(exchange, reply, opening)
    await reply.wait(exchange.seconds if exchange.status is not None else exchange.ended)
    reply.check()
    return reply


_BEFORE_SENDING = ("Connect", "gaierror", "SSL", "Proxy")  # in names of exceptions: there was no connection


def _begin(exchange: Exchange, reply: ReplayedReply | AsyncReplayedReply, opening: Opening) -> None:
    """Count the request as sent, unless the recorded one was not."""
    if exchange.status is None and any(word in (exchange.error or "") for word in _BEFORE_SENDING):
        opening.on_abort(reply.abort)
    else:
        opening.send(reply)


def _recorded_error(exchange: Exchange) -> Exception:
    """Return an exception of the recorded class, or of the same name: core reads what it means from the name."""
    if exchange.end != "error" or not exchange.error:
        return ConnectionAbortedError("the response was cut here when it was recorded")
    known: object = getattr(builtins, exchange.error, None)
    if isinstance(known, type) and issubclass(known, Exception):
        return known("recorded")
    unknown: type[Exception] = type(exchange.error, (Exception,), {})
    return unknown("recorded")
