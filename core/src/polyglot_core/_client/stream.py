"""A response while it is received: iterators of partials, events and texts, and the complete response at the end.

The async classes are the sync ones with ``await``; a test compares them.
"""

from __future__ import annotations

from collections import deque
from functools import partial as bind
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from polyglot_core._client.not_copied import NotCopied
from polyglot_core._engine.callbacks import check_callback
from polyglot_core._engine.flows import run, run_async, waiting
from polyglot_core._engine.observers import SeamObserver
from polyglot_core._engine.pump import AsyncPump, NotYetError, Pump
from polyglot_core._values.formats import DataT
from polyglot_core._values.response import Outcome
from polyglot_core.errors import PolyglotError, ResponseFormatError, StreamError, Truncated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from polyglot_core._engine.flows import Flow
    from polyglot_core._values.events import Event, Seam
    from polyglot_core._values.partial import DataReading, PartialInferenceResponse
    from polyglot_core._values.response import InferenceResponse

__all__ = ["AsyncInferenceStream", "InferenceStream"]


_PumpT = TypeVar("_PumpT", bound="Pump | AsyncPump")
_ElementT = TypeVar("_ElementT")
_T = TypeVar("_T")

_END: Any = object()
"""What a flow returns at the end of an iteration."""


class _Stream(NotCopied, Generic[_PumpT]):
    """The methods of both streams that do not wait."""

    def __init__(self, pump: _PumpT) -> None:
        self._pump = pump
        self._kept: list[PartialInferenceResponse] | None = None  # of a plain response that was read by `response()`

    def on_partial(self, callback: Callable[[PartialInferenceResponse], object]) -> Self:
        """Call `callback` with each partial before it is returned, by whichever method the stream is read.

        May be called several times: every callback is called, in the order of their registration. Register them before
        the stream is read. What a callback raises passes to the caller and closes the stream. Returns the stream.

        Raises:
            RequestError: `callback` is not a function, or is a coroutine function.
        """
        check_callback("on_partial", callback)
        self._pump.partial_callbacks.append(callback)
        return self

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with a `Seam` when a further request has been decided on, before the wait for it.

        May be called several times, as `on_partial`, and what a callback raises closes the stream as well. Returns the
        stream.

        Raises:
            RequestError: `callback` is not a function, or is a coroutine function.
        """
        check_callback("on_seam", callback)
        call = self._pump.call
        call.record.watch(SeamObserver(callback), call, self._pump)
        return self

    def __repr__(self) -> str:
        call = self._pump.call
        outcome = None if call.attempt is None else call.attempt.outcome
        return f"{type(self).__name__}(model={call.target.request.model!r}, outcome={outcome and outcome.value!r})"

    def _complete_text(self, response: InferenceResponse) -> str:
        """Return the text of a response that was read to its end or closed.

        Raises:
            StreamError: A read of it was interrupted, or the response is truncated.
        """
        if self._pump.interrupted:
            raise self._pump.call.interrupted_read()
        if response.outcome is Outcome.TRUNCATED:  # a text cannot be marked
            raise Truncated("The response is truncated; response() returns it.", phase="stream", partial=response)
        return response.content

    def _watch_events(self) -> deque[Event]:
        """Begin to collect events. Return the queue that they are appended to.

        Raises:
            StreamError: A plain response has been read, of which only the partials are kept; or the stream has ended.
        """
        if self._kept is not None:
            msg = "The response has been read and its events were not kept; call events() before response()."
            raise StreamError(msg)
        self._check_not_ended()
        return self._pump.call.watch_events()

    def _check_not_ended(self) -> None:
        if self._pump.exhausted or self._pump.call.error is not None:
            msg = "The stream has ended and is not replayed; the complete response is in response()."
            raise StreamError(msg)

    def _unread(self) -> bool:
        """Return True if the stream has to be read before the response is available."""
        call = self._pump.call
        return not self._pump.exhausted and not call.cancelled and call.error is None

    def _result(self) -> InferenceResponse:
        """Return the response of a call that was read to its end, or raise its error."""
        call = self._pump.call
        if call.error is not None:
            raise call.error.with_traceback(None)
        return call.response

    def _next(self, timeout: float | None) -> Flow[PartialInferenceResponse[Any] | None]:
        """Return what `next` returns; `_END` where that raises StopIteration."""
        until = self._pump.deadline(timeout)
        if self._kept:  # of a plain response that has been read
            return self._kept.pop(0)
        if self._pump.call.error is not None:
            raise self._pump.call.error.with_traceback(None)
        try:
            while not self._pump.exhausted:
                if (partial := (yield from self._pump.advancing(until))) is not None:
                    yield from self._pump.calling_back(partial)
                    return partial
        except NotYetError:
            return None
        return _END  # type: ignore[no-any-return]

    def _take_kept(self) -> list[PartialInferenceResponse] | None:
        """Return the partials of a plain response that was read by `response()`, once; else None.

        Raises:
            StreamError: The stream has ended.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            self._check_not_ended()
        return kept


