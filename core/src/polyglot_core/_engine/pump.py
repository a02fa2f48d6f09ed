"""The two pumps, which carry one call each: they read bytes, emit partials, and perform what the call decides.

`Pump` and `AsyncPump` are equal but for ``async`` and ``await``, and how they run a flow; a test compares them.
"""

# Theory of operation
# -------------------
#
# Three objects share the work. `Call` decides: which request is sent next, to which target, and what an error means for
# the call. It does no I/O and never waits. The pump performs: it sends, reads, sleeps, closes and raises. The backend
# knows how to wait, with a thread or with a task, and how to end a wait.
#
# One iteration. A pump holds up to two buffers: `_ready`, partials that have been decoded, and `_chunks`, chunks that
# have been framed and not decoded. `__next__` empties them in this order. If both are empty it reads once, or sends the
# request if there is no exchange, and starts over. Chunks are decoded one at a time, when their partial is requested,
# so that a partial is emitted before an error that a later chunk of the same read causes. The branch for an attempt
# that has an exchange repeats `_step` without its calls, since streams spend their time there. `_take` and `_clocks`
# are copies of `call.attempt.take` and `call.clocks`: they save two attribute lookups for each chunk. They are set
# together, in `_send`, before the first chunk of an attempt exists. If the call is observed, `_take` also notes the
# time.
#
# `advancing` does one such round and returns. `events()` uses it: one read may emit events and no partial (a ping, the
# model's name), and such events must be handed out before the next read, which may take minutes.
#
# Waiting in parts. `next(timeout=…)` passes a moment, `until`, down to `_step`. What waits there (a backoff, sending, a
# read) is then performed in the background, by a thread or by a task, and `_performed` waits for its result. If that is
# not over by `until`, NotYetError passes through to `next`, and `_running` stays: the next step, of whichever method,
# waits for the same result instead of starting anew. Meanwhile `_direct` is None, so that the fast branch of `__next__`
# does not read as well; it is the exchange otherwise, and costs nothing more than `_exchange` would. Only what waits
# runs in the background. Decoding, callbacks and decisions stay in the thread of the caller. The background refers to
# the exchange or to the call, never to the pump: a pump that is collected ends it (see `background`).
#
# Who closes. The caller may run `close` in any thread, at any time, any number of times, also while another thread
# iterates. (Of an AsyncPump: from any task of the same event loop.) `close` cannot release an exchange that is in use.
# So it does three things in this order: it marks the call as cancelled; it ends every wait, by `wake` (authorization, a
# connection attempt, a backoff) and by `abort` (a read: the socket is shut down, not closed); and it releases the
# exchange itself only if no thread is inside a send or a read. Otherwise the reader wakes with an error, `_recover`
# finds the call cancelled and returns, the loop finds it ended, and the reader releases the exchange. `_release` takes
# the exchange out of the attribute first, so that of two threads only one closes it. Every end of a call passes it, so
# it reports the end to the observers (see `observers`). What runs in the background is abandoned instead: it is ended,
# and then closes the exchange itself, because a read may still be using it.
#
# What `_sending` guards. It is held from before the request is encoded until the headers of the response have been
# handed to the attempt. A second reader in that time gets TwoReadersError instead of a second request. `close` reads it
# to learn that there is a thread which will release. After that the exchange itself detects a second reader, from its
# clocks. An interruption may be raised while the lock is held, so it is released in a ``finally``: a lock that stays
# held would end every later iteration of the stream with an error.
#
# An interruption is not an error. KeyboardInterrupt, a cancelled task and GeneratorExit say nothing about the request
# and may be raised at any instruction. They are not retried, not wrapped, and carry no partial. `_abandon` cancels the
# call, shuts down the socket and releases the connection; the exception passes through. The content received so far
# stays readable in `response()`, with the outcome ``cancelled``. But a read after an interrupted one must not end as if
# the response were complete, so `_end` raises a StreamError then. (After `close`, which the caller has chosen, it ends
# quietly.) One interruption is harmless: that of a wait for a task in the background, which survives it. The frames of
# an interruption are removed, because those of the client hold the key in plain text.
#
# A follow-up request. A driver may end a response with `Follow`: the rest of it is received by another request of the
# same attempt. The attempt raises `Following`, which passes `_recover` like an error and ends nothing: the exchange is
# closed, and reused if its body has been read to the end; the permit is kept, and the next rounds wait and send, as
# they do for a retry. `Call.encode` and `Call.start` find the follow-up request in the attempt (`following`) and
# continue it. If the follow-up request fails, `History.job` has what a retry needs to send it, and not the first
# request, which would begin paid work twice. The exchange is not drained: a layer over the transport keeps what is
# drained as complete.
#
# Work that is abandoned. A driver may have a hook that encodes a request by which the provider stops its work
# (`encode_cancel`). `closing` sends it once everything else is released, as a call of its own that nothing observes.
# Any thread may close a stream, so a thread of its own sends it, started by the watchdog's: see `close_later`. A
# generator that is closed may be in a finalizer, which must not wait, so GeneratorExit sends nothing.
#
# Errors pass `_recover` twice. First pass: the transport or a framer has failed while the attempt has no outcome
# (`interruptible`). `interrupted` returns an iterator that becomes `_ready`. It flushes the text that the attempt holds
# back. If the response was complete, it emits the closing partials and the call ends well: a connection that breaks
# after the finish reason is no error. If not, the iterator raises an error with a partial, and the attempt has an
# outcome then. Second pass: this error, or one that the attempt itself has raised while it decoded. `decide` chooses:
# Raise, AcceptTruncated (the call ends without an error), or a further attempt, for which the call has been prepared
# when `decide` returns. The pump reports the failure to the observers, of which `on_seam` adds some, and releases the
# exchange; the next round sleeps, and the one after it sends. A TwoReadersError skips all of this: it belongs to the
# second reader, and the first one's stream continues. Once the call is cancelled errors are dropped, because closing
# the socket causes them.
#
# The order in `_recover` matters. The exchange is released before the sleep, so that no connection is held during a
# backoff. Observers are called before the release, because the end of the call is reported in it, and before the sleep,
# so that the caller can close the call instead of waiting. What a function of `on_seam` raises ends the call as `close`
# does.
#
# Sync and async share what waits, in flows, which each runs in its own way (see `flows`); what differs in kind is in
# `backends`. The loop of `__next__` is written twice, because a flow would cost each chunk a call. A test
# (`test_parity`) removes ``async`` and ``await`` and compares the methods as syntax trees. Generating one from the
# other would make tracebacks point to generated lines.
#
# Nothing that the exchange holds may refer to the pump. The exchange closes its socket when it is collected; with a
# cycle this would happen at some later run of the collector, and the provider would generate until then.

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from polyglot_core._attempt.attempt import Following
from polyglot_core._attempt.lifecycle import State
from polyglot_core._attempt.unexpected_response import OK
from polyglot_core._engine.backends import AsyncBackend, SyncBackend
from polyglot_core._engine.callbacks import call_each
from polyglot_core._engine.flows import run, run_async
from polyglot_core._engine.retry_policy import AcceptTruncated, Raise
from polyglot_core._http.translate import TwoReadersError, without_frames
from polyglot_core._values.descriptors import no_descriptor
from polyglot_core._values.partial import PartialInferenceResponse
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self

    from polyglot_core._engine.background import AsyncBackground, AsyncOperation, Background, Operation
    from polyglot_core._engine.call import Call
    from polyglot_core._engine.flows import Flow
    from polyglot_core._http.event_loops import AsyncSource
    from polyglot_core._http.exchange import AsyncExchange, Exchange
    from polyglot_core._http.pools import Pools
    from polyglot_core._wire.messages import Chunk

    _Taken = PartialInferenceResponse | Iterable[PartialInferenceResponse]

