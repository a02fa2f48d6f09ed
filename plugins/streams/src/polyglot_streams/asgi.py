"""A response for ASGI: it sends a stream to a client, and closes the stream when the client disconnects.

Sending, the wait for a disconnect and pings are three tasks in one task group. The disconnect cancels the other two, at
any point; so a read that waits for the provider ends at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from time import monotonic
from typing import TYPE_CHECKING, Any

import anyio

from polyglot_core.errors import PolyglotError, RequestError
from polyglot_streams.checks import is_async
from polyglot_streams.frames import PING, Writer
from polyglot_streams.replays import EventId, Replays
from polyglot_streams.shapes import Describe, Item, Shape, error_object, public_message
from polyglot_streams.sse import SSE_HEADERS, as_text, async_events, check_ping

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from polyglot_streams.sources import AsyncSource

__all__ = ["StreamResponse"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TEXT_HEADERS = {**SSE_HEADERS, "content-type": "text/plain; charset=utf-8"}


class StreamResponse:
    """Sends a stream as the response of an ASGI application, as server-sent events or as text.

    It is an ASGI application itself: return it from an endpoint of Starlette, or call it with ``scope``, ``receive``
    and ``send``. FastAPI needs that of `polyglot_streams.starlette`. The response begins at once, before the provider
    has responded. An error is the last event. A client that reads slowly makes the provider wait.

    Args:
        stream: An async stream, or what transforms make of one. It should not have been read.
        shape: ``partials``, ``openai``, a shape such as `OpenAIChunks`, or ``text`` for plain text.
        ping: Seconds without an event after which a comment is sent; None for no comments.
        describe: Returns the message of an error that readers get; see `as_sse`.
        replays: Keeps the response for readers that reconnect. A disconnect then does not close the stream at once.
        last_event_id: Id of the last event that the reader has received; by default, the header ``Last-Event-ID``.
        headers: Further headers of the response.

    Raises:
        RequestError: `stream` is no async stream, or an argument is not valid.
    """

    def __init__(
        self,
        stream: AsyncSource[Item, Any],
        *,
        shape: str | Shape = "partials",
        ping: float | None = 15.0,
        describe: Describe = public_message,
        replays: Replays | None = None,
        last_event_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        check_ping(ping)
        if not is_async("StreamResponse", stream):
            msg = "StreamResponse needs an async stream, of AsyncInference: a sync one would block the event loop."
            raise RequestError(msg, phase="configure")
        self._stream = stream
        self._is_text = shape == "text"
        self._writer = Writer("partials" if self._is_text else shape, describe)
        self._ping = None if self._is_text else ping
        self._describe = describe
        self._replays = replays
        self._last_event_id = last_event_id
        self._fields = {**(_TEXT_HEADERS if self._is_text else SSE_HEADERS), **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response.

        Raises:
            PolyglotError: The text of a response is not complete. The server breaks off the connection.
        """
        after = self._after(scope)
        if scope["method"] == "HEAD" or (after is not None and after.number is None):
            await self._stream.close()  # unread
            await send(self.start(200 if scope["method"] == "HEAD" else 204))
            await send(_body(b"", more=False))
            return
        failure = None
        send = _noticing(send)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_disconnected, receive, tasks.cancel_scope)
            try:
                await (self._send_text(send) if self._is_text else self._send_events(send, after, tasks))
            except _LeftError:
                pass
            except Exception as error:  # noqa: BLE001 (raised below: a task group would wrap it)
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def start(self, status: int) -> Message:
        """Return the message that begins the response."""
        return {"type": "http.response.start", "status": status, "headers": self.header_list()}

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the response."""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self._fields.items()]

    def _after(self, scope: Scope) -> EventId | None:
        """Return the id after which the reader continues, or None for a new response."""
        found = (value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id")
        text = next(found, "") if self._last_event_id is None else self._last_event_id
        return EventId.read(text) if text else None

    async def _send_events(self, send: Send, after: EventId | None, tasks: TaskGroup) -> None:
        await send(self.start(200))
        sending = _Sending(send)
        if self._ping is not None:
            tasks.start_soon(sending.pings, self._ping)
        async with aclosing(async_events(self._stream, self._writer, self._replays, after, None)) as events:
            async for event in events:
                await sending.send(event)
        await send(_body(b"", more=False))

    async def _send_text(self, send: Send) -> None:
        """Send the text. The response begins with its first piece, so that an error before it has a status."""
        started = False
        async with aclosing(as_text(self._stream)) as texts:
            try:
                async for text in texts:
                    if not started:
                        started = True
                        await send(self.start(200))
                    await send(_body(text))
            except PolyglotError as error:
                if started:
                    raise
                await send({**self.start(502), "headers": [(b"content-type", b"application/json")]})
                await send(_body(error_object(error, self._describe), more=False))
                return
        if not started:
            await send(self.start(200))
        await send(_body(b"", more=False))


class _Sending:
    """Sends parts of a body, and pings while nothing is sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._busy = False
        self._last = monotonic()

    async def send(self, data: bytes) -> None:
        """Send a part. It waits while the client does not read."""
        self._busy = True
        await self._send(_body(data))
        self._last, self._busy = monotonic(), False

    async def pings(self, seconds: float) -> None:
        """Send a ping whenever nothing was sent for some seconds."""
        while True:
            await anyio.sleep(max(0.0, self._last + seconds - monotonic()))
            if self._busy:
                self._last = monotonic()
            elif monotonic() >= self._last + seconds:
                await self.send(PING)


class _LeftError(Exception):
    """The client has disconnected. Some servers raise an error then, instead of or before the message."""


def _noticing(send: Send) -> Send:
    """Return a `send` that raises `_LeftError` in place of an OSError, which a stream might raise as well."""

    async def noticing(message: Message) -> None:
        try:
            await send(message)
        except OSError as error:
            raise _LeftError from error

    return noticing


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _disconnected(receive: Receive, scope: anyio.CancelScope) -> None:
    """Wait until the client has disconnected, and cancel the response."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
