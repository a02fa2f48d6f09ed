"""The server-sent events of one response, made from its partials and from how it ended.

`Writer` makes them and does no I/O. `Feed` and `AsyncFeed` read a stream, one event each time they are asked; they are
equal but for ``async`` and ``await``.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio import CancelScope

from polyglot_core import InferenceResponse, Outcome, PartialInferenceResponse, ToolCall, ToolResult
from polyglot_core.errors import PolyglotError, RequestError
from polyglot_streams.shapes import Changes, Describe, Ending, Heading, Item, Shape, public_message, shape_of
from polyglot_streams.sources import NOT_YET, AsyncReading, Reading

if TYPE_CHECKING:
    from polyglot_streams.sources import AsyncSource, Source

__all__ = ["OPENING", "PING", "AsyncFeed", "Feed", "Writer", "was_stopped"]

PING = b": ping\n\n"
"""A comment, which readers ignore."""

OPENING = b"retry: 1000\n\n"
"""Asks readers to reconnect after one second."""

_LOG = logging.getLogger("polyglot")


class Writer:
    """Turns the partials of one response, and how it ended, into server-sent events.

    The id of an event is ``KEY.N``, in which N counts from 1; that of the last one is ``KEY.end``.

    Attributes:
        key: A random text that names the response.
        outcome: How the response ended; None until its last event has been made.
    """

    def __init__(self, shape: str | Shape = "partials", describe: Describe = public_message) -> None:
        self.key = secrets.token_urlsafe(12)
        self.outcome: Outcome | None = None
        self._shape = shape_of(shape)
        self._describe = describe
        self._heading = Heading.of(self.key)
        self._changes = Changes()
        self._count = 0

    def another(self) -> Writer:
        """Return a writer for another response, with the same settings."""
        return Writer(self._shape, self._describe)

    def opening(self) -> bytes:
        """Return the block before the first event. A reader that loses its connection then has an id to send."""
        return b"id: %b.0\n%b" % (self.key.encode(), OPENING)

    def write(self, item: Item) -> bytes:
        """Return the event of a partial, or of a step of a loop with tools; nothing if it has nothing new.

        Raises:
            RequestError: The value is neither, or the shape cannot express it.
            StreamError: The shape cannot express it.
        """
        if isinstance(item, ToolCall | ToolResult):
            data = self._shape.step(self._heading, item)
        elif isinstance(item, PartialInferenceResponse):
            data = self._shape.change(self._heading, self._changes.of(item))
        else:
            msg = f"An event is made of a partial response, not of {type(item).__name__}; pass the stream itself."
            raise RequestError(msg, phase="stream")
        return b"" if data is None else self._event(data)

    def end(self, response: InferenceResponse[Any]) -> bytes:
        """Return the last events of a response that ended without an error, or was stopped by a transform."""
        return self._last(Ending(response.outcome, None, response, was_stopped(response)))

    def fail(self, error: PolyglotError) -> bytes:
        """Return the last events of a response that failed. The log has the error itself."""
        outcome = Outcome.FAILED if error.partial is None else error.partial.outcome
        _LOG.warning("A response that was being sent failed: %s: %s", type(error).__name__, error)
        return self._last(Ending(outcome, error, error.partial))

    def crash(self, error: Exception) -> bytes:
        """Return the last events of a response that an exception of the application ended. Its text is not sent."""
        return self.fail(PolyglotError(f"{type(error).__name__} was raised while the stream was read.", phase="stream"))

    def _last(self, ending: Ending) -> bytes:
        self.outcome = ending.outcome
        rest = [self._shape.change(self._heading, change) for change in self._changes.rest()]
        *others, last = self._shape.end(self._heading, ending, self._describe)
        events = [self._event(data) for data in (*rest, *others) if data is not None]
        return b"".join((*events, b"id: %b.end\ndata: %b\n\n" % (self.key.encode(), last)))

    def _event(self, data: bytes) -> bytes:
        self._count += 1
        return b"id: %b.%d\ndata: %b\n\n" % (self.key.encode(), self._count, data)


def was_stopped(response: InferenceResponse[Any]) -> bool:
    """Return True if `stop_when` ended a response, which its note says also behind further transforms."""
    return any(note.startswith("stop_when ended the stream") for note in response.notes)


_ReadingT = TypeVar("_ReadingT", bound="Reading[Item, Any] | AsyncReading[Item, Any]")


class _Feed(Generic[_ReadingT]):
    """What both feeds have.

    Attributes:
        error: The exception of the application that ended the response, or None.
    """

    def __init__(self, reading: _ReadingT, writer: Writer) -> None:
        self._reading = reading
        self._writer = writer
        self.error: Exception | None = None

    @property
    def over(self) -> bool:
        """Return True if the last event has been read."""
        return self._writer.outcome is not None


class Feed(_Feed[Reading[Item, Any]]):
    """The events of a sync stream.

    Args:
        stream: The stream.
        writer: Makes the events.
    """

    def __init__(self, stream: Source[Item, Any], writer: Writer) -> None:
        super().__init__(Reading(stream), writer)

    def read(self, until: float | None = None) -> bytes | None:
        """Return the next events; empty for a partial without news; None if nothing was received by `until`.

        A read with a deadline outlives an interruption of its caller, and the next one continues it. The last event
        states how the response ended. After it, `over` is True and the stream is closed.
        """
        try:
            try:
                item = self._reading.read(until)
                return None if item is NOT_YET else self._writer.write(item)
            except StopIteration:
                return self._writer.end(self._reading.response())
        except PolyglotError as error:
            self.close()
            return self._writer.fail(error)
        except Exception as error:  # noqa: BLE001 (the caller raises it, after this last event)
            self.error = error
            self.close()
            return self._writer.crash(error)

    def close(self) -> None:
        """Close the stream. Any thread may call it."""
        self._reading.close()


class AsyncFeed(_Feed[AsyncReading[Item, Any]]):
    """The events of an async stream.

    Args:
        stream: The stream.
        writer: Makes the events.
    """

    def __init__(self, stream: AsyncSource[Item, Any], writer: Writer) -> None:
        super().__init__(AsyncReading(stream), writer)

    async def read(self, until: float | None = None) -> bytes | None:
        """Return the next events; empty for a partial without news; None if nothing was received by `until`.

        A read with a deadline outlives an interruption of its caller, and the next one continues it. The last event
        states how the response ended. After it, `over` is True and the stream is closed.
        """
        try:
            try:
                item = await self._reading.read(until)
                return None if item is NOT_YET else self._writer.write(item)
            except StopAsyncIteration:
                return self._writer.end(await self._reading.response())
        except PolyglotError as error:
            await self.close()
            return self._writer.fail(error)
        except Exception as error:  # noqa: BLE001 (the caller raises it, after this last event)
            self.error = error
            await self.close()
            return self._writer.crash(error)

    async def close(self) -> None:
        """Close the stream, also in a task that is cancelled. Any task of the event loop may call it."""
        with CancelScope(shield=True):
            await self._reading.close()
