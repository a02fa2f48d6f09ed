"""Checks of the content of responses: texts, tool calls, finish reasons, and what recordings state."""

from __future__ import annotations

import itertools
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from polyglot_core.errors import PluginError
from polyglot_core.plugin import (
    End,
    Finish,
    FinishReason,
    MediaDelta,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    json_access,
)
from polyglot_testkit.check import ExamFailed, expect, nothing_to_check
from polyglot_testkit.hook_calls import chunks_of, texts_of
from polyglot_testkit.json_paths import Path, keys_and_texts, leaves
from polyglot_testkit.mutation import odd_values, payloads, with_finish_field, with_payloads, with_text, without_events
from polyglot_testkit.recording import cuts, replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_testkit.check import Exam
    from polyglot_testkit.recording import Recording, Replay

__all__ = [
    "every_response_has_a_finish_reason",
    "id_and_model_are_those_of_the_wire",
    "nothing_follows_the_end",
    "odd_chunks_are_no_fault_of_the_driver",
    "recordings_decode_to_what_they_state",
    "texts_of_any_characters_are_kept",
    "texts_of_the_wire_are_all_read",
    "the_finish_reason_is_that_of_the_wire",
    "tool_calls_are_whole",
    "unreadable_chunks_are_reported",
]

# Texts

_TEXTS = (
    "Grüße, naïve señor",  # 2 bytes a character
    "世界 ₹ こんにちは",  # 3
    "🚀 a 👩‍🚀 b",  # 4, and several code points in one character
    "  two spaces \n\n\ta tab, and an end  ",
    '"quotes", \\backslashes\\ and data: {"text": "x"}',
    "[DONE]",
    "null",
    "\t",
    "a line\n",
    "&amp; &lt;b&gt; %20 ﬁ ① e\u0301",  # neither unescaped nor normalized
    "long " * 1000 + "end",
)


def texts_of_any_characters_are_kept(exam: Exam) -> bool:
    """Check that text with characters of 2, 3 and 4 bytes, white space and quotes is received unchanged.

    It takes the place of a text of each recording, as UTF-8 and as JSON escapes, and arrives in one read and byte by
    byte, so that reads end within characters.
    """
    checked = False
    for recording in exam.healthy():
        before = next((text for text in texts_of(exam, recording) if _with(recording, text, "x") is not None), None)
        if before is None:
            continue
        checked = True
        for text in _TEXTS:
            for escaped in (False, True):
                changed = with_text(recording, before, text, escaped=escaped)
                if changed is not None:
                    wanted = _contents_with(exam, recording, before, text)
                    for pieces in (None, cuts(changed.body, 1) if len(text) < _LONG else cuts(changed.body, 7)):
                        _text_is_kept(replay(exam.driver, changed, pieces=pieces), text, wanted, recording.name)
    if not checked:
        nothing_to_check("no recording has text that is a string of its JSON")
    return True


def _with(recording: Recording, text: str, new: str) -> Recording | None:
    return with_text(recording, text, new, escaped=False)


_LONG = 200


def _contents_with(exam: Exam, recording: Recording, before: str, text: str) -> dict[int, str]:
    """Return the texts of all choices with one text in place of another."""
    contents: dict[int, str] = {}
    for event in replay(exam.driver, recording).events:
        if isinstance(event, TextDelta):
            new = text if event.text == before else event.text
            contents[event.choice] = contents.get(event.choice, "") + new
    return contents


def _text_is_kept(seen: Replay, text: str, wanted: dict[int, str], name: str) -> None:
    expect(seen.error is None, f"{name}: with the text {text!r} it raises {type(seen.error).__name__}: {seen.error}")
    contents = [choice.content for choice in seen.response.choices]
    right = all(choice.content == wanted.get(choice.index, "") for choice in seen.response.choices)
    expect(right, f"{name}: with the text {text!r:.100} the response is {contents!r:.200}")
    shown = "".join(partial.content_delta for partial in seen.partials)
    expect(len(contents) > 1 or shown == contents[0], f"{name}: the partials have another text than the response")


def texts_of_the_wire_are_all_read(exam: Exam) -> bool:
    """Check that every text of the wire is in the response, if it has the place of one that was read.

    The places are those of the texts that the driver reads: the path of names in the JSON of an event.
    """
    checked = False
    for recording in exam.healthy():
        read = set(texts_of(exam, recording))
        documents = [json_access.parse(payload, otherwise=None) for payload in payloads(recording)]
        found = [(_names(path), text) for each in documents for path, text in leaves(each) if isinstance(text, str)]
        places = {names for names, text in found if names and text in read}
        received = [*keys_and_texts(replay(exam.driver, recording).response.to_dict())]
        for names, text in found:
            if names in places and text.strip():
                checked = True
                there = any(text in each for each in received)
                expect(there, f"{recording.name}: the text {text!r:.100} in {'.'.join(names)} is not in the response")
    if not checked:
        nothing_to_check("no recording has text that is a string of its JSON")
    return True


