"""Checks that nothing is lost and nothing false is reported: turns, details, errors in a stream, finish words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.errors import Malformed, RequestError
from polyglot_core.plugin import InferenceRequest, Message, Text, Tool, ToolCall, ToolResult, json_access
from polyglot_testkit.check import ExamFailed, expect
from polyglot_testkit.mutation import sse_blocks, with_error, with_finish_word
from polyglot_testkit.recording import cuts, replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core import InferenceResponse
    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording

__all__ = [
    "a_turn_goes_back_as_it_was_received",
    "broken_tool_calls_go_back_as_objects",
    "details_can_be_read",
    "every_spelling_of_an_error_fails",
    "finish_words_are_read",
    "interleaved_streams_do_not_mix",
]

_HELLO = Message(role="user", content="Hello.")
_GO_ON = Message(role="user", content="Go on.")


# Turns


def a_turn_goes_back_as_it_was_received(exam: Exam) -> bool:
    """Check that a response can be sent back as a turn, with all its text and tool calls, streamed as plain.

    If a recording states its `turn`, that JSON value has to be in the body of the next request.
    """
    checked = 0
    by_name = {recording.name: recording for recording in exam.recordings}
    for recording in exam.healthy():
        response = replay(exam.driver, recording).response
        if not response.message.parts:
            continue
        checked += 1
        body = _next_body(exam, response, recording)
        if recording.turn is not None:
            why = f"{recording.name}: the turn does not go back as it was received; the body is {_short(body)}"
            expect(any(value == recording.turn for value in _values_of(body)), why)
        for call in response.tool_calls:
            expect(_holds(body, call.name), f"{recording.name}: the tool call of {call.name!r} does not go back")
        sent = "".join(value for value in _values_of(body) if isinstance(value, str))
        for part in response.message.parts:
            lost = isinstance(part, Text) and part.text.strip() not in sent
            expect(not lost, f"{recording.name}: a text of the turn does not go back: {_short(part)}")
        other = by_name.get(recording.same_as or "")
        if other is not None:
            same = _next_body(exam, replay(exam.driver, other).response, other)
            expect(
                _without_ids(body) == _without_ids(same),
                f"{recording.name} and {other.name} go back as different turns: {_short(body)} / {_short(same)}",
            )
    return bool(checked)


def _next_body(exam: Exam, response: InferenceResponse, recording: Recording) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the body of the request that continues a response, with results for its tool calls."""
    results = [Message.tool_result(call, "Done.") for call in response.tool_calls]
    turns = (_HELLO, response.message, *(results or [_GO_ON]))
    tools = tuple(Tool(name) for name in dict.fromkeys(call.name for call in response.tool_calls if call.name))
    request = InferenceRequest(model=exam.requests[0].model, messages=turns, tools=tools)
    try:
        return json_access.parse(exam.driver.encode(request).body)
    except RequestError as error:
        raise ExamFailed(f"{recording.name}: its turn cannot be sent back: {error}") from error


def _values_of(value: object) -> Iterator[object]:
    """Yield a JSON value and all values in it."""
    yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for each in inner:
        yield from _values_of(each)


def _holds(body: object, text: str) -> bool:
    return any(value == text for value in _values_of(body))


def _without_ids(value: object) -> object:
    """Return a JSON value without ids, signatures and encrypted data, which differ between two recordings."""
    if isinstance(value, Mapping):
        own = {"id", "signature", "data", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "thoughtSignature"}
        return {name: _without_ids(each) for name, each in value.items() if name not in own}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value


def broken_tool_calls_go_back_as_objects(exam: Exam) -> bool:
    """Check that a tool call whose arguments are no JSON object is sent back with an object as its arguments."""
    broken = '{"city": "Os'
    if _encoded_call(exam, '{"city": "Oslo"}') is None:
        return False  # the dialect has no tool calls
    body = _encoded_call(exam, broken)
    expect(body is not None, "a tool call with broken arguments cannot be sent back; use ConversationWriter.arguments")
    bare = [value for value in _values_of(body) if value == broken]
    named = [value for value in _values_of(body) if isinstance(value, Mapping) and broken in value.values()]
    why = "broken arguments go back as they are, which servers refuse; use ConversationWriter.arguments_text"
    expect(len(bare) == len(named), why)
    return True