__all__ = ["AsyncPump", "NotYetError", "Pump", "async_pump", "pump"]


_ENDED = State.ENDED
_BackendT = TypeVar("_BackendT", bound="SyncBackend | AsyncBackend")
_ExchangeT = TypeVar("_ExchangeT", bound="Exchange | AsyncExchange")


class NotYetError(Exception):
    """A step is not over at the moment until which it was waited for. It continues."""


class _Pump(Generic[_BackendT, _ExchangeT]):
    """What the two pumps share: all but the loop.

    Attributes:
        call: The call.
        exhausted: True once the iterator has ended.
        interrupted: True if the call was ended by an interruption of a read, and not by its end or `close`.
        partial_callbacks: Called with each partial by `call_back`.
    """

    _take: Callable[[Chunk, float], _Taken]  # `call.attempt.take`, once there is an attempt

    def __init__(self, call: Call, backend: _BackendT) -> None:
        self.call = call
        self.exhausted = self.interrupted = False
        self.partial_callbacks: list[Callable[[PartialInferenceResponse], object]] = []
        self._backoff = 0.0  # seconds to wait before the next request
        self._clocks = call.clocks
        self._chunks: Iterator[Chunk] = iter(())
        self._ready: Iterator[PartialInferenceResponse] | None = None
        self._decoded = False  # whether `_buffered` has decoded a chunk
        self._sending = threading.Lock()  # held while a request is being sent
        self._backend: Any = backend
        self._exchange: _ExchangeT | None = None
        self._direct: _ExchangeT | None = None  # the same; None while something runs in the background
        self._running: Background[Any] | AsyncBackground[Any] | None = None  # what `_step` waits for in parts

    def deadline(self, timeout: float | None) -> float | None:
        """Return the `until` of `advancing` for a timeout in seconds.

        Raises:
            RequestError: The timeout is not valid, or timeouts are not possible here.
        """
        until: float | None = self._backend.deadline(timeout)
        return until

    def _buffered(self) -> PartialInferenceResponse | None:
        """Return the next partial of what has been read; None if there is none, also of what was decoded now."""
        self._decoded = False
        while True:
            for partial in self._ready or ():
                return partial
            self._ready = None
            for chunk in self._chunks:
                self._decoded = True
                taken = self._take(chunk, self._clocks.waited)
                if type(taken) is PartialInferenceResponse:
                    return taken
                self._ready = iter(taken)  # type: ignore[arg-type]  # it is the other of the two
                break
            else:
                return None

    # Flows

    def advancing(self, until: float | None = None) -> Flow[PartialInferenceResponse | None]:
        """Return a partial that has been read. Otherwise decode what was read, send the request or read once.

        It returns None then, so that the events of what was decoded are emitted before the next read.

        `exhausted` is True when there is nothing more. `until` is the moment until which it waits for the step, which
        the next call continues. Raises as iteration does.

        Raises:
            NotYetError: The step is not over by then.
        """
        try:
            if (partial := self._buffered()) is not None or self._decoded:
                return partial
            if not self.call.ended:
                yield from self._step(until)
                return None
        except NotYetError:
            raise
        except PolyglotError as error:
            yield from self._recover(error)
            return None
        except BaseException as interruption:
            if until is not None and self._running is not None and self._running.survives:
                _hide_frames(interruption)
            else:
                yield from self._abandon(interruption)
            raise
        yield from self._end()
        return None

    def next_of(self, partials: object, default: object) -> Flow[Any]:
        """Return the next partial of an iterator, sync or async as the pump is; `default` at its end."""
        return self._backend.wait(self._backend.next, partials, default)  # type: ignore[no-any-return]

    def closing(self) -> Flow[None]:
        """End the call in any phase."""
        self.call.cancel()
        self._backend.wake()
        if (exchange := self._exchange) is not None:
            exchange.abort()
        if self._running is not None or not (self._sending.locked() or self._clocks.waiting):
            self._ready, self._chunks = None, iter(())  # else the reader wakes and releases
            yield from self._release()
        yield from self._cancel_work()

    def _cancel_work(self) -> Flow[None]:
        """Request the provider to stop work that is abandoned, if the driver can and if there is any. Log a failure."""
        result: object = OK.start
        try:
            if not isinstance(sys.exc_info()[1], GeneratorExit) and (call := self.call.cancellation()) is not None:
                result = yield from self._backend.wait(self._backend.cancel_work, call)
        except Exception as error:  # noqa: BLE001 (the caller wants no more of the call; the text may quote a key)
            result = type(error).__name__
        if result not in OK:
            logging.getLogger("polyglot_core.engine").warning("The provider's work was not cancelled: %s.", result)

    def calling_back(self, partial: PartialInferenceResponse) -> Flow[None]:
        """Call `on_partial` with a partial that is about to be returned. What it raises ends the call."""
        return self._call_back(call_each, "on_partial", self.partial_callbacks, partial)

    def _call_back(self, call: Callable[..., None], *arguments: object) -> Flow[None]:
        try:
            call(*arguments)
        except BaseException:
            yield from self.closing()
            raise

    def _step(self, until: float | None = None) -> Flow[None]:
        """Wait for the backoff, send the request, or read once.

        Raises:
            TwoReadersError: Another thread or task sends the request.
            NotYetError: It is not done by `until`.
        """
        if self._sending.locked():
            raise TwoReadersError
        exchange, attempt = self._exchange, self.call.attempt
        if self._backoff:
            yield from self._performed(self._backend.sleeping(self._backoff), until)
            self._backoff = 0.0
        elif exchange is None or attempt is None:
            yield from self._send(until)
        elif data := (yield from self._read(exchange, until)):
            self._chunks = iter(attempt.frame(data))
        elif not self.call.cancelled:
            self._ready = self.call.finish()

    def _send(self, until: float | None) -> Flow[None]:
        if not self._sending.acquire(blocking=False):
            raise TwoReadersError
        try:
            if self.call.cancelled or self._exchange is not None:  # another thread was faster
                return
            self.call.record.start(self.call, self)
            self._exchange = exchange = yield from self._performed(self._backend.opening(self.call), until)
            attempt = self.call.attempt
            if attempt is not None and not self.call.cancelled:
                self.call.responded(exchange.status, exchange.headers)
                self._ready = iter(attempt.begin(exchange.status, exchange.headers, exchange.transport))
                self._take, self._clocks = self.call.record.timed(attempt.take), self.call.clocks
                self._direct = exchange  # last: a second reader may look at any moment
        except OSError as error:  # of an import, or of what the driver reads
            if ours := no_descriptor(error):
                raise ours from error
            raise
        finally:
            self._sending.release()

    def _read(self, exchange: _ExchangeT, until: float | None) -> Flow[bytes]:
        if until is None and self._running is None:
            return self._backend.wait(exchange.read)  # type: ignore[no-any-return]
        return self._performed(self._backend.reading(exchange), until)

    def _performed(self, operation: Operation[Any] | AsyncOperation[Any], until: float | None) -> Flow[Any]:
        """Return the result of an operation: of the one that runs in the background, if there is one.

        Raises:
            NotYetError: It is not over by `until`; the next step continues to wait for it.
        """
        if until is None and self._running is None:
            return (yield from self._backend.wait(operation.run))
        running = self._running or self._backend.background(operation)
        self._direct, self._running = None, running
        if not (yield from self._backend.wait(running.wait, until)):
            raise NotYetError
        self._direct, self._running = self._exchange, None
        return running.result()

    def _recover(self, error: PolyglotError) -> Flow[None]:
        """End the attempt that `error` interrupted; or, if it has ended, prepare the next one or raise.

        `Following` ends a response and not its attempt, so it prepares the next request.

        Raises:
            PolyglotError: `error`, if the call ends with it.
        """
        if isinstance(error, TwoReadersError):  # the stream of the first reader continues
            raise error
        if self.call.cancelled:
            return
        if self.call.interruptible and not isinstance(error, Following):
            self._ready = self.call.interrupted(error)
            return
        target = self.call.target
        try:
            decision = self.call.decide(error)
            if not isinstance(error, Following):
                yield from self._call_back(self.call.report_failure, target, error, decision)
            yield from self._release()
        except BaseException as interruption:
            yield from self._abandon(interruption)
            raise
        if isinstance(decision, Raise):
            raise error
        if not isinstance(decision, AcceptTruncated):
            self._chunks = iter(())
            self._backoff = decision.wait

    def _end(self) -> Flow[None]:
        """Record the end of the iteration.

        Raises:
            StreamError: The call has not ended, but a read of it was interrupted.
        """
        if self.interrupted:
            raise self.call.interrupted_read()
        self.exhausted = True
        yield from self._release()

    def _abandon(self, interruption: BaseException) -> Flow[None]:
        """End the call because of an interruption, which the caller of this method re-raises."""
        _hide_frames(interruption)
        self.interrupted = self.interrupted or not self.call.ended
        self.call.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        yield from self._release()

    def _release(self) -> Flow[None]:
        """Return the connection to its pool if the body was read to the end, else close it."""
        exchange, self._exchange, self._direct = self._exchange, None, None
        running, self._running = self._running, None
        if self.call.following is None:
            self.call.leave()
        wait = self._backend.wait
        try:
            if running is not None:  # which closes the exchange
                yield from wait(running.abandon)
            elif exchange is not None:
                try:
                    if self.call.release():
                        yield from wait(exchange.drain)
                finally:
                    yield from wait(exchange.close)
        except BaseException as interruption:
            _hide_frames(interruption)
            self.call.record.end(self.call, elsewhere=True)
            raise
        self.call.record.end(self.call)


