"""Checks that nothing is lost and nothing false is reported: turns, details, errors in a stream, finish words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from polyglot_core.errors import ProviderError, RequestError
from polyglot_core.plugin import InferenceRequest, Message, Text, Tool, ToolCall, ToolResult, json_access
from polyglot_testkit.check import ExamFailed, expect
from polyglot_testkit.mutation import PLACES, with_error, with_finish_word
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

_HELLO = Message(role="user", content="(The exam begins.)")
_GO_ON = Message(role="user", content="(The exam goes on.)")


# Turns


def a_turn_goes_back_as_it_was_received(exam: Exam) -> bool:
    """Check that a response can be sent back as a turn, with its texts and tool calls in order, streamed as plain.

    If a recording states its `turn`, that JSON value has to be in the body of the next request.
    """
    bodies = {recording.name: _next_body(exam, recording) for recording in exam.healthy()}
    for recording in exam.healthy():
        body = bodies[recording.name]
        if body is None:
            continue
        if recording.turn is not None:
            why = f"{recording.name}: the turn does not go back as it was received; the body is {_short(body)}"
            expect(any(_has(value, recording.turn) for value in _values_of(body)), why)
        _parts_are_in(body, replay(exam.driver, recording).response, recording.name)
        other = bodies.get(recording.same_as or "")
        differ = other is not None and _content_of(body) != _content_of(other)
        pair = f"{recording.name} and {recording.same_as}"
        expect(not differ, f"{pair} go back as different turns: {_short(body)} / {_short(other)}")
    return any(body is not None for body in bodies.values())


def _has(value: object, turn: object) -> bool:
    """Return whether a value is the turn, or a list with its elements, one after the other."""
    if not isinstance(value, list) or not isinstance(turn, list):
        return value == turn
    size = len(turn)
    return any(value[start : start + size] == turn for start in range(len(value) - size + 1))


def _next_body(exam: Exam, recording: Recording) -> object:
    """Return the body of the request that continues a response; None if the response has no parts to send back."""
    response = replay(exam.driver, recording).response
    if not response.message.parts:
        return None
    results = [Message.tool_result(call, "(The result.)") for call in response.tool_calls]
    turns = (_HELLO, response.message, *(results or [_GO_ON]))
    tools = tuple(Tool(name) for name in dict.fromkeys(call.name for call in response.tool_calls if call.name))
    request = InferenceRequest(model=exam.requests[0].model, messages=turns, tools=tools)
    try:
        return json_access.parse(exam.driver.encode(request).body)
    except RequestError as error:
        raise ExamFailed(f"{recording.name}: its turn cannot be sent back: {error}") from error


def _parts_are_in(body: object, response: InferenceResponse, name: str) -> None:
    """Fail unless the body has all texts of the response, in order, and its tool calls with their arguments."""
    sent = "\n".join(value for value in _values_of(body) if isinstance(value, str))
    position = 0
    for part in response.message.parts:
        if isinstance(part, Text) and (text := part.text.strip()):
            found = sent.find(text, position)
            expect(found >= 0, f"{name}: a text of the turn does not go back, or not in its place: {_short(text)}")
            position = found + len(text)
    for call in response.tool_calls:
        wanted = call.arguments
        named = any(value == call.name for value in _values_of(body))
        expect(named, f"{name}: the tool call of {call.name!r} does not go back")
        whole = wanted is None or any(wanted in (value, _parsed(value)) for value in _values_of(body))
        expect(whole, f"{name}: the arguments of {call.name!r} do not go back: {call.arguments_raw:.100}")


def _parsed(value: object) -> object:
    """Return the JSON object in a text; any other value gives None."""
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return None


def _values_of(value: object) -> Iterator[object]:
    """Yield a JSON value and all values in it, in order."""
    return (each for _, each in _paths_of(value))


_OWN = {"id", "signature", "data", "call_id", "tool_call_id", "tool_use_id", "toolUseId", "thoughtSignature"}
"""Fields that differ between two recordings of the same content."""


def _content_of(value: object) -> object:
    """Return a JSON value without what differs between a stream and a plain response of the same content.

    That is ids, signatures and encrypted data, and the empty texts that hold a signature in a stream.
    """
    if isinstance(value, Mapping):
        return {name: _content_of(each) for name, each in value.items() if name not in _OWN}
    if isinstance(value, list):
        contents = [_content_of(each) for each in value]
        return [each for each in contents if not isinstance(each, Mapping) or any(each.values())]
    return value


_SOUND = '{"city": "Oslo"}'
_BROKEN = '{"city": "Os'


def broken_tool_calls_go_back_as_objects(exam: Exam) -> bool:
    """Check that a tool call whose arguments are no JSON object is sent back with an object as its arguments."""
    sound = _encoded_call(exam, _SOUND)
    if sound is None:
        return False  # the dialect has no tool calls
    body = _encoded_call(exam, _BROKEN)
    expect(body is not None, "a tool call with broken arguments cannot be sent back; use ConversationWriter.arguments")
    places = [path for path, value in _paths_of(sound) if _SOUND_OBJECT in (value, _parsed(value))]
    expect(bool(places), "the arguments of a tool call are not in the body")
    there = dict(_paths_of(body))
    raw = [path for path in places if not isinstance(there.get(path), Mapping) and _parsed(there.get(path)) is None]
    why = "broken arguments go back as they are, which servers refuse; use ConversationWriter.arguments_text"
    expect(not raw, why)
    return True


_SOUND_OBJECT = json.loads(_SOUND)


def _paths_of(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[tuple[object, ...], object]]:
    """Yield every value in a JSON value, with the names and indexes that lead to it."""
    yield path, value
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from _paths_of(each, (*path, name))


def _encoded_call(exam: Exam, arguments: str) -> object:
    """Return the body of a request with a tool call in it; None if it is rejected."""
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


def every_spelling_of_an_error_fails(exam: Exam) -> bool:
    """Check that an error in a stream, in any of its spellings and at any place, is an error, and keeps the content."""
    checked = 0
    for recording in exam.healthy():
        mutants = [(place, *mutant) for place in PLACES for mutant in with_error(recording, place)]
        whole = replay(exam.driver, recording).response.content if mutants else ""
        for place, spelling, mutated in mutants:
            checked += 1
            seen = replay(exam.driver, mutated)
            where = f"{recording.name}: an error as {spelling}, {place}"
            expect(seen.error is not None, f"{where} is reported as {seen.response.outcome}")
            expect(whole.startswith(seen.response.content), f"{where} changes the content received before it")
            named = isinstance(seen.error, ProviderError) and "overheated" in str(seen.error)
            expect(named, f"{where} is a {type(seen.error).__name__}: {seen.error}")
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
        if seen.error is not None or not word or not seen.response.message.parts:
            continue  # without content, the word may be the reason why the request was blocked
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
    for recording, following in zip(streams, [*streams[1:], *streams[:1]], strict=True):
        alone = replay(exam.driver, recording).response.to_dict()
        for other in (recording, following):
            between = replay(exam.driver, recording, pieces=_interrupted(exam, recording, other)).response.to_dict()
            why = f"{recording.name}: another response while {other.name} is decoded; keep state in `state` only"
            expect(alone == between, why)
    return bool(streams)


_MOST_INTERRUPTIONS = 8


def _interrupted(exam: Exam, recording: Recording, other: Recording) -> Iterator[bytes]:
    """Yield the body in pieces; another stream is decoded before each."""
    size = max(1, len(recording.body) // _MOST_INTERRUPTIONS)
    for piece in cuts(recording.body, size):
        replay(exam.driver, other)
        yield piece


def _short(value: object) -> str:
    return f"{json.dumps(value):.600}"
