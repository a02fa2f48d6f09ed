"""An answer as it comes: iterators of partials, of events and of texts, and the response at the end.

The async classes are the sync ones with ``await``; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from polyglot_core._engine.pump import AsyncPump, EventsWaiting, Pump
from polyglot_core.errors import PolyglotError, StreamError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Self

    from polyglot_core._values.events import Event, Seam
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.response import InferenceResponse

__all__ = ["AsyncInferenceStream", "InferenceStream", "NotCopied"]


class NotCopied:
    """What holds connections is neither pickled nor copied: the copy would hold none, or a stranger's."""

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} holds connections and is neither pickled nor copied; make another."
        raise TypeError(msg)


_PumpT = TypeVar("_PumpT", bound="Pump | AsyncPump")


class _Stream(NotCopied, Generic[_PumpT]):
    """What does not wait, of the two streams."""

    def __init__(self, pump: _PumpT) -> None:
        self._pump = pump
        self._callback: Callable[[PartialInferenceResponse], object] | None = None
        self._kept: list[PartialInferenceResponse] | None = None  # of a plain answer that was taken whole

    def on_partial(self, callback: Callable[[PartialInferenceResponse], object]) -> Self:
        """Call `callback` with each partial before it is handed out, whatever drives the stream. Returns the stream."""
        self._callback = callback
        return self

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with each further request when it is decided on, before the wait. Returns the stream."""
        self._pump.call.on_seam = callback
        return self

    def __repr__(self) -> str:
        call = self._pump.call
        outcome = None if call.attempt is None else call.attempt.outcome
        return f"{type(self).__name__}(model={call.request.model!r}, outcome={outcome and outcome.value!r})"

    def _check_events(self) -> None:
        """See that there are events to show.

        Raises:
            StreamError: A plain answer was taken whole, of which only the partials are kept.
        """
        if self._kept is not None:
            msg = "The answer was taken whole, and its events are not kept; ask for events() first."
            raise StreamError(msg)

    def _unread(self) -> bool:
        """Whether there is something to read before the response can be taken."""
        call = self._pump.call
        return not self._pump.exhausted and not call.cancelled and call.error is None

    def _answer(self) -> InferenceResponse:
        """The response of a call that was read to its end."""
        call = self._pump.call
        if call.error is not None:
            raise call.error.with_traceback(None)
        return call.response

    def _take_kept(self) -> list[PartialInferenceResponse] | None:
        """The partials of a plain answer that was taken whole, once; None where the stream itself is to be read.

        Raises:
            StreamError: The stream has ended.
        """
        kept, self._kept = self._kept, None
        if kept is None and (self._pump.exhausted or self._pump.call.error is not None):
            msg = "The stream has ended and is not replayed; the whole answer is in response()."
            raise StreamError(msg)
        return kept


class InferenceStream(_Stream[Pump]):
    """An answer as it comes. Iterate it for partials; use ``with`` to close the connection wherever you leave.

    One thread reads a stream; any thread may `close` it. A loop goes on where the last one stopped.
    """

    def __iter__(self) -> Iterator[PartialInferenceResponse]:
        """The partials that have not been handed out yet.

        Raises:
            StreamError: The stream has ended. Further errors come out of the iterator.
        """
        return self._partials()

    def events(self) -> Iterator[Event]:
        """What the partials are made of, event by event, from where the stream stands.

        Raises as a loop over the stream does.
        Until something of the answer has come, only pings are handed out.
        """
        self._check_events()
        return _Events(self._partials(), self._pump)

    def text(self) -> Iterator[str]:
        """The pieces of choice 0's visible text. Raises as a loop over the stream."""
        return _Texts(self._partials())

    def response(self) -> InferenceResponse:
        """Read what is left and return the complete response.

        A stream that was closed gives what had come, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        if self._unread():
            rest = [partial for partial in self._partials()]  # noqa: C416 (the async twin has no shorter form)
            self._kept = None if self._pump.call.request.stream else rest
        return self._answer()

    def final(self) -> InferenceResponse:
        """The older word for `response`."""
        return self.response()

    def close(self) -> None:
        """End the stream and close its connection; what had come stays readable in `response()`."""
        self._pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _partials(self) -> Iterator[PartialInferenceResponse]:
        """The rest of the stream, by way of the callback if there is one."""
        if (kept := self._take_kept()) is not None:
            return iter(kept)
        return self._pump if self._callback is None else _Watched(self._pump, self._callback)


class _Watched:
    """Iterates partials, and calls somebody with each before it is handed out."""

    def __init__(self, pump: Pump, callback: Callable[[PartialInferenceResponse], object]) -> None:
        self._pump = pump
        self._callback = callback

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PartialInferenceResponse:
        partial = next(self._pump)
        self._callback(partial)
        return partial


class _Texts:
    """Iterates the non-empty pieces of choice 0's text."""

    def __init__(self, partials: Iterator[PartialInferenceResponse]) -> None:
        self._partials = partials

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        while True:
            partial = next(self._partials)
            if partial.content_delta and partial.choice == 0:
                return partial.content_delta