class Pump(_Pump[SyncBackend, "Exchange"]):
    """Carries one call, sync: an iterator of partials."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the hot loop)
        while True:
            try:
                if (ready := self._ready) is not None:  # read once: another thread may close the stream
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
                    attempt, exchange = self.call.attempt, self._direct
                    if attempt is not None and exchange is not None and attempt.state is not _ENDED:
                        # As `_step`, without its calls: a stream spends its time here.
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
                        run(self._step())
            except PolyglotError as error:
                chunk = chunks = data = None  # type: ignore[assignment]  # a traceback shows them, with what is quoted
                run(self._recover(error))
            except BaseException as interruption:
                run(self._abandon(interruption))
                raise
        run(self._end())
        raise StopIteration

    def close(self) -> None:
        """End the call in any phase. Any thread may call it, any number of times."""
        run(self.closing())

    def call_back(self, partial: PartialInferenceResponse) -> PartialInferenceResponse:
        """Call `on_partial` with a partial that is about to be returned, and return it."""
        run(self.calling_back(partial))
        return partial


class AsyncPump(_Pump[AsyncBackend, "AsyncExchange"]):
    """Carries one call, async: an async iterator of partials."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:  # noqa: C901, PLR0912 (the hot loop)
        while True:
            try:
                if (ready := self._ready) is not None:  # read once: another thread may close the stream
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
                    attempt, exchange = self.call.attempt, self._direct
                    if attempt is not None and exchange is not None and attempt.state is not _ENDED:
                        # As `_step`, without its calls: a stream spends its time here.
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
                        await run_async(self._step())
            except PolyglotError as error:
                chunk = chunks = data = None  # type: ignore[assignment]  # a traceback shows them, with what is quoted
                await run_async(self._recover(error))
            except BaseException as interruption:
                await run_async(self._abandon(interruption))
                raise
        await run_async(self._end())
        raise StopAsyncIteration

    async def close(self) -> None:
        """End the call in any phase. Any task of the event loop may call it, any number of times."""
        await run_async(self.closing())

    async def call_back(self, partial: PartialInferenceResponse) -> PartialInferenceResponse:
        """Call `on_partial` with a partial that is about to be returned, and return it."""
        await run_async(self.calling_back(partial))
        return partial


def _hide_frames(interruption: BaseException) -> None:
    """Remove the tracebacks of an interruption, whose frames may hold a key. Those of the caller are added later."""
    if not isinstance(interruption, Exception):
        without_frames(interruption)


def pump(call: Call, pools: Pools) -> Pump:
    """Return a sync pump for a call. Its connections are those of `pools`."""
    return Pump(call, SyncBackend(pools))


def async_pump(call: Call, source: AsyncSource) -> AsyncPump:
    """Return an async pump for a call. Its connections are those of `source`."""
    return AsyncPump(call, AsyncBackend(source))
