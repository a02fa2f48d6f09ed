"""The two pumps: they carry bytes from the transport to the session, and do what the pure parts decide.

`Pump` and `AsyncPump` are equal but for ``async`` and ``await``; a test compares them. How each of them waits is in
`backend`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from polyglot_core._attempt.lifecycle import State
from polyglot_core._engine.backends import AsyncBackend, SyncBackend
from polyglot_core._engine.retry_policy import AcceptTruncated, Raise
from polyglot_core._http.translate import TwoReadersError
from polyglot_core._values.partial import PartialInferenceResponse
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from polyglot_core._attempt.attempt import Attempt
    from polyglot_core._engine.call import Call
    from polyglot_core._http.event_loops import AsyncSource
    from polyglot_core._http.exchange import AsyncExchange, Exchange
    from polyglot_core._http.pools import Pools
    from polyglot_core._wire.messages import Chunk

    _Taken = PartialInferenceResponse | Iterable[PartialInferenceResponse]

__all__ = ["AsyncPump", "EventsWaiting", "Pump", "async_pump", "pump"]


_COMMITTED = State.COMMITTED


class EventsWaiting(BaseException):
    """Before the next read: somebody watches events, and some have not been taken yet."""


class Pump:
    """Carries one call, sync: an iterator of partials.

    It holds the exchange, and the exchange closes its socket when it is let go; so nothing here may refer back to the
    pump.

    Attributes:
        run: The call.
        exhausted: Whether it has said that there is nothing more.
        stops_for_events: Whether to raise `EventsWaiting` rather than read on while events wait to be taken.
    """

    def __init__(self, call: Call, backend: SyncBackend) -> None:
        self.call = call
        self.exhausted = False
        self.stops_for_events = False
        self._backend = backend
        self._exchange: Exchange | None = None
        self._attempt: Attempt | None = None
        self._take: Callable[[Chunk, float], _Taken]  # the session's, once there is one
        self._clocks = call.clocks
        self._chunks: Iterator[Chunk] = iter(())
        self._ready: Iterator[PartialInferenceResponse] | None = None
        self._sending = threading.Lock()  # held while a request is on its way

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the loop that all else is fast for)
        while True:
            try:
                if (ready := self._ready) is not None:  # by a name of its own: another thread may close the stream
                    for partial in ready:
                        return partial
                    self._ready = None
                for chunk in self._chunks:
                    taken = self._take(chunk, self._clocks.waited)
                    if type(taken) is PartialInferenceResponse:
                        return taken
                    self._ready = iter(taken)  # type: ignore[arg-type]  # it is the other of the two
                    break
                else:
                    if self.stops_for_events and self.call.events:
                        raise EventsWaiting  # noqa: TRY301 (it passes all of this)
                    attempt, exchange = self._attempt, self._exchange
                    if attempt is not None and exchange is not None and attempt.state is _COMMITTED:
                        # As in `_step`, without its calls: here is where a stream spends its time.
                        if not (data := exchange.read()):
                            self._ready = self.call.finish()
                        elif len(chunks := attempt.frame(data)) == 1:
                            taken = self._take(chunks[0], self._clocks.waited)
                            if type(taken) is PartialInferenceResponse:
                                return taken
                            self._ready = iter(taken)  # type: ignore[arg-type]  # as above
                        else:
                            self._chunks = iter(chunks)
                    elif self.call.ended:
                        break
                    else:
                        self._step()
            except PolyglotError as error:
                self._recover(error)
            except EventsWaiting:
                raise
            except BaseException:
                self._abandon()
                raise
        self.exhausted = True
        self._release()
        raise StopIteration

    def close(self) -> None:
        """End the call, in whatever phase it is; from any thread, any number of times."""
        self.call.cancel()
        self._backend.wake()
        if (exchange := self._exchange) is not None:
            exchange.abort()
        if not (self._sending.locked() or self._clocks.waiting):  # else the reader wakes, sees that, and releases
            self._ready, self._chunks = None, iter(())
            self._release()

    def _step(self) -> None:
        """Send the request, or read once."""
        if self._sending.locked():
            raise TwoReadersError
        exchange, attempt = self._exchange, self._attempt
        if exchange is None or attempt is None:
            self._send()
        elif data := exchange.read():
            self._chunks = iter(attempt.frame(data))
        elif not self.call.cancelled:
            self._ready = self.call.finish()

    def _send(self) -> None:
        if not self._sending.acquire(blocking=False):
            raise TwoReadersError
        try:
            if self.call.cancelled or self._exchange is not None:  # by another thread, a moment ago
                return
            wire = self._backend.authorize(self.call, self.call.encode())
            attempt = self.call.start(wire)
            self._exchange = exchange = self._backend.send(self.call, wire)
            if not self.call.cancelled:
                self._ready = iter(attempt.begin(exchange.status, exchange.headers))
                self._attempt, self._take, self._clocks = attempt, attempt.take, self.call.clocks
        finally:
            self._sending = threading.Lock()  # held while a request is on its way

    def _recover(self, error: PolyglotError) -> None:
        """Something failed. The transport: the session says what that means. The attempt: make another, or raise."""
        if isinstance(error, TwoReadersError):  # the first reader's stream goes on
            raise error
        if self.call.cancelled:
            return
        if self.call.interruptible:
            self._ready = self.call.interrupted(error)
            return
        decision = self.call.decide(error)
        try:
            self._release()
            if not isinstance(decision, (AcceptTruncated, Raise)):
                self._attempt, self._chunks = None, iter(())
                self.call.tell()
                self._backend.sleep(decision.wait)
        except BaseException:
            self._abandon()
            raise
        if isinstance(decision, Raise):
            raise error

    def _abandon(self) -> None:
        """An interruption passes through: the call ends here."""
        self.call.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        self._release()

    def _release(self) -> None:
        """Give the connection back, or close it."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            try:
                if self.call.leave():
                    self._backend.drain(exchange)
            finally:
                exchange.close()


