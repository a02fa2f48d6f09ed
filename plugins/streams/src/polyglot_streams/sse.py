"""Streams as bytes for a web framework: server-sent events and plain text, sync and async.

What is async is what is sync with ``await``. A web framework iterates a generator and closes it when its client
disconnects; `asgi` watches for that itself.
"""

from __future__ import annotations

from contextlib import aclosing, closing
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar, overload

from anyio import CancelScope

from polyglot_core import InferenceResponse, Outcome, PartialInferenceResponse, ToolCall, ToolResult
from polyglot_core.errors import RequestError, StreamError
from polyglot_streams.checks import is_async, seconds
from polyglot_streams.frames import OPENING, PING, AsyncFeed, Feed, Writer, was_stopped
from polyglot_streams.replays import AsyncKept, EventId, Kept, Replays
from polyglot_streams.shapes import Describe, Item, NotKept, Shape, check_kept, public_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from polyglot_streams.sources import AsyncSource, Source

__all__ = ["SSE_HEADERS", "as_sse", "as_text", "async_events", "check_ping", "has_ended"]

SSE_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # for nginx, which otherwise collects what it passes on
}
"""Headers of a response whose body is that of `as_sse`."""

_NO_REPLAYS = "A reader sent a Last-Event-ID, but no responses are kept; pass replays=Replays(…) to keep them."
_KeptT = TypeVar("_KeptT", Kept, AsyncKept)


@overload
def as_sse(
    stream: AsyncSource[Item, Any],
    *,
    shape: str | Shape = ...,
    ping: float | None = ...,
    describe: Describe = ...,
    replays: Replays | None = ...,
    last_event_id: str | None = ...,
) -> AsyncGenerator[bytes]: ...
@overload
def as_sse(
    stream: Source[Item, Any],
    *,
    shape: str | Shape = ...,
    ping: float | None = ...,
    describe: Describe = ...,
    replays: Replays | None = ...,
    last_event_id: str | None = ...,
) -> Generator[bytes]: ...
def as_sse(
    stream: Any,
    *,
    shape: str | Shape = "partials",
    ping: float | None = 15.0,
    describe: Describe = public_message,
    replays: Replays | None = None,
    last_event_id: str | None = None,
) -> AsyncGenerator[bytes] | Generator[bytes]:
    """Return a generator of server-sent events, which closes the stream when it ends or is closed.

    Nothing is read ahead: each event is read when it is requested. An error of the stream is the last event. An
    exception that is not a `PolyglotError` is raised after it.

    Args:
        stream: A stream, or what transforms make of one. An async one gives an async generator.
        shape: ``partials``, ``openai``, or a shape such as `OpenAIChunks`.
        ping: Seconds without an event after which a comment is sent, which keeps proxies from closing the connection;
            None for no comments.
        describe: Returns the message of an error that readers get. By default it depends on the class alone; ``str``
            gives the whole error, which may name hosts and accounts.
        replays: Keeps the response for readers that reconnect.
        last_event_id: The ``Last-Event-ID`` that the reader sent. If there is one, `stream` is closed unread, so that
            no request is sent, and the rest of the response that the id belongs to is sent from `replays`.

    Raises:
        RequestError: `stream` is no stream, there is no such shape, or `ping` is not valid.
    """
    check_ping(ping)
    writer = Writer(shape, describe)
    after = EventId.read(last_event_id) if last_event_id else None
    events = async_events if is_async("as_sse", stream) else _events
    return events(stream, writer, replays, after, ping)


def check_ping(ping: float | None) -> None:
    """Raise if the seconds between pings are not valid.

    Raises:
        RequestError: They are no number, or below 0.01.
    """
    if ping is not None:
        seconds("ping", ping, least=0.01)


def has_ended(last_event_id: str | None) -> bool:
    """Return True if a reader has received the last event. Respond with status 204, so that it does not reconnect."""
    return bool(last_event_id) and EventId.read(last_event_id or "").number is None


def _events(
    stream: Source[Item, Any], writer: Writer, replays: Replays | None, after: EventId | None, ping: float | None
) -> Generator[bytes]:
    """Yield the events of a stream, or those after an id, and pings."""
    try:
        if after is None:
            kept, number = None if replays is None else replays.keep(lambda: Kept(replays, stream, writer)), 0
            yield writer.opening()
        else:
            stream.close()  # unread
            if after.number is None:
                return
            yield OPENING
            kept, number = _found(Kept, replays, after), after.number
        with closing(_direct(stream, writer, ping) if kept is None else kept.follow(number, ping)) as events:
            yield from events
    except NotKept as error:
        yield writer.another().fail(error)


