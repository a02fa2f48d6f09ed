"""The functions of this package: each takes a stream first."""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

from polyglot_core import PartialInferenceResponse
from polyglot_core.errors import RequestError
from polyglot_streams.checks import check_function, count, is_async, pattern_of
from polyglot_streams.checks import seconds as _seconds
from polyglot_streams.hub import AsyncHub, Hub, HubState, Policy
from polyglot_streams.pacing import Coalesce, Heartbeat, Smooth, boundary
from polyglot_streams.saving import SavedAs, Saving
from polyglot_streams.sharing import AsyncBranch, AsyncShared, Branch, Shared
from polyglot_streams.sources import AsyncReading, AsyncSource, Reading, Source
from polyglot_streams.stages import FunctionStage, Stage
from polyglot_streams.stopping import StopAfter, StopRule, StopWhen, matches
from polyglot_streams.stream import AsyncStream, Stream

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

__all__ = [
    "coalesce",
    "collect",
    "filter",
    "last",
    "map",
    "reduce",
    "save",
    "share",
    "smooth",
    "stop_when",
    "tee",
    "with_heartbeat",
]

T = TypeVar("T")
U = TypeVar("U")
DataT = TypeVar("DataT")
Partial = PartialInferenceResponse[Any]


class _Map(FunctionStage[Any, Any]):
    """Emits what the function returns."""

    def take(self, item: Any, result: Any) -> Iterable[Any]:  # noqa: ARG002 (only the result is emitted)
        """Take an item."""
        return (result,)


class _Filter(FunctionStage[Any, Any]):
    """Emits the items for which the function returns true."""

    def take(self, item: Any, result: Any) -> Iterable[Any]:
        """Take an item."""
        return (item,) if result else ()


def _transformed(name: str, stream: object, stage: Callable[[], Stage[Any, Any]]) -> Any:
    """Return a stream, sync or async as `stream` is, with a stage that is created once `stream` is known to be one.

    Raises:
        RequestError: `stream` is no stream.
    """
    given: Any = stream
    if is_async(name, stream):
        return AsyncStream(given if isinstance(given, AsyncStream) else AsyncReading(given), stage())
    return Stream(given if isinstance(given, Stream) else Reading(given), stage())


@overload
def map(stream: Source[T, DataT], function: Callable[[T], U]) -> Stream[U, DataT]: ...
@overload
def map(stream: AsyncSource[T, DataT], function: Callable[[T], Awaitable[U]]) -> AsyncStream[U, DataT]: ...
@overload
def map(stream: AsyncSource[T, DataT], function: Callable[[T], U]) -> AsyncStream[U, DataT]: ...
def map(stream: Any, function: Callable[[Any], Any]) -> Any:
    """Return a stream of what a function returns for each item.

    Args:
        stream: The stream, sync or async.
        function: Called with each item; a coroutine function on an async stream.

    Raises:
        RequestError: An argument is of a wrong type. What the function raises closes the stream and passes through.
    """
    check_function("map", function)
    return _transformed("map", stream, lambda: _Map(function))


@overload
def filter(stream: Source[T, DataT], function: Callable[[T], object]) -> Stream[T, DataT]: ...
@overload
def filter(stream: AsyncSource[T, DataT], function: Callable[[T], object]) -> AsyncStream[T, DataT]: ...
def filter(stream: Any, function: Callable[[Any], object]) -> Any:
    """Return a stream of the items for which a function returns true.

    Args:
        stream: The stream, sync or async.
        function: Called with each item; a coroutine function on an async stream.

    Raises:
        RequestError: An argument is of a wrong type. What the function raises closes the stream and passes through.
    """
    check_function("filter", function)
    return _transformed("filter", stream, lambda: _Filter(function))


@overload
def smooth(
    stream: Source[T, DataT],
    by: str | re.Pattern[str] = "word",
    delay: float = 0.01,
) -> Stream[T, DataT]: ...
@overload
def smooth(
    stream: AsyncSource[T, DataT],
    by: str | re.Pattern[str] = "word",
    delay: float = 0.01,
) -> AsyncStream[T, DataT]: ...
def smooth(stream: Any, by: str | re.Pattern[str] = "word", delay: float = 0.01) -> Any:
    """Return a stream whose text is emitted in pieces of one kind, with a delay between two of them.

    Providers send a syllable or a paragraph at a time. Text after the last boundary is held until the next one, or
    until something else is received; at most 1000 characters are. Other content passes as it is, in its place.

    Args:
        stream: The stream, sync or async.
        by: ``word``, ``line``, or a regular expression: a piece ends with a match. In scripts without spaces between
            words each character is a word.
        delay: Seconds between two pieces.

    Raises:
        RequestError: An argument is of a wrong type.
    """
    find, wait = boundary(by), _seconds("delay", delay)
    return _transformed("smooth", stream, lambda: Smooth(find, wait))