class AsyncPump:
    """Carries one call, async: an async iterator of partials.

    It holds the exchange, and the exchange closes its socket when it is let go; so nothing here may refer back to the
    pump.

    Attributes:
        run: The call.
        exhausted: Whether it has said that there is nothing more.
        stops_for_events: Whether to raise `EventsWaiting` rather than read on while events wait to be taken.
    """

    def __init__(self, call: Call, backend: AsyncBackend) -> None:
        self.call = call
        self.exhausted = False
        self.stops_for_events = False
        self._backend = backend
        self._exchange: AsyncExchange | None = None
        self._attempt: Attempt | None = None
        self._take: Callable[[Chunk, float], _Taken]  # the session's, once there is one
        self._clocks = call.clocks
        self._chunks: Iterator[Chunk] = iter(())
        self._ready: Iterator[PartialInferenceResponse] | None = None
        self._sending = threading.Lock()  # held while a request is on its way

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the loop that all else is fast for)
        while True:
            try:
                if (ready := self._ready) is not None:  # by a name of its own: another thread may close the stream
                    for partial in ready:
                        return partial
                    self._ready = None
                for chunk in self._chunks:
                    taken = self._take(chunk, self._clocks.waited)
                    if type(taken) is PartialInferenceResponse:
                        return taken
                    self._ready = iter(taken)  # type: ignore[arg-type]  # it is the other of the two
                    break
                else:
                    if self.stops_for_events and self.call.events:
                        raise EventsWaiting  # noqa: TRY301 (it passes all of this)
                    attempt, exchange = self._attempt, self._exchange
                    if attempt is not None and exchange is not None and attempt.state is _COMMITTED:
                        # As in `_step`, without its calls: here is where a stream spends its time.
                        if not (data := await exchange.read()):
                            self._ready = self.call.finish()
                        elif len(chunks := attempt.frame(data)) == 1:
                            taken = self._take(chunks[0], self._clocks.waited)
                            if type(taken) is PartialInferenceResponse:
                                return taken
                            self._ready = iter(taken)  # type: ignore[arg-type]  # as above
                        else:
                            self._chunks = iter(chunks)
                    elif self.call.ended:
                        break
                    else:
                        await self._step()
            except PolyglotError as error:
                await self._recover(error)
            except EventsWaiting:
                raise
            except BaseException:
                await self._abandon()
                raise
        self.exhausted = True
        await self._release()
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the call, in whatever phase it is; from any thread, any number of times."""
        self.call.cancel()
        self._backend.wake()
        if (exchange := self._exchange) is not None:
            exchange.abort()
        if not (self._sending.locked() or self._clocks.waiting):  # else the reader wakes, sees that, and releases
            self._ready, self._chunks = None, iter(())
            await self._release()

    async def _step(self) -> None:
        """Send the request, or read once."""
        if self._sending.locked():
            raise TwoReadersError
        exchange, attempt = self._exchange, self._attempt
        if exchange is None or attempt is None:
            await self._send()
        elif data := await exchange.read():
            self._chunks = iter(attempt.frame(data))
        elif not self.call.cancelled:
            self._ready = self.call.finish()

    async def _send(self) -> None:
        if not self._sending.acquire(blocking=False):
            raise TwoReadersError
        try:
            if self.call.cancelled or self._exchange is not None:  # by another thread, a moment ago
                return
            wire = await self._backend.authorize(self.call, self.call.encode())
            attempt = self.call.start(wire)
            self._exchange = exchange = await self._backend.send(self.call, wire)
            if not self.call.cancelled:
                self._ready = iter(attempt.begin(exchange.status, exchange.headers))
                self._attempt, self._take, self._clocks = attempt, attempt.take, self.call.clocks
        finally:
            self._sending = threading.Lock()  # held while a request is on its way

    async def _recover(self, error: PolyglotError) -> None:
        """Something failed. The transport: the session says what that means. The attempt: make another, or raise."""
        if isinstance(error, TwoReadersError):  # the first reader's stream goes on
            raise error
        if self.call.cancelled:
            return
        if self.call.interruptible:
            self._ready = self.call.interrupted(error)
            return
        decision = self.call.decide(error)
        try:
            await self._release()
            if not isinstance(decision, (AcceptTruncated, Raise)):
                self._attempt, self._chunks = None, iter(())
                self.call.tell()
                await self._backend.sleep(decision.wait)
        except BaseException:
            await self._abandon()
            raise
        if isinstance(decision, Raise):
            raise error

    async def _abandon(self) -> None:
        """An interruption passes through: the call ends here."""
        self.call.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        await self._release()

    async def _release(self) -> None:
        """Give the connection back, or close it."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            try:
                if self.call.leave():
                    await self._backend.drain(exchange)
            finally:
                await exchange.close()


def pump(call: Call, pools: Pools) -> Pump:
    """A sync pump for a call that takes its connections from `pools`."""
    return Pump(call, SyncBackend(pools))


def async_pump(call: Call, source: AsyncSource) -> AsyncPump:
    """An async pump for a call that takes its connections from `source`."""
    return AsyncPump(call, AsyncBackend(source))