class _ElementReading:
    """Reads the elements of a list while the response is received."""

    def __init__(self, stream: _Stream[Any], partials: object, path: tuple[str, ...]) -> None:
        use = stream._pump.call.target.use  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if use is None:
            msg = "elements() needs a call with a response_format that is a list, or that has one."
            raise StreamError(msg)
        use.format.reader(use.mode, path)  # a path that the type does not have is refused at once
        self._ready: deque[Any] = deque()
        self._stream = stream
        self._partials = partials
        self._path = path
        self._reading: DataReading | None = None

    def next(self) -> Flow[Any]:
        """Return the next element."""
        next_of = self._stream._pump.next_of  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        while not self._ready:
            if (partial := (yield from next_of(self._partials, _END))) is not _END:
                self._take(partial)
                continue
            self._end()
            if not self._ready:
                return _END
        return self._ready.popleft()

    def _take(self, partial: PartialInferenceResponse) -> None:
        """Read what a partial brings. After a restart a new reading begins."""
        if partial.choice == 0:
            self._reading = partial.read_data(self._reading, self._path)
            self._take_elements(self._reading)

    def _end(self) -> None:
        """Read the last elements, at the end of the stream.

        Raises:
            ResponseFormatError: The response was no list.
            StreamError: Another iterator has read all of it.
        """
        response = self._stream._result()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if self._reading is None:
            raise StreamError("Another iterator has read the stream, so elements() has none; use response().data.")
        self._reading.finish()
        self._take_elements(self._reading)
        try:
            if not self._ready:
                self._reading.reader.close()
        except ResponseFormatError as error:
            _ = response.data  # raises what says more: a refusal, a cut
            raise self._explained(error) from None

    def _take_elements(self, reading: DataReading) -> None:
        try:
            self._ready.extend(reading.reader.elements())
        except ResponseFormatError as error:
            raise self._explained(error) from error.__cause__

    def _explained(self, error: ResponseFormatError) -> ResponseFormatError:
        """Return an error with the text and the response so far."""
        response = self._stream._pump.call.response  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        error.text = error.text or response.content
        return error.add_facts(partial=response, connection=response.connection, provider=response.provider)


