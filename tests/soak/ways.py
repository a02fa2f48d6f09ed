"""The ways in which streams are read and left. Each function is a way; it returns how the stream ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from polyglot_core import InferenceResponse, PolyglotError
from polyglot_core.plugin import TextDelta

from .kinds import TEXT, Ending, Kind
from .styles import Gate, Style


class LeftError(Exception):
    """What a callback raises."""


class Call:
    """A call, as a way takes it.

    Attributes:
        style: How it is asked.
        create: Prepares it. A way that is to hold nothing calls it where nothing is held.
        seen: The text that was handed out; None where none was to be.
    """

    def __init__(self, style: Style, create: Callable[[], Any], gate: Gate) -> None:
        self.style = style
        self.create = create
        self.seen: str | None = None
        self._gate = gate
        self._arrived = False

    async def saw(self, text: str) -> None:
        """Count a received partial; wait for the others at the first one."""
        self.seen = (self.seen or "") + text
        if not self._arrived:
            self._arrived = True
            await self._gate.arrive()

    def leave(self) -> None:
        """End the call; without a partial, the others do not wait for it."""
        if not self._arrived:
            self._arrived = True
            self._gate.leave()


class _Came(NamedTuple):
    """What there is to say of a stream: its response, or that nobody is left to ask."""

    response: InferenceResponse | None = None


async def take(kind: Kind, call: Call) -> Ending:
    """Make a call of this kind, read it or leave it as the kind says, and tell how it ended."""
    try:
        came = await WAYS[kind.way](call)
    except PolyglotError as error:
        return _ending(error.partial, call.seen, error.with_traceback(None))
    except Exception as error:  # noqa: BLE001 (which is for the report to say)
        return Ending(None, error.with_traceback(None))
    finally:
        call.leave()
    return _ending(came.response, call.seen)


def _ending(response: InferenceResponse | None, seen: str | None, error: PolyglotError | None = None) -> Ending:
    if response is None:
        return Ending(None, error)
    return Ending(response.outcome, error, response.content, seen, _whole(response), len(response.failed_attempts))


def _whole(response: InferenceResponse) -> bool:
    calls = [(each.name, each.arguments) for each in response.tool_calls]
    return response.content == TEXT or calls == [("lookup", {"ship": "Argo", "deck": 4})]


async def respond(call: Call) -> _Came:
    """Ask for the response alone."""
    return _Came(await call.create().response())


async def read(call: Call) -> _Came:
    """Read every partial, then take the response."""
    stream = call.create().stream()
    async for partial in stream:
        await call.saw(partial.content_delta)
    return _Came(await stream.response())


async def read_events(call: Call) -> _Came:
    """Read every event, then take the response."""
    stream = call.create().stream()
    async for event in stream.events():
        await call.saw(event.text if isinstance(event, TextDelta) else "")
    return _Came(await stream.response())


async def hold(call: Call) -> _Came:
    """Break out of the loop, hold on to the stream, and let the response read the rest."""
    stream = call.create().stream()
    await _read_some(call, stream)
    call.seen = None
    return _Came(await stream.response())


async def leave(call: Call) -> _Came:
    """Leave the block of a stream that a variable still holds."""
    async with call.create().stream() as stream:
        await _read_some(call, stream)
    return _Came(await stream.response())


async def close(call: Call) -> _Came:
    """Close the stream in the middle of its loop."""
    stream = call.create().stream()
    async for partial in stream:
        await call.saw(partial.content_delta)
        await stream.close()
    return _Came(await stream.response())


async def let_go(call: Call) -> _Came:
    """Break out of a loop over a stream that nothing holds."""
    await _read_some(call, call.create().stream())
    return _Came()


async def let_a_callback_raise(call: Call) -> _Came:
    """Leave a stream that nothing holds by an exception out of a callback."""

    def refuse(_partial: object) -> None:
        raise LeftError

    with suppress(LeftError):
        await call.create().stream().on_partial(refuse).response()
    return _Came()


async def interrupt(call: Call) -> _Came:
    """Have the reader interrupted while it waits: its task is cancelled, or another thread closes the stream."""
    stream = call.create().stream()
    await _read_some(call, stream)
    await call.style.interrupt(stream)
    response = await stream.response()
    call.seen = None  # the rest was read by another
    return _Came(response)


async def _read_some(call: Call, stream: Any) -> None:
    async for partial in stream:
        await call.saw(partial.content_delta)
        break


WAYS: dict[str, Callable[[Call], Awaitable[_Came]]] = {
    way.__name__: way
    for way in (respond, read, read_events, hold, leave, close, let_go, let_a_callback_raise, interrupt)
}