@overload
def coalesce(stream: Source[T, DataT], seconds: float) -> Stream[T, DataT]: ...
@overload
def coalesce(stream: AsyncSource[T, DataT], seconds: float) -> AsyncStream[T, DataT]: ...
def coalesce(stream: Any, seconds: float) -> Any:
    """Return a stream with at most about one partial of a choice per window, whose deltas are joined.

    A partial after a pause is emitted at once, and none is held for longer than the window. A finish reason, a seam and
    another kind of content are not joined with earlier ones.

    Args:
        stream: The stream, sync or async.
        seconds: Length of the window.

    Raises:
        RequestError: An argument is of a wrong type.
    """
    window = _seconds("seconds", seconds)
    return _transformed("coalesce", stream, lambda: Coalesce(window))


@overload
def with_heartbeat(stream: Source[T, DataT], seconds: float) -> Stream[T | Partial, DataT]: ...
@overload
def with_heartbeat(stream: AsyncSource[T, DataT], seconds: float) -> AsyncStream[T | Partial, DataT]: ...
def with_heartbeat(stream: Any, seconds: float) -> Any:
    """Return a stream that emits a partial with nothing new when nothing was received for some time.

    The read continues meanwhile, and the clocks of the call run as usual.

    Args:
        stream: The stream, sync or async.
        seconds: Seconds without a partial after which one is emitted; at least 0.001.

    Raises:
        RequestError: An argument is of a wrong type.
    """
    interval = _seconds("seconds", seconds, least=0.001)
    return _transformed("with_heartbeat", stream, lambda: Heartbeat(interval, perf_counter()))


@overload
def stop_when(
    stream: Source[T, DataT],
    rule: str | re.Pattern[str] | StopRule | Callable[[T], object],
) -> Stream[T, DataT]: ...
@overload
def stop_when(
    stream: AsyncSource[T, DataT],
    rule: str | re.Pattern[str] | StopRule | Callable[[T], object],
) -> AsyncStream[T, DataT]: ...
def stop_when(stream: Any, rule: Any) -> Any:
    """Return a stream that a rule ends, which closes the connection.

    The stream ends with the text up to the end of the match. `response()` has everything that was received, the
    outcome ``cancelled``, and a note with the rule; `stream.stopped` is the same sentence. If the model is done first,
    the outcome is as ever, and `stopped` is None.

    Args:
        stream: The stream, sync or async.
        rule: A regular expression, searched in the text of choice 0, with matches of up to 1000 characters;
            `json_complete` or `repeated_ngram`; or a function that is called with each partial and returns true for the
            last one, a coroutine function on an async stream.

    Raises:
        RequestError: An argument is of a wrong type, or the regular expression matches the empty text.
    """
    if isinstance(rule, (str, re.Pattern)):
        pattern = pattern_of("rule", rule)
        if pattern.search(""):
            msg = f"The regular expression {pattern.pattern!r:.80} matches the empty text, so it would stop at once."
            raise RequestError(msg, phase="configure")
        return _transformed("stop_when", stream, lambda: StopWhen(matches(pattern)))
    if not isinstance(rule, type) and callable(getattr(rule, "feed", None)):
        return _transformed("stop_when", stream, lambda: StopWhen(rule))
    check_function("stop_when", rule)
    return _transformed("stop_when", stream, lambda: StopAfter(rule))


@overload
def save(stream: Source[T, DataT], path: str | os.PathLike[str], as_: SavedAs = "text") -> Stream[T, DataT]: ...
@overload
def save(
    stream: AsyncSource[T, DataT], path: str | os.PathLike[str], as_: SavedAs = "text"
) -> AsyncStream[T, DataT]: ...
def save(stream: Any, path: str | os.PathLike[str], as_: SavedAs = "text") -> Any:
    """Return the stream, and write it to a file while it is read.

    What was received is in ``<path>.partial`` until the stream has ended well; then it replaces `path`, in one step. A
    stream that was closed or has failed leaves the partial file.

    Args:
        stream: The stream, sync or async.
        path: The file.
        as_: ``text`` for the text of choice 0 in UTF-8, or ``events`` for a line of JSON for each partial.

    Raises:
        OSError: The file cannot be written; also while the stream is read, which closes it.
        RequestError: An argument is of a wrong type.
        StreamError: At the end: another stream was saved to the same path meanwhile.
    """
    return _transformed("save", stream, lambda: Saving(path, as_))


@overload
def tee(
    stream: Source[T, DataT], n: int = 2, *, buffer: int = 1000, policy: Policy = "wait"
) -> tuple[Branch[T, DataT], ...]: ...
@overload
def tee(
    stream: AsyncSource[T, DataT], n: int = 2, *, buffer: int = 1000, policy: Policy = "wait"
) -> tuple[AsyncBranch[T, DataT], ...]: ...
def tee(stream: Any, n: int = 2, *, buffer: int = 1000, policy: Policy = "wait") -> Any:
    """Return several streams with the same items, each for a reader of its own.

    The connection is closed when all of them were closed or dropped. A reader that leaves takes nothing from the
    others.

    Args:
        stream: The stream, sync or async.
        n: Number of streams.
        buffer: Number of items that one reader may be behind another.
        policy: What happens then. ``wait``: the faster one waits. ``drop``: the slower one loses its oldest items, and
            counts them in `dropped`; the content of later partials has their text. ``fail``: the slower one gets what
            its buffer holds, and then a `FellBehind`.

    Raises:
        RequestError: An argument is of a wrong type.
        FellBehind: From a stream: it fell behind; or it would wait for one without a reader.
    """
    count("n", n, 1)
    state: HubState[Any] = HubState(buffer, policy, joinable=False)
    if is_async("tee", stream):
        async_hub: AsyncHub[Any, Any] = AsyncHub(stream, state)
        return tuple(AsyncBranch(async_hub.join()) for _ in range(n))
    hub: Hub[Any, Any] = Hub(stream, state)
    return tuple(Branch(hub.join()) for _ in range(n))