class InferenceStream(_Stream[Pump], Generic[DataT]):
    """A response while it is received. Iterate it for partials.

    Use ``with`` to close the connection however the block is left. One thread reads a stream; any thread may `close`
    it. A loop resumes where the last one stopped.
    """

    def __iter__(self) -> Iterator[PartialInferenceResponse[DataT]]:
        """Return an iterator of the partials that have not been emitted yet.

        Raises:
            StreamError: The stream has ended. The iterator itself raises the errors of the call.
        """
        return self._partials()

    def events(self) -> Iterator[Event]:
        """Return an iterator of the events that the partials are built from, starting at the current position.

        Only pings are emitted until the first content is received: before that the request may be retried.
        Raises as iteration of the stream does.
        """
        return _Iterator(_EventReading(self._pump, self._watch_events()).next)

    def text(self) -> Iterator[str]:
        """Return an iterator of the visible text of choice 0, in pieces. Raises as iteration of the stream does."""
        return map(_text_of, filter(_has_text, self._partials()))

    @overload
    def elements(self: InferenceStream[list[_ElementT]]) -> Iterator[_ElementT]: ...
    @overload
    def elements(self, *path: str) -> Iterator[Any]: ...
    def elements(self, *path: str) -> Iterator[Any]:
        """Return an iterator of the elements of a list in the data, each validated, as soon as it is complete.

        For type checkers they have the type that a `response_format` such as ``list[City]`` names. In a member, and
        with other formats, they are `Any`: type checkers do not find a member by its name.

        Args:
            path: Names of the members that lead to the list, as in ``elements("cities")``; none where the
                `response_format` is a list itself.

        Raises:
            StreamError: The stream has ended, or the call had no response format.
            ResponseFormatError: From the iterator: an element does not fit, or the response is no such list.
        """
        return _Iterator(_ElementReading(self, self._partials(), path).next)

    def next(self, timeout: float | None = None) -> PartialInferenceResponse[DataT] | None:
        """Return the next partial, or None if none was received within `timeout` seconds.

        Nothing is lost by a timeout: the request and the read continue, and the next call, a loop or `response` gets
        what was received. The clocks of the call run as usual. 0 returns what has been received already, within a few
        milliseconds; None waits without a limit.

        Raises:
            StopIteration: The stream has ended or was closed, as `next` does.
            RequestError: The timeout is not a number of seconds.
            PolyglotError: As iteration of the stream does. Repeated calls raise the same error.
        """
        if (partial := run(self._next(timeout))) is _END:
            raise StopIteration
        return partial

    def response(self) -> InferenceResponse[DataT]:
        """Read the rest of the stream and return the complete response.

        After `close` it returns the content received until then, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        if self._unread():
            rest = [partial for partial in self._partials()]  # noqa: C416 (the async twin has no shorter form)
            self._kept = None if self._pump.call.target.request.stream else rest
        return self._result()

    def final(self) -> InferenceResponse[DataT]:
        """Return `response()`. An older name."""
        return self.response()

    def close(self) -> None:
        """End the stream and close its connection. The content received so far stays readable in `response()`."""
        self._pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _partials(self) -> Iterator[PartialInferenceResponse[DataT]]:
        """Return an iterator of the rest of the stream, which runs the callback if there is one."""
        if (kept := self._take_kept()) is not None:
            return iter(kept)
        return map(self._pump.call_back, self._pump) if self._pump.partial_callbacks else self._pump


class _Iterator(Generic[_T]):
    """Iterates what a flow returns, time after time, up to `_END`."""

    def __init__(self, flow: Callable[[], Flow[_T]]) -> None:
        self._flow = flow

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        if (item := run(self._flow())) is _END:
            raise StopIteration
        return item


class _EventReading:
    """Reads events. The partials that are built from them are consumed with them."""

    def __init__(self, pump: Pump | AsyncPump, events: deque[Event]) -> None:
        self._pump = pump
        self._events = events
        self._error: PolyglotError | None = None

    def next(self) -> Flow[Event]:
        """Return the next event."""
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._pump.exhausted:
                return _END  # type: ignore[no-any-return]
            try:
                partial = yield from self._pump.advancing()
            except PolyglotError as error:
                self._error = error  # raised after the events received before it
                continue
            if partial is not None and self._pump.partial_callbacks:
                yield from self._pump.calling_back(partial)
        return self._events.popleft()


_text_of = attrgetter("content_delta")


def _has_text(partial: PartialInferenceResponse) -> bool:
    """Return True for a partial with a piece of choice 0's text."""
    return bool(partial.content_delta) and partial.choice == 0


