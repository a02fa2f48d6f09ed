"""What can be transformed, and reads of it that outlive a deadline.

A read of a response cannot be repeated after a timeout, because what was received meanwhile would be lost. So a read
that may take longer than the caller waits is left to a reader: one thread, or one task, for the whole stream. It reads
when it is asked to, never ahead, and a read that is not over at the deadline stays pending for the next one.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Protocol, TypeVar

import anyio

from polyglot_core.errors import PolyglotError
from polyglot_streams.event_loops import EventLoop, running_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from typing_extensions import TypeVar as TypeVarWithDefault

    from polyglot_core import InferenceResponse

    DataT = TypeVarWithDefault("DataT", default=Any)  # the type checker's alone: Python 3.13 has them
else:
    DataT = TypeVar("DataT")

__all__ = [
    "NOT_YET",
    "AsyncReading",
    "AsyncSource",
    "AsyncUpstream",
    "DataT",
    "NotYet",
    "Reading",
    "Source",
    "Upstream",
    "seconds_until",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class NotYet(Enum):
    """The result of a read that is not over at its deadline. It continues."""

    NOT_YET = "not yet"


NOT_YET: Literal[NotYet.NOT_YET] = NotYet.NOT_YET


class Source(Protocol[T_co, DataT]):
    """A sync stream: of core, of this package, or any object with these methods."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> object:
        """End the stream and close its connection. Any thread may call it, any number of times."""

    def response(self) -> InferenceResponse[DataT]:
        """Read the rest, and return the complete response."""
        ...


class AsyncSource(Protocol[T_co, DataT]):
    """An async stream: of core, of this package, or any object with these methods."""

    def __aiter__(self) -> AsyncIterator[T_co]: ...

    def close(self) -> Awaitable[object]:
        """End the stream and close its connection. Any task may call it, any number of times."""
        ...

    def response(self) -> Awaitable[InferenceResponse[DataT]]:
        """Read the rest, and return the complete response."""
        ...


class Upstream(Protocol[T_co, DataT]):
    """What a sync stream reads from."""

    def read(self, until: float | None) -> T_co | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`, a moment of `perf_counter`.

        Raises:
            StopIteration: The stream has ended.
            PolyglotError: The call failed.
        """
        ...

    def close(self) -> object:
        """Close the source."""

    def response(self) -> InferenceResponse[DataT]:
        """Return the complete response of a stream that has ended."""
        ...


class AsyncUpstream(Protocol[T_co, DataT]):
    """What an async stream reads from."""

    async def read(self, until: float | None) -> T_co | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`, a moment of `perf_counter`.

        Raises:
            StopAsyncIteration: The stream has ended.
            PolyglotError: The call failed.
        """
        ...

    def close(self) -> Awaitable[object]:
        """Close the source."""
        ...

    def response(self) -> Awaitable[InferenceResponse[DataT]]:
        """Return the complete response of a stream that has ended."""
        ...


def seconds_until(until: float) -> float:
    """Return the seconds from now to a moment of `perf_counter`, as a timeout."""
    return min(threading.TIMEOUT_MAX, max(0.0, until - perf_counter()))


def _return(result: T) -> T:
    return result


def _raise(error: BaseException) -> NoReturn:
    raise error


_READ, _QUIT = object(), object()


class _Reader(Generic[T]):
    """A thread that reads a stream, one item each time it is asked. It refers to the iterator alone.

    Args:
        items: The iterator.
        notify: Called in the thread when a read is over.
    """

    def __init__(self, items: Iterator[T], notify: Callable[[], object]) -> None:
        self._items = items
        self._notify = notify
        self._asked = SimpleQueue[object]()
        self._outcomes = SimpleQueue["Callable[[], T]"]()
        self.pending = False  # a read was asked for, and its outcome was not taken
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="polyglot-streams", daemon=True).start()

    def read(self, until: float) -> T | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`. Raises what reading raised."""
        if not self.pending:
            self.pending = True
            self._asked.put(_READ)
        try:
            outcome = self._outcomes.get(timeout=seconds_until(until))
        except Empty:
            return NOT_YET
        self.pending = False
        return outcome()

    def quit(self) -> None:
        """End the thread once its read is over. A read that is asked for later has ended."""
        self._asked.put(_QUIT)

    def _run(self) -> None:
        while self._asked.get() is _READ:
            outcome: Callable[[], T]
            try:
                outcome = partial(_return, next(self._items))
            except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
                outcome = partial(_raise, error)
            self._outcomes.put(outcome)
            del outcome  # an item is not held while the next one is read
            self._notify()
        self._outcomes.put(partial(_raise, StopIteration()))
        self._notify()


class Reading(Generic[T, DataT]):
    """Reads a sync stream. A stream that was begun is closed when this object is dropped.

    Args:
        source: The stream.
        notify: Called in another thread when `poll` is worth another try.
    """

    def __init__(self, source: Source[T, DataT], notify: Callable[[], object] = lambda: None) -> None:
        self._source = source
        self._notify = notify
        self._items: Iterator[T] | None = None
        self._reader: _Reader[T] | None = None
        self._over = False

    def read(self, until: float | None) -> T | NotYet:
        """Return the next item, or NOT_YET. See `Upstream`."""
        if (items := self._items) is None:
            self._items = items = iter(self._source)
        reader = self._reader
        try:
            if (until is None or self._over) and not (reader and reader.pending):
                return next(items)
            if reader is None:
                self._reader = reader = _Reader(items, self._notify)
                if self._over:  # another thread has closed the stream meanwhile, and saw no reader
                    reader.quit()
            return reader.read(threading.TIMEOUT_MAX if until is None else until)
        except (StopIteration, PolyglotError):
            self._end()
            raise

    def poll(self) -> T | NotYet:
        """Return the next item if it has been received; else begin to read it. Raises as `read` does."""
        return self.read(0.0)

    def close(self) -> None:
        """Close the source, which wakes a read."""
        self._end()
        self._source.close()

    def response(self) -> InferenceResponse[DataT]:
        """Return the response of the source."""
        return self._source.response()

    def _end(self) -> None:
        self._over = True
        if self._reader is not None:
            self._reader.quit()

    def __del__(self) -> None:
        if getattr(self, "_items", None) is not None and not self._over:
            self.close()


