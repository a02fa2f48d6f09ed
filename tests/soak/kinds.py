"""The kinds of streams that a soak mixes: what the server does to each, how it is read, and the end that is promised."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from polyglot_core import Outcome
from polyglot_core.errors import InvalidRequest, Malformed, ProviderError, TimedOut, TransportError, Truncated
from polyglot_simulator import (
    ByteAtATime,
    Cut,
    Drop,
    ErrorEvent,
    Fault,
    Garbage,
    Gzip,
    LeaveOpen,
    Reply,
    Reset,
    Stall,
    Status,
    ToolCall,
)

TEXT = "It was a bright cold day in space, and thirteen ships went by, one after the other, without a sound."
"""What the server says where nothing goes wrong."""

PATIENCE = {"connect": 30.0, "first": 60.0, "idle": 60.0, "silence": 60.0, "grace": 5.0, "total": 90.0}
"""Clocks that let a soak that hangs end, and no other."""

_MID = 8  # events; in every dialect some of the text has come by then, and some has not
_SHORT = 0.02  # seconds of a timeout that is to expire
_STREAM = {"stream": True}
_SPOKEN = Reply(TEXT)
_CALLED = Reply("", tool_calls=[ToolCall("lookup", {"ship": "Argo", "deck": 4})])


class Kind(NamedTuple):
    """A kind of stream.

    Attributes:
        name: Its name; the prompt carries it, so that the server knows what to do.
        share: How many of a hundred streams are of it.
        outcome: The outcome that is promised; None where the stream is let go, so that nobody is left to ask.
        error: The class of the error that is promised.
        way: Name of the function in `ways` that takes it.
        faults: The faults of a call's first request, of its second, and so on; further ones are healthy.
        reply: What the server says.
        asked: Arguments of the call.
        attempts: Requests that are to fail before the answer comes; None where their number depends on what came before.
        place: Which connection is asked: ``provider``, ``nobody``, or one with a ``fallback``.
        without: Drivers that are not asked for it.
    """

    name: str
    share: int
    outcome: Outcome | None = Outcome.FINISHED
    error: type[Exception] | None = None
    way: str = "read"
    faults: tuple[tuple[Fault, ...], ...] = ()
    reply: Reply = _SPOKEN
    asked: Mapping[str, Any] = _STREAM
    attempts: int | None = 0
    place: str = "provider"
    without: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing goes wrong, neither at the server nor by the caller's will."""
        harmless = all(isinstance(fault, (Gzip, ByteAtATime)) for faults in self.faults for fault in faults)
        return harmless and self.place == "provider" and self.outcome is Outcome.FINISHED


def _once(*faults: Fault) -> tuple[tuple[Fault, ...], ...]:
    return (faults,)


def _with(**asked: object) -> dict[str, Any]:
    return {**_STREAM, **asked}


_SPACED = (Stall(after_events=_MID),)  # the stream has more to come when it is left
_WAITS = {"retry-after-ms": "5"}
_WINDOW = Status(400, body={"error": {"message": "No.", "type": "invalid_request_error"}})

