"""Test a driver without a socket: bind it to a connection without an entry point, and replay recorded bytes.

::

    driver = bind(my_driver_module, connection)
    wire = driver.encode(request)
    replayed = replay(driver, wire, [recorded_body])
    assert replayed.response.content == "Hello!"

No function of this module does I/O or reads a clock, so a test gives the same result every time. `polyglot-testkit`
builds its conformance suite (the exam) on this module.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers.bound import BoundDriver, Driver
from polyglot_core._values.limits import Limits, Timeouts
from polyglot_core._values.options import NAMES as OPTIONS
from polyglot_core._wire.framings import framer_for
from polyglot_core.errors import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.response import InferenceResponse
    from polyglot_core._wire.messages import Chunk, WireRequest

__all__ = ["OPTIONS", "BoundDriver", "Replay", "bind", "chunks", "replay"]


class Replay(NamedTuple):
    """The result of a replay.

    Attributes:
        response: The complete response, or the content received before the error.
        partials: The partials that were emitted, in order.
        events: The events that the driver decoded, in order.
        error: The error that ended the attempt, or None.
    """

    response: InferenceResponse
    partials: list[PartialInferenceResponse]
    events: list[Event]
    error: PolyglotError | None


def bind(module: object, connection: Connection) -> BoundDriver:
    """Bind a driver to a connection, as core does for an installed driver.

    Args:
        module: The driver's module, or an object whose methods are marked with `hookimpl`.
        connection: The connection. The driver's name is taken from it.

    Raises:
        PluginError: A required hook is missing, or a hook takes an argument that the contract does not have.
    """
    return Driver(connection.driver, module).bind(connection)


def replay(
    driver: BoundDriver,
    wire: WireRequest,
    body: Iterable[bytes],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    respond: Callable[[WireRequest], Iterable[bytes]] = lambda _: (),
) -> Replay:
    """Feed a response to an attempt, as the engine does for a response from the network. No error is raised.

    Args:
        driver: The bound driver.
        wire: The request that the response belongs to. It specifies the framing and what marks the response as
            complete.
        body: The bytes of the body; each item is one read from the socket.
        status: HTTP status of the response.
        headers: Headers of the response, with lower-case names.
        respond: Called with each follow-up request (`Follow`); returns the body of the response to it, whose status is
            200. By default it is empty, so that the response is truncated.
    """
    attempt = Attempt(wire, driver, Clocks(Timeouts(), 0.0))
    events: deque[Event] = deque()
    attempt.watch_events(events)
    partials: list[PartialInferenceResponse] = []
    error: PolyglotError | None = None
    while True:
        try:
            attempt.begin(status, headers or {})
            for data in body:
                partials += attempt.feed(data, 0.0)
            partials += attempt.finish(0.0)
        except PolyglotError as raised:
            error = raised
        if (job := attempt.following) is None:
            break
        body, status, headers, error = respond(job.request), 200, None, None
        attempt.follow(job.request)
    return Replay(attempt.response, partials, list(events), error)


def chunks(wire: WireRequest, body: bytes, limits: Limits | None = None) -> list[Chunk]:
    """Split a response body into chunks with the framing of a request.

    Raises:
        LimitExceeded: An event is larger than `limits.event` bytes.
    """
    framer = framer_for(wire, (limits or Limits()).event)
    return [*framer.feed(body), *framer.finish()]