class _AsyncReader(Generic[T]):
    """A task that reads a stream, one item each time it is asked. It refers to the iterator alone.

    Args:
        items: The iterator.
        notify: Called when a read is over.
        loop: The running event loop.
    """

    def __init__(self, items: AsyncIterator[T], notify: Callable[[], object], loop: EventLoop) -> None:
        self._items = items
        self._notify = notify
        self._woken, self._answered = anyio.Event(), anyio.Event()
        self._outcome: Callable[[], T] | None = None
        self.pending = False  # a read was asked for, and its outcome was not taken
        self._asked = self._quitting = False
        self.cancel = loop.start(self._run)

    async def read(self, until: float) -> T | NotYet:
        """Return the next item, or NOT_YET if there is none by `until`. Raises what reading raised."""
        if self._ask() and (seconds := seconds_until(until)):
            with anyio.move_on_after(seconds):
                await self._answered.wait()
        return self._taken()

    def poll(self) -> T | NotYet:
        """Return the next item if it has been received; else begin to read it."""
        return NOT_YET if self._ask() else self._taken()

    def quit(self) -> None:
        """End the task once its read is over."""
        self._quitting = True
        self._woken.set()

    def _ask(self) -> bool:
        """Ask for an item unless one is pending. Return whether there is none yet."""
        if not self.pending:
            self.pending = self._asked = True
            self._answered = anyio.Event()
            self._woken.set()
        return self._outcome is None

    def _taken(self) -> T | NotYet:
        if (outcome := self._outcome) is None:
            return NOT_YET
        self._outcome, self.pending = None, False
        return outcome()

    async def _run(self) -> None:
        while self._asked or not self._quitting:
            if not self._asked:
                await self._woken.wait()
                self._woken = anyio.Event()
                continue
            self._asked = False
            try:
                self._outcome = partial(_return, await anext(self._items))
            except anyio.get_cancelled_exc_class():  # the event loop is ending, or the stream was dropped
                self._outcome = partial(_raise, StopAsyncIteration())
                raise
            except BaseException as error:  # noqa: BLE001 (raised in the task that waits)
                self._outcome = partial(_raise, error)
            finally:
                self._answered.set()
                self._notify()


class AsyncReading(Generic[T, DataT]):
    """Reads an async stream. A stream that was begun is closed soon after this object is dropped.

    Args:
        source: The stream.
        notify: Called when `poll` is worth another try.
    """

    def __init__(self, source: AsyncSource[T, DataT], notify: Callable[[], object] = lambda: None) -> None:
        self._source = source
        self._notify = notify
        self._items: AsyncIterator[T] | None = None
        self._reader: _AsyncReader[T] | None = None
        self._loop: EventLoop | None = None
        self._over = False

    async def read(self, until: float | None) -> T | NotYet:
        """Return the next item, or NOT_YET. See `AsyncUpstream`."""
        items, reader = self._begun(), self._reader
        try:
            if (until is None or self._over) and not (reader and reader.pending):
                return await anext(items)
            return await self._started(items).read(threading.TIMEOUT_MAX if until is None else until)
        except (StopAsyncIteration, PolyglotError):
            self._end()
            raise

    def poll(self) -> T | NotYet:
        """Return the next item if it has been received; else begin to read it. Raises as `read` does."""
        if self._over and not (self._reader and self._reader.pending):
            raise StopAsyncIteration
        try:
            return self._started(self._begun()).poll()
        except (StopAsyncIteration, PolyglotError):
            self._end()
            raise

    async def close(self) -> None:
        """Close the source, which wakes a read."""
        self._end()
        await self._source.close()

    async def response(self) -> InferenceResponse[DataT]:
        """Return the response of the source."""
        return await self._source.response()

    def _begun(self) -> AsyncIterator[T]:
        """Return the iterator of the source."""
        if (items := self._items) is None:
            self._items = items = aiter(self._source)
            self._loop = running_loop()
        return items

    def _started(self, items: AsyncIterator[T]) -> _AsyncReader[T]:
        """Return the reader, which is started by the first read with a deadline."""
        if (reader := self._reader) is None:
            self._reader = reader = _AsyncReader(items, self._notify, self._loop or running_loop())
        return reader

    def _end(self) -> None:
        self._over = True
        if self._reader is not None:
            self._reader.quit()

    def __del__(self) -> None:
        loop = getattr(self, "_loop", None)
        if loop is None or self._over:
            return
        if self._reader is not None:
            self._reader.cancel()
        loop.start_soon(partial(_closed, self._source))


async def _closed(source: AsyncSource[Any, Any]) -> None:
    """Close a stream whose transform was dropped. An error has no caller to be raised to."""
    with contextlib.suppress(Exception):
        await source.close()
