"""The conformance suite's view of core: bind a driver without an entry point, and replay bytes without a socket.

Nothing here does I/O or reads a clock. `polyglot-testkit` builds its exam on this module, and so can any test of a
driver.
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
    from collections.abc import Iterable, Mapping

    from polyglot_core._values.connection import Connection
    from polyglot_core._values.events import Event
    from polyglot_core._values.partial import PartialInferenceResponse
    from polyglot_core._values.response import InferenceResponse
    from polyglot_core._wire.messages import Chunk, WireRequest

__all__ = ["OPTIONS", "BoundDriver", "Replay", "bind", "chunks", "replay"]


class Replay(NamedTuple):
    """The result of a replay.

    Attributes:
        response: The response as far as it was received.
        partials: The partials that were emitted.
        events: The events that they were made of.
        error: The error that the attempt ended in, or None.
    """

    response: InferenceResponse
    partials: list[PartialInferenceResponse]
    events: list[Event]
    error: PolyglotError | None


def bind(module: object, connection: Connection) -> BoundDriver:
    """Bind a driver's module, or the object with its hooks, to a connection, as core does for an installed one.

    Raises:
        PluginError: A hook is missing, or takes an argument that the contract does not have.
    """
    return Driver(connection.driver, module).bind(connection)


def replay(
    driver: BoundDriver,
    wire: WireRequest,
    body: Iterable[bytes],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Replay:
    """Feed the body of a response to an attempt, as the engine would.

    Args:
        driver: The bound driver.
        wire: The request that the response is to: it names the framing and what completes the response.
        body: The bytes of the body, in the reads in which they are to arrive.
        status: HTTP status.
        headers: Response headers, with lower-case names.
    """
    attempt = Attempt(wire, driver, Clocks(Timeouts(), 0.0))
    events: deque[Event] = deque()
    attempt.watch_events(events)
    partials: list[PartialInferenceResponse] = []
    error: PolyglotError | None = None
    try:
        attempt.begin(status, headers or {})
        for data in body:
            partials += attempt.feed(data, 0.0)
        partials += attempt.finish(0.0)
    except PolyglotError as raised:
        error = raised
    return Replay(attempt.response, partials, list(events), error)


def chunks(wire: WireRequest, body: bytes, limits: Limits | None = None) -> list[Chunk]:
    """Cut a body into chunks with the framing that a request names.

    Raises:
        LimitExceeded: An event is larger than `limits.event`.
    """
    framer = framer_for(wire, (limits or Limits()).event)
    return [*framer.feed(body), *framer.finish()]
