"""Recordings of answers, and how they are replayed: through the real session, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from polyglot_core._attempt.attempt import Session
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._values.limits import Limits
from polyglot_core._wire.framings import framer_for
from polyglot_core.errors import LimitExceeded, PolyglotError
from polyglot_core.plugin import InferenceRequest, Message, Timeouts

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterable

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.response import InferenceResponse
    from polyglot_core.plugin import Event, WireRequest

__all__ = ["Recording", "Replay", "chunks", "cuts", "replay"]


class Recording(Struct, frozen=True, kw_only=True):
    """An answer as it came over the wire.

    Attributes:
        name: What messages call it.
        body: The bytes of the body.
        streamed: Whether it was asked for as a stream.
        status: HTTP status.
        headers: Headers with lower-case names; a missing content type is allowed.
        fails: Whether it is an error, by its status or inside a 200.
        code: The provider's code of that error, if it is to be compared.
        same_as: Name of the recording that holds the same answer, asked for in the other way.
    """

    name: str
    body: bytes
    streamed: bool = True
    status: int = 200
    headers: Mapping[str, str] = {}
    fails: bool = False
    code: str | None = None
    same_as: str | None = None


class Replay(NamedTuple):
    """What came of a replay.

    Attributes:
        response: The response as far as it came.
        partials: The partials that were handed out.
        error: The error that it ended in, if it did.
    """

    response: InferenceResponse
    partials: list[PartialInferenceResponse]
    error: PolyglotError | None


def replay(
    driver: BoundDriver,
    recording: Recording,
    *,
    pieces: Iterable[bytes] | None = None,
    model: str = "exam",
    events: deque[Event] | None = None,
) -> Replay:
    """Feed a recording to a driver, as the pump would.

    Args:
        driver: The driver, bound to a connection.
        recording: The answer.
        pieces: The body in the pieces in which it is to arrive; all at once if left out.
        model: Model that the request names.
        events: Where to put the events.
    """
    wire = _asked_for(driver, recording, model)
    session = Session(wire, driver, Clocks(Timeouts(), 0.0))
    if events is not None:
        session.watch_events(events)
    partials: list[PartialInferenceResponse] = []
    try:
        session.begin(recording.status, recording.headers)
        for piece in (recording.body,) if pieces is None else pieces:
            partials += session.feed(piece, 0.0)
        partials += session.finish(0.0)
    except PolyglotError as error:
        return Replay(session.response, partials, error)
    return Replay(session.response, partials, None)


def chunks(driver: BoundDriver, recording: Recording) -> tuple[str, int]:
    """The framing that a driver names for a recording, and how many chunks it finds there."""
    wire = _asked_for(driver, recording, "exam")
    name = wire.framing if isinstance(wire.framing, str) else getattr(wire.framing, "__name__", repr(wire.framing))
    framer = framer_for(wire, Limits().event)
    try:
        return name, len([*framer.feed(recording.body), *framer.finish()])
    except LimitExceeded:
        return name, 1


def _asked_for(driver: BoundDriver, recording: Recording, model: str) -> WireRequest:
    """The request that the recording answers."""
    question = (Message(role="user", content="Hello"),)
    return driver.encode(InferenceRequest(model=model, messages=question, stream=recording.streamed))


def cuts(body: bytes, size: int) -> list[bytes]:
    """The body in pieces of `size` bytes."""
    return [body[place : place + size] for place in range(0, len(body), size)]