def _names(path: Path) -> tuple[str, ...]:
    return tuple(name for name in path if isinstance(name, str))


def nothing_follows_the_end(exam: Exam) -> bool:
    """Check that no content of a stream follows the event that ends it, which would be lost."""
    streams = exam.streams()
    if not streams:
        nothing_to_check("no recording is a stream")
    for recording in streams:
        decode, ended = exam.driver.decoder({}), False
        for chunk in chunks_of(exam, recording):
            try:
                events = list(decode(chunk))
            except Exception:  # noqa: BLE001 (judged by other checks)
                break
            for event in events:
                lost = ended and isinstance(event, (TextDelta, ReasoningDelta, ToolCallDelta, MediaDelta, Finish))
                why = f"{recording.name}: a {type(event).__name__} follows an End, after which core reads nothing"
                expect(not lost, why)
                ended = ended or isinstance(event, End)
    return True


def id_and_model_are_those_of_the_wire(exam: Exam) -> bool:
    """Check that id and model of the response are in the wire, and are read if its first object has them."""
    checked = False
    for recording in exam.healthy():
        response = replay(exam.driver, recording).response
        documents = [json_access.parse(payload, otherwise=None) for payload in payloads(recording)]
        for name in ("id", "model"):
            stated = documents[0].get(name) if documents and isinstance(documents[0], dict) else None
            value = getattr(response, name)
            checked = checked or value is not None
            lost = isinstance(stated, str) and bool(stated) and value != stated
            why = f"{recording.name}: the {name} is {stated!r}, and the response has {value!r}; see ResponseStarted"
            expect(not lost, why)
            known = value is None or value.encode() in recording.body or _is_header(recording, value)
            expect(known, f"{recording.name}: the {name} of the response, {value!r}, is not in the recording")
    if not checked:
        nothing_to_check("no recording has an id or a model")
    return True


def _is_header(recording: Recording, value: str) -> bool:
    return value in recording.headers.values()


# Tool calls


def tool_calls_are_whole(exam: Exam) -> bool:
    """Check that every tool call has a name, whole arguments that are a JSON object, and an id of its own."""
    checked = False
    for recording in exam.healthy():
        response = replay(exam.driver, recording).response
        for choice in response.choices:
            for call in choice.tool_calls:
                checked = True
                where = f"{recording.name}: the tool call {call.name!r}"
                expect(bool(call.name), f"{recording.name}: a tool call has no name")
                why = (
                    f"{where} has arguments that are no JSON object: {call.arguments_raw!r:.200}. If it is a tool with "
                    "another input, state it: Recording(expect={'tool_calls': [(name, None)]})"
                )
                expect(call.arguments is not None or "tool_calls" in recording.expect, why)
                expect(call.complete, f"{where} is not complete at the end of the response")
                expect(call.name.encode() in recording.body, f"{where} is not in the recording")
            ids = [call.id for call in choice.tool_calls if call.id is not None]
            expect(len(ids) == len(set(ids)), f"{recording.name}: two tool calls have one id: {', '.join(ids)}")
    if not checked:
        nothing_to_check("no recording has a tool call")
    return True


# Finish reasons


def every_response_has_a_finish_reason(exam: Exam) -> bool:
    """Check that every complete response has a finish reason, and that it is one of `FinishReason`."""
    healthy = exam.healthy()
    if not healthy:
        nothing_to_check("no recording is a complete response")
    known = {str(reason) for reason in FinishReason}
    for recording in healthy:
        seen = replay(exam.driver, recording)
        foreign = [event.reason for event in seen.events if isinstance(event, Finish) and event.reason not in known]
        why = f"{recording.name}: the finish reason {foreign} is not of FinishReason; use finish_of"
        expect(not foreign, why)
        stated = "finish_reason" in recording.expect
        for choice in seen.response.choices:
            missing = choice.finish_reason is None and seen.error is None and not stated
            why = (
                f"{recording.name}: choice {choice.index} has no finish reason. If the provider states none, state it: "
                "Recording(expect={'finish_reason': None})"
            )
            expect(not missing, why)
    return True


_LENGTH_WORDS = ("length", "max_tokens")


def the_finish_reason_is_that_of_the_wire(exam: Exam) -> bool:
    """Check that a response that has reached its limit of tokens is not reported as finished for another reason."""
    checked = False
    for recording in exam.healthy():
        for word in _LENGTH_WORDS:
            changed = with_finish_field(recording, word)
            if changed is None:
                continue
            checked = True
            seen = replay(exam.driver, changed[1])
            reasons = {str(choice.finish_reason) for choice in seen.response.choices}
            right = seen.error is not None or reasons <= {"length"}
            why = f"{recording.name}: with {word!r} in place of {changed[0]!r} it has finished for {', '.join(reasons)}"
            expect(right, f"{why}; use finish_of")
    if not checked:
        nothing_to_check("no recording has a finish reason in a field of a usual name")
    return True