def _encoded_call(exam: Exam, arguments: str) -> object:
    call = ToolCall(name="weather", id="call_1", arguments_raw=arguments, complete=True)
    result = ToolResult(id="call_1", content="The arguments are no JSON object.", error=True, name="weather")
    turns = (_HELLO, Message(role="assistant", content=(call,)), Message(role="tool", content=(result,)))
    request = InferenceRequest(model=exam.requests[0].model, messages=turns, tools=(Tool("weather"),))
    try:
        return json_access.parse(exam.driver.encode(request).body)
    except RequestError:
        return None


# Details


def details_can_be_read(exam: Exam) -> bool:
    """Check that what a recording states as its `details` is in the details of the response."""
    named = [recording for recording in exam.healthy() if recording.details]
    for recording in named:
        details = replay(exam.driver, recording).response.details
        missing = [name for name, value in recording.details.items() if details.get(name) != value]
        expect(not missing, f"{recording.name}: the details lack {', '.join(missing)}; emit a Details event")
    return bool(named)


# Endings

_PLACES = ("first", "middle", "last")


def every_spelling_of_an_error_fails(exam: Exam) -> bool:
    """Check that an error in a stream, in any of its spellings and at any place, is an error, and keeps the content."""
    checked = 0
    for recording in exam.healthy():
        if not recording.streamed or len(sse_blocks(recording.body)) < len(_PLACES):
            continue
        whole = replay(exam.driver, recording).response.content
        for place in _PLACES:
            for spelling, mutated in with_error(recording, place):
                checked += 1
                seen = replay(exam.driver, mutated)
                where = f"{recording.name}: an error as {spelling}, {place}"
                expect(seen.error is not None, f"{where} is reported as {seen.response.outcome}")
                expect(whole.startswith(seen.response.content), f"{where} changes the content received before it")
                what = f"{where} is a {type(seen.error).__name__}: {seen.error}"
                expect(not isinstance(seen.error, Malformed) and "overheated" in str(seen.error), what)
    return bool(checked)


_NO_REASONS = ("null", "None")
_FAILURES = ("network_error", "abort", "cancelled", "error")
_UNKNOWN = "added_tomorrow"


def finish_words_are_read(exam: Exam) -> bool:
    """Check that ``null`` as text is no finish, that words for failures are failures, and that others are known."""
    checked = 0
    for recording in exam.healthy():
        seen = replay(exam.driver, recording)
        word = seen.response.finish_reason_raw
        if seen.error is not None or not word:
            continue
        for other in (*_NO_REASONS, *_FAILURES, _UNKNOWN):
            mutated = with_finish_word(recording, word, other)
            if mutated is None:
                continue
            after = replay(exam.driver, mutated)
            if after.error is None and after.response.finish_reason_raw == word:
                continue  # the word was not the finish reason's
            checked += 1
            reason = after.response.finish_reason
            where = f"{recording.name}: with the finish reason {other!r}"
            if other in _FAILURES:
                expect(after.error is not None, f"{where} the response is {after.response.outcome}; use finish_of")
            elif other in _NO_REASONS:
                false = reason is not None and after.error is None and after.response.finish_reason_raw == other
                expect(not false, f"{where} the response has finished for {reason}; use finish_of")
            else:
                known = after.error is None and reason != "other"
                expect(not known, f"{where} the reason is {reason}, and not 'other'")
    return bool(checked)


# State


def interleaved_streams_do_not_mix(exam: Exam) -> bool:
    """Check that a stream is decoded to the same response while others are decoded between its chunks."""
    streams = [recording for recording in exam.healthy() if recording.streamed and recording.body]
    for recording in streams:
        for other in streams:
            alone = replay(exam.driver, recording)
            between = replay(exam.driver, recording, pieces=_interrupted(exam, recording, other))
            same = alone.response.to_dict() == between.response.to_dict()
            expect(
                same, f"{recording.name}: another response while {other.name} is decoded; keep state in `state` only"
            )
    return bool(streams)


_MOST_INTERRUPTIONS = 8


def _interrupted(exam: Exam, recording: Recording, other: Recording) -> Iterator[bytes]:
    """Yield the body in pieces; another stream is decoded before each."""
    size = max(1, len(recording.body) // _MOST_INTERRUPTIONS)
    for piece in cuts(recording.body, size):
        replay(exam.driver, other)
        yield piece


def _short(value: object) -> str:
    try:
        text = json.dumps(value) if not isinstance(value, msgspec.Struct) else repr(value)
    except (TypeError, ValueError):
        text = repr(value)
    return f"{text:.300}"