class _Events:
    """Iterates events; the partials that they make are taken off the stream with them."""

    def __init__(self, partials: Iterator[PartialInferenceResponse], pump: Pump) -> None:
        self._partials: Iterator[PartialInferenceResponse] | None = partials
        self._pump = pump
        self._events: deque[Event] = pump.call.watch_events()
        self._error: PolyglotError | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._partials is None:
                raise StopIteration
            self._pump.stops_for_events = True
            try:
                if next(self._partials, None) is None:
                    self._partials = None
            except EventsWaiting:
                continue
            except PolyglotError as error:
                self._partials, self._error = None, error  # the events before it come first
            finally:
                self._pump.stops_for_events = False
        return self._events.popleft()


class AsyncInferenceStream(_Stream[AsyncPump]):
    """An answer as it comes. Iterate it for partials; use ``async with`` to close the connection wherever you leave.

    One task reads a stream; any task may `close` it. A loop goes on where the last one stopped.
    """

    def __aiter__(self) -> AsyncIterator[PartialInferenceResponse]:
        """The partials that have not been handed out yet.

        Raises:
            StreamError: The stream has ended. Further errors come out of the iterator.
        """
        return self._partials()

    def events(self) -> AsyncIterator[Event]:
        """What the partials are made of, event by event, from where the stream stands.

        Raises as a loop over the stream does.
        Until something of the answer has come, only pings are handed out.
        """
        self._check_events()
        return _AsyncEvents(self._partials(), self._pump)

    def text(self) -> AsyncIterator[str]:
        """The pieces of choice 0's visible text. Raises as a loop over the stream."""
        return _AsyncTexts(self._partials())

    async def response(self) -> InferenceResponse:
        """Read what is left and return the complete response.

        A stream that was closed gives what had come, with ``outcome == "cancelled"``.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        if self._unread():
            rest = [partial async for partial in self._partials()]
            self._kept = None if self._pump.call.request.stream else rest
        return self._answer()

    async def final(self) -> InferenceResponse:
        """The older word for `response`."""
        return await self.response()

    async def close(self) -> None:
        """End the stream and close its connection; what had come stays readable in `response()`."""
        await self._pump.close()

    async def aclose(self) -> None:
        """The usual other name of `close`."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _partials(self) -> AsyncIterator[PartialInferenceResponse]:
        """The rest of the stream, by way of the callback if there is one."""
        if (kept := self._take_kept()) is not None:
            return _AsyncKept(kept)
        return self._pump if self._callback is None else _AsyncWatched(self._pump, self._callback)


class _AsyncKept:
    """Iterates the partials of a plain answer that has been taken whole."""

    def __init__(self, partials: list[PartialInferenceResponse]) -> None:
        self._partials = iter(partials)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        for partial in self._partials:
            return partial
        raise StopAsyncIteration


class _AsyncWatched:
    """Iterates partials, and calls somebody with each before it is handed out."""

    def __init__(self, pump: AsyncPump, callback: Callable[[PartialInferenceResponse], object]) -> None:
        self._pump = pump
        self._callback = callback

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PartialInferenceResponse:
        partial = await anext(self._pump)
        self._callback(partial)
        return partial


class _AsyncTexts:
    """Iterates the non-empty pieces of choice 0's text."""

    def __init__(self, partials: AsyncIterator[PartialInferenceResponse]) -> None:
        self._partials = partials

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while True:
            partial = await anext(self._partials)
            if partial.content_delta and partial.choice == 0:
                return partial.content_delta


class _AsyncEvents:
    """Iterates events; the partials that they make are taken off the stream with them."""

    def __init__(self, partials: AsyncIterator[PartialInferenceResponse], pump: AsyncPump) -> None:
        self._partials: AsyncIterator[PartialInferenceResponse] | None = partials
        self._pump = pump
        self._events: deque[Event] = pump.call.watch_events()
        self._error: PolyglotError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._partials is None:
                raise StopAsyncIteration
            self._pump.stops_for_events = True
            try:
                if await anext(self._partials, None) is None:
                    self._partials = None
            except EventsWaiting:
                continue
            except PolyglotError as error:
                self._partials, self._error = None, error  # the events before it come first
            finally:
                self._pump.stops_for_events = False
        return self._events.popleft()