@overload
def share(
    stream: Source[PartialInferenceResponse[Any], DataT], *, buffer: int = 1000, policy: Policy = "wait"
) -> Shared[DataT]: ...
@overload
def share(
    stream: AsyncSource[PartialInferenceResponse[Any], DataT], *, buffer: int = 1000, policy: Policy = "wait"
) -> AsyncShared[DataT]: ...
def share(stream: Any, *, buffer: int = 1000, policy: Policy = "wait") -> Any:
    """Return a stream that readers join with `join`, at any time, also after its end.

    A reader gets what was received so far as one partial for each choice, and what follows as it is received. Nothing
    but the last partial of each choice is kept for that.

    Args:
        stream: The stream, sync or async.
        buffer: Number of partials that one reader may be behind another.
        policy: What happens then: ``wait``, ``drop`` or ``fail``, as in `tee`.

    Raises:
        RequestError: An argument is of a wrong type.
    """
    state: HubState[Any] = HubState(buffer, policy, joinable=True)
    if is_async("share", stream):
        return AsyncShared(AsyncHub(stream, state))
    return Shared(Hub(stream, state))


class _Reduce(FunctionStage[Any, Any]):
    """Keeps what the function returns for the value so far and an item. Emits nothing."""

    def __init__(self, function: Callable[[Any, Any], Any], initial: Any) -> None:
        super().__init__(lambda item: function(self.value, item))
        self.value = initial

    def take(self, item: Any, result: Any) -> Iterable[Any]:  # noqa: ARG002 (the result is the value)
        """Take an item."""
        self.value = result
        return ()


def _value_of(name: str, stream: object, stage: _Reduce) -> Any:
    """Read a stream to its end with a stage that keeps a value; return it, or a coroutine that does."""
    transformed: Any = _transformed(name, stream, lambda: stage)
    return (
        _read_all_async(transformed, stage) if isinstance(transformed, AsyncStream) else _read_all(transformed, stage)
    )


def _read_all(stream: Stream[Any, Any], stage: _Reduce) -> Any:
    with stream:
        for _ in stream:
            pass
    return stage.value


async def _read_all_async(stream: AsyncStream[Any, Any], stage: _Reduce) -> Any:
    async with stream:
        async for _ in stream:
            pass
    return stage.value


@overload
def reduce(stream: Source[T, Any], function: Callable[[U, T], U], initial: U) -> U: ...
@overload
def reduce(
    stream: AsyncSource[T, Any], function: Callable[[U, T], Awaitable[U]], initial: U
) -> Coroutine[Any, Any, U]: ...
@overload
def reduce(stream: AsyncSource[T, Any], function: Callable[[U, T], U], initial: U) -> Coroutine[Any, Any, U]: ...
def reduce(stream: Any, function: Callable[[Any, Any], Any], initial: Any) -> Any:
    """Read a stream to its end, and return what a function makes of its items. Of an async stream, await it.

    Args:
        stream: The stream, sync or async.
        function: Called with the value so far and an item, returns the next value; a coroutine function on an async
            stream.
        initial: The value before the first item.

    Raises:
        RequestError: An argument is of a wrong type.
        PolyglotError: The call failed.
    """
    check_function("reduce", function)
    return _value_of("reduce", stream, _Reduce(function, initial))


@overload
def collect(stream: Source[T, Any]) -> list[T]: ...
@overload
def collect(stream: AsyncSource[T, Any]) -> Coroutine[Any, Any, list[T]]: ...
def collect(stream: Any) -> Any:
    """Read a stream to its end, and return its items. Of an async stream, await it.

    Raises:
        RequestError: It is no stream.
        PolyglotError: The call failed.
    """
    return _value_of("collect", stream, _Reduce(_appended, []))


def _appended(items: list[Any], item: Any) -> list[Any]:
    items.append(item)
    return items


@overload
def last(stream: Source[T, Any]) -> T | None: ...
@overload
def last(stream: AsyncSource[T, Any]) -> Coroutine[Any, Any, T | None]: ...
def last(stream: Any) -> Any:
    """Read a stream to its end, and return its last item; None if it has none. Of an async stream, await it.

    Raises:
        RequestError: It is no stream.
        PolyglotError: The call failed.
    """
    return _value_of("last", stream, _Reduce(lambda _, item: item, None))
