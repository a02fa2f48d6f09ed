"""Bytes read as a stream of events, so that the assembler sees orders of events that no dialect would give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers.bound import Driver
from polyglot_core._values.connection import Connection
from polyglot_core._values.limits import Timeouts
from polyglot_core.errors import LimitExceeded, Truncated
from polyglot_core.plugin import (
    Citation,
    End,
    Finish,
    FinishReason,
    Logprobs,
    MediaDelta,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    WireRequest,
    hookimpl,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core.plugin import Event

TEXTS = ("", "a", "é", "<think>", "</think>", '{"a":', "1}", "null", " ", "\n")
NAMES = (None, "", "x", "y")
REASONS = (*FinishReason, "made up")


class _Dice:
    """Small decisions, derived from bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)
        self.over = not data

    def below(self, number: int) -> int:
        byte = next(self._data, None)
        self.over = self.over or byte is None
        return (byte or 0) % number

    def of(self, values: tuple[Any, ...]) -> Any:
        return values[self.below(len(values))]


def _call(dice: _Dice) -> Event:
    return ToolCallDelta(
        dice.of((None, 0, 1, 10**9)),
        dice.of(NAMES),
        dice.of(NAMES),
        dice.of(TEXTS),
        dice.of((False, True)),
        dice.below(3),
        dice.below(2),
        dice.of(NAMES),
    )


_MAKE: tuple[Callable[[_Dice], Event], ...] = (
    lambda dice: TextDelta(dice.of(TEXTS), dice.below(3), dice.below(2)),
    lambda dice: ReasoningDelta(
        dice.of(TEXTS), dice.of(NAMES), dice.of(NAMES), dice.of(NAMES), dice.below(3), dice.below(2)
    ),
    lambda dice: RefusalDelta(dice.of(TEXTS), dice.below(3)),
    _call,
    lambda dice: Finish(dice.of(REASONS), dice.of(TEXTS), dice.below(3)),
    lambda dice: UsageReport({dice.of(("in", "out")): dice.of((0, 1, None, 10**30))}, merge=dice.of((False, True))),
    lambda dice: ResponseStarted(dice.of(NAMES), dice.of(NAMES)),
    lambda dice: Citation({"url": dice.of(TEXTS)}, dice.below(3)),
    lambda dice: Logprobs({"p": dice.below(9)}, dice.below(3)),
    lambda dice: MediaDelta(dice.of(("image/png", "audio/wav")), b"m", dice.below(3), dice.below(2)),
    lambda dice: ServerToolEvent(dice.of(TEXTS), {"type": "t"}, dice.below(3), 0, replay=dice.of((False, True))),
    lambda _dice: Ping(),
    lambda _dice: End(),
)


def chunks_of(data: bytes) -> Iterator[list[Event]]:
    """Return the events encoded by the bytes, in chunks of up to three."""
    dice = _Dice(data)
    while not dice.over:
        yield [dice.of(_MAKE)(dice) for _ in range(1 + dice.below(3))]


class _Saying:
    """A driver that emits the events of a script, one chunk of them for each block of the stream."""

    def __init__(self, script: list[list[Event]]) -> None:
        self._script = script

    @hookimpl
    def encode_request(self, request: Any) -> WireRequest:
        raise NotImplementedError

    @hookimpl
    def decode_chunk(self, chunk: Any) -> list[Event]:
        return self._script[int(chunk.data)]

    @hookimpl
    def extract_usage(self, payload: Any) -> Usage:
        return Usage(input_tokens=payload.get("in"), output_tokens=payload.get("out"), raw=payload)


def check_session(data: bytes) -> None:
    """Check that the partials of any events add up to the response.

    Raises:
        AssertionError: It does not.
    """
    script = list(chunks_of(data[1:]))
    driver = Driver("saying", _Saying(script)).bind(
        Connection(name="here", driver="saying", base_url="http://127.0.0.1")
    )
    attempt = Attempt(_wire(data[0] if data else 0), driver, Clocks(Timeouts(), 0.0))
    partials = list(attempt.begin(200, {"content-type": "text/event-stream"}))
    error = None
    try:
        for number in range(len(script)):
            partials.extend(attempt.feed(b"data: %d\n\n" % number, 0.0))
        partials.extend(attempt.finish(0.0))
    except (Truncated, LimitExceeded) as raised:
        error = raised
    _compare(attempt, partials, finished=error is None)


def _wire(flags: int) -> WireRequest:
    return WireRequest(
        url="http://127.0.0.1/",
        body=b"",
        think_tags=("<think>", "</think>") if flags & 1 else None,
        complete_on="end" if flags & 2 else "finish",
        finish_counts="last" if flags & 4 else "first",
    )


def _compare(attempt: Attempt, partials: list[Any], *, finished: bool) -> None:
    response = attempt.response
    assert (response.outcome == "finished") is finished
    for choice in response.choices:
        own = [partial for partial in partials if partial.choice == choice.index]
        assert "".join(partial.content_delta for partial in own) == choice.content
        assert "".join(partial.reasoning_delta for partial in own) == choice.reasoning_content
        assert "".join(partial.refusal_delta for partial in own) == (choice.refusal or "")
        assert not own or own[-1].content == choice.content
        assert not own or own[-1].tool_calls == choice.tool_calls
        before = own[len(own) // 2].content if own else ""  # going back gives what it was
        assert choice.content.startswith(before)
        assert [partial.finish_reason for partial in own if partial.finish_reason] == [choice.finish_reason] * finished
        assert not finished or all(call.complete for call in choice.tool_calls)
    msgspec.json.encode([response.to_dict(), [partial.to_dict() for partial in partials]])
