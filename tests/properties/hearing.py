"""What a caller receives of a response, in a form that can be compared."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._attempt.lifecycle import Signal
from polyglot_core._drivers import discovery
from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import InferenceRequest, Message, Timeouts

from ..conformance.endpoints import DRIVERS, connection_to, is_spoken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._values.events import Event
    from polyglot_core._values.partial import PartialInferenceResponse

    from ..conformance.corpus import Exchange

PRESET = "preset "
"""What a provider's name begins with that is to be read as a preset says."""

_NOWHERE = "http://127.0.0.1:1"
_FACTS = ("message", "status", "code", "request_id", "retryable", "retry_after", "phase")


class Decoded(NamedTuple):
    """The result of decoding a body.

    Attributes:
        events: Every event of it.
        partials: Every partial, as a dict.
        response: The response as far as it came, as a dict without times.
        error: The error that it ended in, if it did.
    """

    events: list[Event]
    partials: list[dict[str, Any]]
    response: dict[str, Any]
    error: PolyglotError | None

    @property
    def told(self) -> object:
        """Return everything that must not depend on how the bytes are split."""
        facts = None if self.error is None else [type(self.error), *(getattr(self.error, fact) for fact in _FACTS)]
        return self.events, self.partials, self.response, facts

    @property
    def outcome(self) -> str:
        """Return the outcome."""
        return str(self.response["outcome"])

    @property
    def texts(self) -> dict[int, tuple[str, str]]:
        """Return text and thinking of each choice."""
        return {one["index"]: (one["content"], one["reasoning_content"]) for one in self.response["choices"]}


def hear(exchange: Exchange, body: bytes | None = None, pieces: Iterable[bytes] | None = None) -> Decoded:
    """Decode a body, or a changed one, in whole or in pieces, as the pump does.

    Raises:
        Exception: Anything but a `PolyglotError`, which nothing is to raise.
    """
    driver = _driver(exchange.dialect, exchange.provider)
    request = InferenceRequest(model="m", messages=(Message(role="user", content="Hello"),), stream=exchange.streamed)
    attempt = Attempt(driver.encode(request), driver, Clocks(Timeouts(), 0.0))
    events: deque[Event] = deque()
    attempt.watch_events(events)
    partials: list[PartialInferenceResponse] = []
    pieces = [exchange.body if body is None else body] if pieces is None else pieces
    error = None
    try:
        partials.extend(_read(attempt, exchange, pieces))
    except PolyglotError as raised:
        error = raised
    response = attempt.response.to_dict()
    del response["timing"]
    return Decoded(list(events), [partial.to_dict() for partial in partials], response, error)


def _read(attempt: Attempt, exchange: Exchange, pieces: Iterable[bytes]) -> Iterator[PartialInferenceResponse]:
    try:
        yield from attempt.begin(exchange.status, dict(exchange.headers))
        for piece in pieces:
            yield from attempt.feed(piece, 0.0)
        yield from attempt.finish(0.0)
    except PolyglotError as error:  # the framer's do not end the session
        if attempt.ended:
            raise
        yield from attempt.interrupt(Signal.BROKEN, error, 0.0)


def is_heard(dialect: str) -> bool:
    """Return whether the dialect's driver is installed."""
    return is_spoken(dialect)


@cache
def _driver(dialect: str, provider: str) -> BoundDriver:
    driver = discovery.load_driver(DRIVERS[dialect])
    assert driver is not None, f"the driver {DRIVERS[dialect]!r} is not installed"
    connection = connection_to(dialect, provider, _NOWHERE)
    _, named, preset = provider.partition(PRESET)
    return driver.bind(connection.with_changes(facts=_facts(preset)) if named else connection)


def _facts(preset: str) -> dict[str, Any]:
    found = discovery.load_preset(preset)
    assert found is not None, f"the preset {preset!r} is not installed"
    return dict(found.facts)