# Recordings that are wrong


def odd_chunks_are_no_fault_of_the_driver(exam: Exam) -> bool:
    """Check that a value of another type, and an event that is lost, doubled or misplaced, is no error of the driver.

    The response may then be truncated, malformed or another one; a `PluginError` blames the driver.
    """
    if not exam.recordings:
        nothing_to_check("there is no recording")
    for recording in exam.recordings:
        for changed in _changes(recording):
            try:
                error = replay(exam.driver, changed).error
            except Exception as raised:
                msg = f"{recording.name}: changed to {changed.body!r:.300} it raises {type(raised).__name__}: {raised}"
                raise ExamFailed(msg) from raised
            why = f"{recording.name}: changed to {changed.body!r:.300} it raises PluginError: {error}"
            expect(not isinstance(error, PluginError), why)
    return True


def _changes(recording: Recording) -> Iterator[Recording]:
    yield from odd_values(recording)
    if recording.streamed:
        yield from without_events(recording)


def unreadable_chunks_are_reported(exam: Exam) -> bool:
    """Check that a chunk that cannot be parsed is an error or a note, and is not swallowed by the driver."""
    checked = False
    for recording in exam.streams():
        texts = payloads(recording)
        for number, text in enumerate(texts):
            if not isinstance(json_access.parse(text, otherwise=None), dict) or not texts_in(exam, recording, text):
                continue
            checked = True
            seen = replay(exam.driver, _with_half(recording, number))
            reported = seen.error is not None or bool(seen.response.notes)
            why = f"{recording.name}: half of {text!r:.100} is ignored silently; let the exceptions of msgspec pass"
            expect(reported, why)
    if not checked:
        nothing_to_check("no recorded stream has text that is a string of its JSON")
    return True


def texts_in(exam: Exam, recording: Recording, payload: bytes) -> bool:
    """Return whether a JSON text has one of the texts that are read."""
    found = set(texts_of(exam, recording))
    return any(value in found for _, value in leaves(json_access.parse(payload, otherwise=None)))


def _with_half(recording: Recording, number: int) -> Recording:
    counted = itertools.count()
    return with_payloads(recording, lambda text: text[: len(text) // 2] if next(counted) == number else text)


# What recordings state

_STATED = ("content", "reasoning_content", "refusal", "finish_reason", "model", "id", "tool_calls", "usage")
_STATED_OF_ERRORS = ("error", "message", "retry_after")


def recordings_decode_to_what_they_state(exam: Exam) -> bool:
    """Check that a response has the values that its recording states as `expect`."""
    stating = [recording for recording in exam.recordings if recording.expect]
    if not stating:
        nothing_to_check("no recording states what to expect: Recording(expect={'content': …})")
    for recording in stating:
        seen = replay(exam.driver, recording)
        for name, wanted in recording.expect.items():
            _is_known(recording, name)
            found = _value(seen, name, wanted)
            expect(found == wanted, f"{recording.name}: {name} is {found!r:.300} and not {wanted!r:.300}")
    return True


def _is_known(recording: Recording, name: str) -> None:
    known = (*_STATED, *_STATED_OF_ERRORS)
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(known)}"
    expect(name in known, f"{recording.name}: expect has no {name!r}; {hint}")


def _value(seen: Replay, name: str, wanted: Any) -> Any:  # noqa: ANN401 (of the response's field)
    """Return what a response has under a name of `expect`, in the form of the wanted value."""
    if name in _STATED_OF_ERRORS:
        if seen.error is None:
            return None
        values = {"error": type(seen.error).__name__, "message": seen.error.message}
        return values[name] if name in values else getattr(seen.error, name, None)
    found: Any = getattr(seen.response, name)
    if wanted is None:
        return found or None
    if name == "usage" and found is not None and isinstance(wanted, dict):
        return {field: getattr(found, field, None) for field in wanted}
    if name == "tool_calls":
        return _pairs(found, list(wanted))
    return str(found) if isinstance(found, FinishReason) else found


def _pairs(calls: Any, wanted: list[Any]) -> list[Any]:  # noqa: ANN401 (tool calls)
    """Return names and arguments of tool calls, as tuples or lists as the wanted ones are: JSON has no tuples."""
    pairs = [(call.name, call.arguments) for call in calls]
    kinds = [type(each) for each in wanted] + [tuple] * len(pairs)
    return [list(pair) if kind is list else pair for pair, kind in zip(pairs, kinds, strict=False)]