class AsyncInferenceStream(_Stream[AsyncPump], Generic[DataT]):
    """A response while it is received. Iterate it for partials.

    Use ``async with`` to close the connection however the block is left. One task reads a stream; any task may `close`
    it. A loop resumes where the last one stopped.
    """

    def __aiter__(self) -> AsyncIterator[PartialInferenceResponse[DataT]]:
        """Return an iterator of the partials that have not been emitted yet.

        Raises:
            StreamError: The stream has ended. The iterator itself raises the errors of the call.
        """
        return self._partials()

    def events(self) -> AsyncIterator[Event]:
        """Return an iterator of the events that the partials are built from, starting at the current position.

        Only pings are emitted until the first content is received: before that the request may be retried.
        Raises as iteration of the stream does.
        """
        return _AsyncIterator(_EventReading(self._pump, self._watch_events()).next)

    def text(self) -> AsyncIterator[str]:
        """Return an iterator of the visible text of choice 0, in pieces. Raises as iteration of the stream does."""
        return _AsyncTexts(self._partials())

    @overload
    def elements(self: AsyncInferenceStream[list[_ElementT]]) -> AsyncIterator[_ElementT]: ...
    @overload
    def elements(self, *path: str) -> AsyncIterator[Any]: ...
    def elements(self, *path: str) -> AsyncIterator[Any]:
        """Return an iterator of the elements of a list in the data, each validated, as soon as it is complete.

        For type checkers they have the type that a `response_format` such as ``list[City]`` names. In a member, and
        with other formats, they are `Any`: type checkers do not find a member by its name.

        Args:
            path: Names of the members that lead to the list, as in ``elements("cities")``; none where the
                `response_format` is a list itself.

        Raises:
            StreamError: The stream has ended, or the call had no response format.
            ResponseFormatError: From the iterator: an element does not fit, or the response is no such list.
        """
        return _AsyncIterator(_ElementReading(self, self._partials(), path).next)

    async def next(self, timeout: float | None = None) -> PartialInferenceResponse[DataT] | None:  # noqa: ASYNC109 (a cancellation would lose the read)
        """Return the next partial, or None if none was received within `timeout` seconds.

        Nothing is lost by a timeout: the request and the read continue, and the next call, a loop or `response` gets
        what was received. The clocks of the call run as usual. 0 returns what has been received already, within a few
        milliseconds; None waits without a limit.

        Cancelling this wait loses nothing either on asyncio. In trio only ``timeout=None`` is possible, and a
        cancellation of the wait ends the stream.

        Raises:
            StopAsyncIteration: The stream has ended or was closed, as `anext` does.
            RequestError: The timeout is not a number of seconds; or it is set, and the event loop is trio's.
            PolyglotError: As iteration of the stream does. Repeated calls raise the same error.
        """
        if (partial := await run_async(self._next(timeout))) is _END:
            raise StopAsyncIteration
        return partial

    async def response(self) -> InferenceResponse[DataT]:
        """Read the rest of the stream and return the complete response.

        After `close` it returns the content received until then, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        if self._unread():
            rest = [partial async for partial in self._partials()]
            self._kept = None if self._pump.call.target.request.stream else rest
        return self._result()

    async def final(self) -> InferenceResponse[DataT]:
        """Return `response()`. An older name."""
        return await self.response()

    async def close(self) -> None:
        """End the stream and close its connection. The content received so far stays readable in `response()`."""
        await self._pump.close()

    async def aclose(self) -> None:
        """Close the stream; the name that `contextlib.aclosing` uses."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _partials(self) -> AsyncIterator[PartialInferenceResponse[DataT]]:
        """Return an iterator of the rest of the stream, which runs the callback if there is one."""
        if (kept := self._take_kept()) is not None:
            return _AsyncIterator(bind(waiting, next, iter(kept), _END))
        return _AsyncWatched(self._pump) if self._pump.partial_callbacks else self._pump


class _AsyncIterator(Generic[_T]):
    """Iterates what a flow returns, time after time, up to `_END`."""

    def __init__(self, flow: Callable[[], Flow[_T]]) -> None:
        self._flow = flow

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        if (item := await run_async(self._flow())) is _END:
            raise StopAsyncIteration
        return item


class _AsyncWatched:
    """Iterates partials, and runs the callbacks with each before it is returned."""

    def __init__(self, pump: AsyncPump) -> None:
        self._pump = pump

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        return await self._pump.call_back(await anext(self._pump))


class _AsyncTexts:
    """Iterates the non-empty pieces of choice 0's text."""

    def __init__(self, partials: AsyncIterator[PartialInferenceResponse]) -> None:
        self._partials = partials

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            partial = await anext(self._partials)
            if _has_text(partial):
                return partial.content_delta
