"""The commonest faults in every dialect that the simulator speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from polyglot_core import ProviderError, TimedOut, TransportError, Truncated
from polyglot_core.errors import Malformed, Overloaded, RateLimited, ServerError
from polyglot_simulator import Cut, Drop, ErrorEvent, Garbage, Reset, Stall, Status
from polyglot_simulator.routes import supported_drivers

from . import frames
from .playing import answers, simulated
from .stage import Ends, Scenario

__all__ = ["DIALECTS", "SCENARIOS"]

SAID = "One two"
"""What has come before each fault."""


class Dialect(NamedTuple):
    """What a fault needs of a dialect.

    Attributes:
        events: How many events of the simulator's answer say `SAID`.
        error: An error in its own words.
        kind: The class that this error is.
        passes: Whether the dialect can say that it may pass by itself.
        garbage: Bytes that nobody can read, where an event should be.
    """

    events: int = 3
    error: Mapping[str, Any] = {"message": "Oh no.", "type": "server_error", "code": "server_error"}
    kind: type[ProviderError] = ServerError
    passes: bool = True
    garbage: bytes = b'data: {"x": [\n\n'


_FLIPPED = frames.STORY[0][:-1] + bytes([frames.STORY[0][-1] ^ 1])
_GOOGLE = {"code": 503, "message": "Oh no.", "status": "UNAVAILABLE"}

DIALECTS = {
    "openai": Dialect(),
    "azure-openai": Dialect(4),
    "openai-responses": Dialect(6),
    "anthropic": Dialect(5, {"message": "Oh no.", "type": "overloaded_error"}, Overloaded),
    "gemini": Dialect(2, _GOOGLE, Overloaded),
    "vertex": Dialect(2, _GOOGLE, Overloaded),
    "ollama": Dialect(2, {"message": "Oh no."}, ProviderError, passes=False, garbage=b'{"x": [\n'),
    "cohere": Dialect(4, {"message": "Oh no.", "type": "overloaded"}, Overloaded),
    "mistral": Dialect(),
    "bedrock": Dialect(3, {"message": "Oh no.", "type": "ThrottlingException"}, RateLimited, garbage=_FLIPPED),
}
assert set(DIALECTS) == set(supported_drivers()), "every dialect of the simulator is played"


def scenarios(driver: str) -> list[Scenario]:
    """Return the faults in the dialect of a driver, each with two retries."""
    dialect = DIALECTS[driver]
    after = {"after_events": dialect.events}
    once = {"attempts": 1}
    passing = answers(requests=2) if dialect.passes else Ends(error=dialect.kind, facts=once)

    def fault(part: str, promise: str, ends: Ends, *faults: Any, **more: Any) -> Scenario:
        return simulated(driver, part, promise, ends, *faults, driver=driver, again=2, **more)

    return [
        fault("no fault", "It is answered.", answers()),
        fault("plain, no fault", "It is answered.", answers(), stream=False),
        fault("cut", "A body that ends before the model is done is `Truncated`.",
              Ends(error=Truncated, content=SAID, facts={"retryable": True, **once}), Cut(**after)),
        fault("cut before anything", "It is asked again.", answers(requests=2), Cut(after_events=0, times=1)),
        fault("reset", "A connection that breaks is a `TransportError`.",
              Ends(error=TransportError, content=SAID, facts={"kind": "broken", **once}), Reset(**after)),
        fault("closed", "A connection that is closed in the middle is a `TransportError`.",
              Ends(error=TransportError, content=SAID, facts={"kind": "broken", **once}), Drop(**after)),
        fault("503, then an answer", "It is asked again.", answers(requests=2), Status(503, times=1)),
        fault("503, then an answer, plain", "It is asked again.", answers(requests=2), Status(503, times=1), stream=False),
        fault("error event first", "It is asked again, where the dialect says that it may pass.", passing,
              ErrorEvent(error=dialect.error, times=1)),
        fault("error event", "It is the provider's error.",
              Ends(error=dialect.kind, content=SAID, facts=once, says=("Oh no.",)), ErrorEvent(error=dialect.error, **after)),
        fault("error, plain", "It is the provider's error.",
              Ends(error=dialect.kind, requests=3 if dialect.passes else 1, says=("Oh no.",)), ErrorEvent(error=dialect.error), stream=False),
        fault("unreadable", "It is `Malformed`, and nothing is passed over.",
              Ends(error=Malformed, content=SAID, facts={"retryable": False, **once}), Garbage(data=dialect.garbage, **after)),
        fault("stall", "`idle` ends it, and the socket closes.",
              Ends(error=TimedOut, content=SAID, closed=True, facts={"clock": "idle", **once}, within=2.0), Stall(**after), clocks={"idle": 0.2}),
        fault("stall before anything", "`first` ends it, and it is asked again.",
              answers(requests=2, within=2.0), Stall(after_events=0, times=1), clocks={"first": 0.3}),
    ]  # fmt: skip


SCENARIOS = [scenario for driver in DIALECTS for scenario in scenarios(driver)]
