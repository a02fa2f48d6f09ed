"""Receives a response and sends it back, with the installed drivers, and without a socket."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from polyglot_core._drivers import discovery
from polyglot_core.errors import RequestError
from polyglot_core.plugin import InferenceRequest, Message, Tool
from polyglot_testkit import Recording, replay

from ..conformance.corpus import Exchange, judged
from ..conformance.endpoints import DRIVERS, connection_to, is_spoken
from .comparing import difference, sent_turn
from .reading import READERS, read_turn

if TYPE_CHECKING:
    from pathlib import Path

    from polyglot_core import InferenceResponse
    from polyglot_core._drivers.bound import BoundDriver

__all__ = ["EQUAL", "Tally", "round_trip", "tally"]

EQUAL = "goes back equal"


class Tally(NamedTuple):
    """The recorded responses of a dialect.

    Attributes:
        tried: How many have a turn and no error.
        equal: How many of them go back equal.
        reasons: The places of the first difference of the others, and how many differ there.
        examples: A response for each reason.
    """

    tried: int
    equal: int
    reasons: Counter[str]
    examples: dict[str, str]


def tally(corpus: Path, dialect: str) -> Tally:
    """Send back all recorded responses of a dialect."""
    found: list[tuple[str, str]] = []
    for exchange in judged(corpus, dialect) if is_spoken(dialect) and dialect in READERS else ():
        if (result := round_trip(exchange)) is not None:
            found.append((exchange.path, result))
    reasons = Counter(result for _, result in found)
    equal = reasons.pop(EQUAL, 0)
    return Tally(len(found), equal, reasons, {result: path for path, result in found if result != EQUAL})


def round_trip(exchange: Exchange) -> str | None:
    """Return how a response goes back: `EQUAL`, or the reason; None if there is nothing to send back."""
    driver = _driver(exchange.dialect, exchange.provider)
    recording = Recording(
        name=exchange.path,
        body=exchange.body,
        streamed=exchange.streamed,
        status=exchange.status,
        headers=dict(exchange.headers),
    )
    seen = replay(driver, recording)
    if seen.error is not None or not seen.response.message.parts:
        return None
    try:
        received = read_turn(exchange.dialect, exchange.framing, exchange.body)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None  # not what the dialect is; how it is read is compared elsewhere
    try:
        body = json.loads(driver.encode(_next(seen.response)).body)
    except RequestError as error:
        return f"rejected: {error.message}"
    place = difference(received, sent_turn(exchange.dialect, body))
    return EQUAL if place is None else place


def _next(response: InferenceResponse) -> InferenceRequest:
    results = [Message.tool_result(call, "Done.") for call in response.tool_calls]
    turns = (
        Message(role="user", content="Hello"),
        response.message,
        *(results or [Message(role="user", content="Go on.")]),
    )
    tools = tuple(Tool(name) for name in dict.fromkeys(call.name for call in response.tool_calls))
    return InferenceRequest(model="recorded-model", messages=turns, tools=tools)


@cache
def _driver(dialect: str, provider: str) -> BoundDriver:
    driver = discovery.load_driver(DRIVERS[dialect])
    assert driver is not None, f"the driver of {dialect} is not installed"
    return driver.bind(connection_to(dialect, provider, "http://127.0.0.1:1"))