# Repetitions are paid from a budget that answers fill again, so those that ask for some are few.
KINDS = (
    Kind("finished", 24),
    Kind("plain answer", 8, way="respond", asked={"stream": False}),
    Kind("gzip", 5, faults=_once(Gzip())),
    Kind("a byte at a time", 1, faults=_once(ByteAtATime())),
    Kind("event by event", 3, way="read_events"),
    Kind("break, then response()", 3, way="hold"),
    Kind("tool call", 5, reply=_CALLED),
    Kind(
        "socket left open",
        3,
        faults=_once(LeaveOpen()),
        asked=_with(timeouts={"grace": _SHORT}),
        without=("gemini", "vertex"),  # there the last finish counts, and only `idle` says that it was the last
    ),
    Kind("left by with", 5, Outcome.CANCELLED, way="leave", faults=_once(*_SPACED)),
    Kind("closed", 3, Outcome.CANCELLED, way="close", faults=_once(*_SPACED)),
    Kind("let go", 5, None, way="let_go", faults=_once(*_SPACED)),
    Kind("left by an exception", 2, None, way="let_a_callback_raise", faults=_once(*_SPACED)),
    Kind("interrupted", 5, Outcome.CANCELLED, way="interrupt", faults=_once(*_SPACED)),
    Kind("cut", 4, Outcome.TRUNCATED, Truncated, faults=_once(Cut(after_events=_MID))),
    Kind("cut, marked", 2, Outcome.TRUNCATED, faults=_once(Cut(after_events=_MID)), asked=_with(on_truncated="mark")),
    Kind("connection closed", 3, Outcome.FAILED, TransportError, faults=_once(Drop(after_events=_MID))),
    Kind("connection reset", 4, Outcome.FAILED, TransportError, faults=_once(Reset(after_events=_MID))),
    Kind("503, then ok", 1, faults=_once(Status(503)), attempts=1),
    Kind("429, then ok", 2, faults=_once(Status(429, headers=_WAITS)), attempts=1),
    Kind("reset, then restart", 1, faults=_once(Reset(after_events=_MID)), asked=_with(resume="restart"), attempts=1),
    Kind("503, then elsewhere", 1, faults=_once(Status(503)), attempts=1, place="fallback"),
    Kind("refused", 2, Outcome.FAILED, InvalidRequest, faults=_once(_WINDOW)),
    Kind("malformed", 2, Outcome.FAILED, Malformed, faults=_once(Garbage(after_events=_MID))),
    Kind("error in the stream", 2, Outcome.FAILED, ProviderError, faults=_once(ErrorEvent(after_events=_MID))),
    Kind("stalled", 2, Outcome.TIMED_OUT, TimedOut, faults=_once(*_SPACED), asked=_with(timeouts={"idle": _SHORT})),
    Kind(
        "silent",
        1,
        Outcome.TIMED_OUT,
        TimedOut,
        faults=_once(Stall(before_headers=True)),
        asked=_with(timeouts={"total": _SHORT}),
    ),
    Kind("nobody there", 1, Outcome.FAILED, TransportError, attempts=None, place="nobody"),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def mixed(count: int, seed: int = 0) -> Iterator[Kind]:
    """`count` kinds in a random order that is the same each time; every hundred has each as often as its share says."""
    numbers = random.Random(seed)
    hundred = [kind for kind in KINDS for _ in range(kind.share)]
    for number in range(count):
        if number % len(hundred) == 0:
            numbers.shuffle(hundred)
        yield hundred[number % len(hundred)]


class Ending(NamedTuple):
    """How a stream ended, as its reader saw it.

    Attributes:
        outcome: The outcome of the response, or of what an error says had come; None if the stream was let go.
        error: The error, if there was one.
        text: The text of that response.
        seen: The text of the partials that were handed out.
        whole: Whether everything that was asked for has come: the text, or the call to a tool.
        attempts: Requests that failed before.
    """

    outcome: Outcome | None
    error: BaseException | None = None
    text: str = ""
    seen: str | None = None
    whole: bool = False
    attempts: int = 0


def broken_promise(kind: Kind, ending: Ending) -> str | None:
    """Return how the end of a stream differs from its promise; None if it does not."""
    return next(_wrong(kind, ending), None)


def _wrong(kind: Kind, ending: Ending) -> Iterator[str]:
    if kind.error is None and ending.error is not None:
        yield f"raised {type(ending.error).__name__}: {ending.error}"
    if kind.error is not None and not isinstance(ending.error, kind.error):
        yield f"gave {type(ending.error).__name__} in the place of {kind.error.__name__}: {ending.error}"
    if ending.outcome is not kind.outcome:
        yield f"ended as {ending.outcome}, not {kind.outcome}"
    if kind.outcome is Outcome.FINISHED and not ending.whole:
        yield f"finished without the whole answer: {ending.text!r}"
    if not TEXT.startswith(ending.text):
        yield f"gave what nobody said: {ending.text!r}"
    if kind.outcome is not None and ending.seen is not None and not ending.seen.endswith(ending.text):
        yield f"handed out {ending.seen!r} and then said {ending.text!r}"
    if kind.attempts is not None and ending.attempts != kind.attempts:
        yield f"needed {ending.attempts} more requests, not {kind.attempts}"