async def async_events(
    stream: AsyncSource[Item, Any],
    writer: Writer,
    replays: Replays | None,
    after: EventId | None,
    ping: float | None,
) -> AsyncGenerator[bytes]:
    """Yield the events of a stream, or those after an id, and pings."""
    try:
        if after is None:
            kept, number = None if replays is None else replays.keep(lambda: AsyncKept(replays, stream, writer)), 0
            yield writer.opening()
        else:
            await stream.close()  # unread
            if after.number is None:
                return
            yield OPENING
            kept, number = _found(AsyncKept, replays, after), after.number
        async with aclosing(
            _async_direct(stream, writer, ping) if kept is None else kept.follow(number, ping)
        ) as events:
            async for event in events:
                yield event
    except NotKept as error:
        yield writer.another().fail(error)


def _found(kind: type[_KeptT], replays: Replays | None, after: EventId) -> _KeptT:
    """Return the kept response that an id belongs to.

    Raises:
        NotKept: There is none.
    """
    if replays is None:
        raise NotKept(_NO_REPLAYS)
    kept = replays.find(after.key)
    if not isinstance(kept, kind):
        raise NotKept
    return kept


def _direct(stream: Source[Item, Any], writer: Writer, ping: float | None) -> Generator[bytes]:
    """Yield the events of a stream, and pings."""
    feed = Feed(stream, writer)
    try:
        while not feed.over:
            frame = feed.read(None if ping is None else perf_counter() + ping)
            if frame is None or frame:
                yield PING if frame is None else frame
        if feed.error is not None:
            raise feed.error
    finally:
        feed.close()


async def _async_direct(stream: AsyncSource[Item, Any], writer: Writer, ping: float | None) -> AsyncGenerator[bytes]:
    """Yield the events of a stream, and pings."""
    feed = AsyncFeed(stream, writer)
    try:
        while not feed.over:
            frame = await feed.read(None if ping is None else perf_counter() + ping)
            if frame is None or frame:
                yield PING if frame is None else frame
        if feed.error is not None:
            raise feed.error
    finally:
        await feed.close()


@overload
def as_text(stream: AsyncSource[Item, Any]) -> AsyncGenerator[bytes]: ...
@overload
def as_text(stream: Source[Item, Any]) -> Generator[bytes]: ...
def as_text(stream: Any) -> AsyncGenerator[bytes] | Generator[bytes]:
    """Return a generator of the visible text of choice 0 in UTF-8, which closes the stream when it ends or is closed.

    Plain text cannot express how a response ended. So an error is raised, which makes the server break off the response
    of HTTP, and the client can tell that it is not complete.

    Args:
        stream: A stream, or what transforms make of one. An async one gives an async generator.

    Raises:
        RequestError: `stream` is no stream.
        PolyglotError: From the generator: the errors of the stream.
        StreamError: From the generator: the response ended before it was complete, without an error; or it was
            interrupted and started anew.
    """
    return _async_text(stream) if is_async("as_text", stream) else _text(stream)


def _text(stream: Source[Item, Any]) -> Generator[bytes]:
    with closing(stream):
        for item in stream:
            if text := _text_of(item):
                yield text
        _check_complete(stream.response())


async def _async_text(stream: AsyncSource[Item, Any]) -> AsyncGenerator[bytes]:
    try:
        async for item in stream:
            if text := _text_of(item):
                yield text
        _check_complete(await stream.response())
    finally:
        with CancelScope(shield=True):
            await stream.close()


def _text_of(item: Item) -> bytes:
    """Return the new text of a partial; none of a step of a loop with tools.

    Raises:
        RequestError: The value is no partial.
        StreamError: The response started anew.
    """
    if isinstance(item, ToolCall | ToolResult):
        return b""
    if not isinstance(item, PartialInferenceResponse):
        msg = f"Text is read from partial responses, not from {type(item).__name__}; pass the stream itself."
        raise RequestError(msg, phase="stream")
    check_kept(item, "plain text")
    return item.content_delta.encode() if item.choice == 0 else b""


def _check_complete(response: InferenceResponse[Any]) -> None:
    """Raise if a response is not complete, unless a transform has stopped it.

    Raises:
        StreamError: It is not.
    """
    if response.outcome is not Outcome.FINISHED and not was_stopped(response):
        raise StreamError(f"The response ended as {response.outcome.value}.", phase="stream", partial=response)
