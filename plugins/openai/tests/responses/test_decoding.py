"""Decoding of OpenAI Responses."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_core.errors import NotFound, ProviderError, RateLimited, Truncated
from polyglot_core.plugin import Connection, InferenceRequest, Message, Reasoning
from polyglot_core.testing import bind
from polyglot_openai.responses import driver
from polyglot_testkit import CHECKS, Recording, check_driver, replay

PIXEL = "iVBORw0KGgo="
USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10},
    "total_tokens": 50,
}
SOURCE = {"type": "url_citation", "url": "https://a.test/", "title": "A", "start_index": 0, "end_index": 5}
LOGPROBS = [{"token": token, "logprob": -0.5, "bytes": [], "top_logprobs": []} for token in ("Hello", " there")]

# One response with an item of every type.

SUMMARIES = [{"type": "summary_text", "text": text} for text in ("First.", "Then.")]
THINKING = {"id": "rs_1", "type": "reasoning", "summary": SUMMARIES, "encrypted_content": "final-cipher"}
SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
TEXT = {"type": "output_text", "text": "Hello there", "annotations": [SOURCE], "logprobs": LOGPROBS}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [TEXT]}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Oslo"}',
    "status": "completed",
}
CUSTOM = {
    "id": "c_1",
    "type": "custom_tool_call",
    "call_id": "call_2",
    "name": "sh",
    "input": "ls",
    "status": "completed",
}
IMAGE = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "output_format": "webp", "result": PIXEL}
ITEMS = [THINKING, SEARCH, MESSAGE, CALL, CUSTOM, IMAGE]


def response(*items, status="completed", **fields):
    usual = {"id": "resp_1", "object": "response", "model": "m-1", "status": status, "output": list(items)}
    return usual | {"error": None, "incomplete_details": None, "usage": USAGE} | fields


def begun(item):
    empty = {"summary": [], "content": [], "arguments": "", "input": "", "encrypted_content": "first-cipher"}
    kept = {name: empty.get(name, value) for name, value in item.items() if name not in {"result", "action"}}
    return kept | {"status": "in_progress"}


def added(index, item):
    return {"type": "response.output_item.added", "output_index": index, "item": begun(item)}


def done(index, item):
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind, index, text, **place):
    return {"type": f"response.{kind}.delta", "output_index": index, "item_id": "it", "delta": text, **place}


def text_delta(index, text, part=0, **fields):
    return delta("output_text", index, text, content_index=part, **fields)


CREATED = {"type": "response.created", "response": response(status="in_progress", usage=None)}


def ended(*items, status="completed", **fields):
    return {"type": f"response.{status}", "response": response(*items, status=status, **fields)}


def sse(*events):
    blocks = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return "".join(blocks).encode()


EVENTS = [
    CREATED,
    {"type": "response.in_progress", "response": CREATED["response"]},
    added(0, THINKING),
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0, "part": {}},
    delta("reasoning_summary_text", 0, "Fir", summary_index=0),
    delta("reasoning_summary_text", 0, "st.", summary_index=0),
    {"type": "response.reasoning_summary_text.done", "output_index": 0, "summary_index": 0, "text": "First."},
    delta("reasoning_summary_text", 0, "Then.", summary_index=1),
    done(0, THINKING),
    added(1, SEARCH),
    {"type": "response.web_search_call.searching", "output_index": 1, "item_id": "ws_1"},
    done(1, SEARCH),
    added(2, MESSAGE),
    {"type": "response.content_part.added", "output_index": 2, "content_index": 0, "part": {}},
    text_delta(2, "Hello", logprobs=LOGPROBS[:1]),
    text_delta(2, " there", logprobs=LOGPROBS[1:]),
    {"type": "response.output_text.annotation.added", "output_index": 2, "content_index": 0, "annotation": SOURCE},
    {"type": "response.output_text.done", "output_index": 2, "content_index": 0, "text": "Hello there"},
    {"type": "response.content_part.done", "output_index": 2, "content_index": 0, "part": TEXT},
    done(2, MESSAGE),
    added(3, CALL),
    delta("function_call_arguments", 3, '{"city":'),
    delta("function_call_arguments", 3, '"Oslo"}'),
    {"type": "response.function_call_arguments.done", "output_index": 3, "arguments": '{"city":"Oslo"}'},
    done(3, CALL),
    added(4, CUSTOM),
    delta("custom_tool_call_input", 4, "ls"),
    {"type": "response.custom_tool_call_input.done", "output_index": 4, "input": "ls"},
    done(4, CUSTOM),
    added(5, IMAGE),
    done(5, IMAGE),
    ended(*ITEMS),
]
STREAM, PLAIN = sse(*EVENTS), json.dumps(response(*ITEMS)).encode()


def bound(**facts):
    return bind(
        driver, Connection(name="t", driver="test", base_url="http://127.0.0.1/v1", api_key="test-key", facts=facts)
    )


def read(body, *, streamed=True, status=200, facts=None, pieces=None):
    recording = Recording(name="test", body=body, streamed=streamed, status=status)
    return replay(bound(**(facts or {})), recording, pieces=pieces)


def choice_of(*events, **fields):
    """Return the first choice of a stream that must succeed."""
    seen = read(sse(*events), **fields)
    assert seen.error is None
    return seen.response.choices[0]


def plain(*items, facts=None, **fields):
    seen = read(json.dumps(response(*items, **fields)).encode(), streamed=False, facts=facts)
    assert seen.error is None
    return seen.response.choices[0]


# The whole response


TURN = [
    {"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "2."}], "encrypted_content": "x"},
    {"type": "web_search_call", "id": "ws_9", "status": "completed", "action": {"type": "search", "query": "sum"}},
    {
        "type": "message",
        "id": "msg_9",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "I add.", "annotations": [SOURCE]}],
    },
    {"type": "function_call", "id": "fc_9", "call_id": "c9", "name": "sum", "arguments": "{}", "status": "completed"},
]
DETAILS = {"service_tier": "flex", "metadata": {"bed": "1"}}


NUMBERED = sse(*({**event, "sequence_number": number} for number, event in enumerate(EVENTS)))
HELLO = Message(role="user", content="Hello")
CALLED = {"content": "Hello there", "tool_calls": [("weather", {"city": "Oslo"}), ("sh", None)]}
SENT = {"model": "m-1", "input": [{"type": "message", "role": "user", "content": "Hello"}], "stream": True}


def test_the_driver_passes_the_exam(responses):
    """The driver passes every check that the project has for drivers."""
    status = json.dumps({"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_value"}})
    told = {"turn": TURN, "details": DETAILS}
    whole = json.dumps(responses.object(*TURN, **DETAILS)).encode()
    report = check_driver(
        driver,
        [
            Recording(name="stream", body=NUMBERED, same_as="plain", expect=CALLED, sent=SENT),
            Recording(name="plain", body=PLAIN, streamed=False, expect=CALLED),
            Recording(name="turn", body=sse(*responses.events(*TURN, **DETAILS)), same_as="plain turn", **told),
            Recording(name="plain turn", body=whole, streamed=False, **told),
            Recording(name="error", body=sse(CREATED, ERRORS["nested"]), fails=True, code="rate_limit_exceeded"),
            Recording(name="status", body=status.encode(), status=400, fails=True, code="invalid_value"),
        ],
        connection=Connection(name="t", driver="openai-responses", base_url="http://127.0.0.1/v1"),
        requests=[InferenceRequest(model="m-1", messages=(HELLO,), extra={"background": True})],
    )
    nothing_to_check = {"authorize adds credentials alone", "prefill continues the text"}
    nothing_to_check |= {"the finish reason is that of the wire"}  # it is a status and a reason
    nothing_to_check |= {"follow up requests receive the response", "work is cancelled by what identifies it"}
    assert set(report.passed) == set(CHECKS) - nothing_to_check


def test_response():
    """Thinking, text, sources, tool calls, media and reports are in their fields."""
    seen = read(STREAM)
    told = seen.response
    assert (told.id, told.model, told.outcome) == ("resp_1", "m-1", "finished")
    choice = told.choices[0]
    assert choice.content == "Hello there"
    assert choice.reasoning_content == "First.Then."
    assert choice.citations == (SOURCE,)
    assert choice.logprobs == tuple(LOGPROBS)
    assert [(call.id, call.name, call.arguments_raw) for call in choice.tool_calls] == [
        ("call_1", "weather", '{"city":"Oslo"}'),
        ("call_2", "sh", "ls"),
    ]
    assert [(media.mime_type, media.data) for media in choice.media] == [("image/webp", b"\x89PNG\r\n\x1a\n")]
    assert choice.server_tools == (SEARCH, IMAGE)


def test_plain_response_equals_the_streamed_one():
    """All fields are equal."""
    streamed, whole = (read(body, streamed=streamed).response for body, streamed in ((STREAM, True), (PLAIN, False)))
    assert streamed.choices == whole.choices
    assert streamed.usage == whole.usage
    assert (streamed.id, streamed.model) == (whole.id, whole.model)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_any_split_gives_the_same_response(places):
    """The response does not depend on how the network splits the body."""
    marks = [0, *sorted(places), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in itertools.pairwise(marks)]
    assert read(STREAM, pieces=pieces).response.choices == read(STREAM).response.choices


def test_text_is_emitted_piece_by_piece():
    """There is one partial for each piece, and none for events without content."""
    seen = read(sse(CREATED, added(0, MESSAGE), text_delta(0, "Hello"), text_delta(0, " there"), ended(MESSAGE)))
    assert [partial.content_delta for partial in seen.partials] == ["Hello", " there", "", ""]


# The end


@pytest.mark.parametrize(
    ("status", "details", "reason", "raw"),
    [
        ("completed", None, "stop", "completed"),
        ("incomplete", {"reason": "max_output_tokens"}, "length", "max_output_tokens"),
        ("incomplete", {"reason": "content_filter"}, "content_filter", "content_filter"),
        ("incomplete", {"reason": "tired"}, "other", "tired"),
        ("incomplete", None, "other", "incomplete"),
        ("completed", {"reason": "max_output_tokens"}, "length", "max_output_tokens"),
        ("COMPLETED", None, "stop", "COMPLETED"),
        ("incomplete", {"reason": None}, "other", "incomplete"),
        ("incomplete", "content_filter", "content_filter", "content_filter"),
    ],
)
def test_status_is_the_finish_reason(status, details, reason, raw):
    """Or, if a response is incomplete, its detail; streamed and plain."""
    last = {**ended(MESSAGE, status=status, incomplete_details=details), "type": "response.completed"}
    for choice in (choice_of(CREATED, last), plain(MESSAGE, status=status, incomplete_details=details)):
        assert (choice.finish_reason, choice.finish_reason_raw) == (reason, raw)


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_failed_or_cancelled_response_is_an_error(status):
    """Streamed and plain; the content is kept."""
    for seen in (
        read(sse(CREATED, done(0, MESSAGE), ended(MESSAGE, status=status))),
        read(json.dumps(response(MESSAGE, status=status)).encode(), streamed=False),
    ):
        assert isinstance(seen.error, ProviderError)
        assert seen.error.partial.content == "Hello there"


def test_tool_calls_are_the_reason_of_a_complete_response():
    """For a truncated tool call the reason is the length."""
    assert choice_of(CREATED, done(0, CALL), ended(CALL)).finish_reason == "tool_calls"
    cut = CALL | {"arguments": '{"ci', "status": "incomplete"}
    choice = plain(cut, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert choice.finish_reason == "length"
    assert not choice.tool_calls[0].ready
    broken_off = read(sse(CREATED, done(0, cut | {"arguments": "{}"})))
    assert not broken_off.response.tool_calls[0].ready


def test_status_counts_more_than_the_event_name():
    """A server may end every response with `response.completed`, or leave the status unchanged."""
    details = {"reason": "max_output_tokens"}
    last = {"type": "response.completed", "response": response(status="incomplete", incomplete_details=details)}
    assert choice_of(CREATED, text_delta(0, "hm"), last).finish_reason == "length"
    stale = {"type": "response.completed", "response": response(status="in_progress")}
    assert choice_of(CREATED, text_delta(0, "hm"), stale).finish_reason == "stop"


@pytest.mark.parametrize("last", [{}, {"response": None}, {"response": {}}])
def test_last_event_without_a_response(last):
    """The name of the event is enough."""
    choice = choice_of(CREATED, text_delta(0, "hm"), {"type": "response.completed", **last})
    assert (choice.content, choice.finish_reason) == ("hm", "stop")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_unfinished_plain_response_has_no_known_reason(status):
    """It was requested in the background."""
    choice = plain(status=status)
    assert (choice.finish_reason, choice.finish_reason_raw) == ("unknown", status)


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
def test_stream_without_its_last_event_is_truncated(tail):
    """Even after a gateway's end marker: the content may be incomplete."""
    seen = read(sse(CREATED, text_delta(0, "Hel")) + tail)
    assert isinstance(seen.error, Truncated)
    assert seen.response.content == "Hel"


def test_events_after_the_last_are_ignored():
    """Such as the marker that a gateway adds."""
    choice = read(sse(*EVENTS) + b"data: [DONE]\n\n" + sse(text_delta(0, "more"))).response.choices[0]
    assert choice.content == "Hello there"


def test_last_event_without_its_blank_line_counts():
    """Some servers close the connection right after it."""
    assert read(STREAM.rstrip(b"\n")).error is None


@pytest.mark.parametrize(("body", "message"), [(b'{"ok":true}', '{"ok":true'), (b'{"detail":"Asleep."}', "Asleep.")])
def test_body_that_is_no_response_is_an_error(body, message):
    """Such a body was not sent by the model."""
    error = read(body, streamed=False).error
    assert isinstance(error, ProviderError)
    assert error.message.startswith(message)


# Items: sent in deltas, when they are done, or at the end


@pytest.mark.parametrize(
    "events",
    [
        [done(2, MESSAGE), done(3, CALL), ended()],
        [ended(MESSAGE, CALL)],
        [added(2, MESSAGE), added(3, CALL), ended(MESSAGE, CALL)],
        [
            added(2, MESSAGE),
            {"type": "response.output_text.done", "output_index": 2, "content_index": 0, "text": "Hello there"},
            added(3, CALL),
            {"type": "response.function_call_arguments.done", "output_index": 3, "arguments": '{"city":"Oslo"}'},
            ended(),
        ],
        [text_delta(0, ""), delta("function_call_arguments", 1, ""), done(0, MESSAGE), done(1, CALL), ended()],
        [text_delta(0, "Hello there"), delta("function_call_arguments", 1, '{"city":"Oslo"}'), ended(MESSAGE, CALL)],
    ],
    ids=["items alone", "the response alone", "items begun", "texts whole", "empty deltas", "deltas without items"],
)
def test_each_item_is_emitted_once(events):
    """A server may omit deltas, whole texts, whole items, or the items of the last response."""
    choice = choice_of(CREATED, *events)
    assert choice.content == "Hello there"
    (call,) = choice.tool_calls
    assert (call.id, call.name, call.arguments_raw, call.complete) == ("call_1", "weather", '{"city":"Oslo"}', True)


def test_items_missing_in_the_last_response_are_kept():
    """One backend always ends with an empty output."""
    choice = choice_of(*EVENTS[:-1], ended())
    assert choice == read(STREAM).response.choices[0]


def test_changing_ids_are_ignored():
    """One server gives an item another id in every event; its index counts."""
    first, last = MESSAGE | {"id": "a"}, MESSAGE | {"id": "z"}
    choice = choice_of(
        CREATED, added(0, first), text_delta(0, "Hello there"), done(0, last), ended(MESSAGE | {"id": "q"})
    )
    assert choice.content == "Hello there"
    calls = choice_of(CREATED, added(0, CALL), done(0, CALL | {"id": "x", "call_id": "call_9"}), ended()).tool_calls
    assert [call.id for call in calls] == ["call_1"]


def test_missing_indexes_are_found_by_id_or_order():
    """A whole item without its index follows deltas that had theirs."""
    second = MESSAGE | {"id": "msg_2", "content": [TEXT | {"text": "Bye"}]}
    unplaced = [{"type": "response.output_item.done", "item": item} for item in (MESSAGE, second)]
    said = text_delta(0, "Hello there"), text_delta(1, "Bye")
    by_id = choice_of(CREATED, added(0, MESSAGE), added(1, second), *said, *reversed(unplaced), ended(MESSAGE, second))
    by_order = choice_of(CREATED, said[0], unplaced[0], said[1], unplaced[1], ended(MESSAGE, second))
    alone = choice_of(CREATED, *unplaced, ended())
    assert by_id.content == by_order.content == alone.content == "Hello thereBye"


def test_items_with_equal_ids_are_distinguished_by_index():
    """One provider uses one id for all thinking of a response."""
    again = THINKING | {"summary": [{"type": "summary_text", "text": "Again."}], "encrypted_content": "other"}
    choice = choice_of(CREATED, done(0, THINKING), done(1, again), ended(THINKING, again))
    assert choice.reasoning_content == "First.Then.Again."
    assert [stretch.redacted for stretch in choice.reasoning] == ["final-cipher", None, "other"]


def test_parts_are_counted():
    """One server numbers the parts of a message from 1 in its deltas, and from 0 in the item."""
    choice = choice_of(
        CREATED, added(0, MESSAGE), text_delta(0, "Hello there", part=1), done(0, MESSAGE), ended(MESSAGE)
    )
    assert choice.content == "Hello there"


def test_all_parts_of_a_message_are_text():
    """There may be several, and a whole one may follow one in deltas."""
    parts = [TEXT, TEXT | {"text": " you", "annotations": [SOURCE]}]
    item = MESSAGE | {"content": parts}
    assert plain(item).content == "Hello there you"
    choice = choice_of(CREATED, text_delta(0, "Hello there"), done(0, item), ended(item))
    assert choice.content == "Hello there you"
    assert len(choice.citations) == 2


def test_message_may_be_a_string():
    """Its content need not be a list of parts."""
    assert plain(MESSAGE | {"content": "Hello"}).content == "Hello"


def test_interleaved_tool_calls_are_kept_apart():
    """Their pieces may alternate."""
    other = CALL | {"id": "fc_2", "call_id": "call_2", "arguments": "[1]"}
    pieces = [
        delta("function_call_arguments", index, text) for index, text in ((0, '{"a"'), (1, "[1"), (0, ":1}"), (1, "]"))
    ]
    choice = choice_of(CREATED, added(0, CALL), added(1, other), *pieces, done(1, other), done(0, CALL), ended())
    assert [(call.id, call.arguments_raw) for call in choice.tool_calls] == [("call_1", '{"a":1}'), ("call_2", "[1]")]


def test_object_arguments_become_text():
    """Tool calls hold the text of their arguments."""
    assert plain(CALL | {"arguments": {"city": "Oslo"}}).tool_calls[0].arguments == {"city": "Oslo"}


def test_provider_calls_are_not_tool_calls():
    """The row states how ids of such calls begin; without it they are tool calls for the user."""
    own = CUSTOM | {"call_id": "xs_call_1", "name": "x_search"}
    events = [CREATED, added(0, own), delta("custom_tool_call_input", 0, "ls"), done(0, own), ended(own)]
    for choice in (choice_of(*events, facts={"own_calls": ["xs_"]}), plain(own, facts={"own_calls": ["xs_"]})):
        assert choice.tool_calls == ()
        assert choice.finish_reason == "stop"
        assert choice.server_tools == (own,)
    assert choice_of(*events).tool_calls[0].name == "x_search"


def test_invalid_image_stays_in_its_report():
    """Such as a URL; nothing is lost."""
    item = IMAGE | {"result": "https://a.test/cat.png"}
    choice = plain(item)
    assert choice.media == ()
    assert choice.server_tools == (item,)


def test_refusal_is_not_text():
    """Streamed or whole."""
    item = MESSAGE | {"content": [{"type": "refusal", "refusal": "I cannot."}]}
    pieces = [delta("refusal", 0, text, content_index=0) for text in ("I ", "cannot.")]
    for choice in (
        choice_of(CREATED, *pieces, done(0, item), ended(item)),
        choice_of(CREATED, done(0, item), ended()),
        plain(item),
    ):
        assert (choice.refusal, choice.content, choice.finish_reason) == ("I cannot.", "", "stop")


# Thinking


def test_thinking_can_be_sent_back():
    """Each stretch has the id, and the first has the cipher of the whole item, not the initial one."""
    part = {"type": "summary_text"}
    assert read(STREAM).response.choices[0].reasoning == (
        Reasoning(text="First.", redacted="final-cipher", id="rs_1", extra={"part": part}),
        Reasoning(text="Then.", id="rs_1", extra={"part": part | {"index": 1}}),
    )


def test_hidden_thinking_is_kept_for_sending_back():
    """An id alone is what the provider accepts."""
    silent = {"id": "rs_9", "type": "reasoning", "summary": []}
    for choice in (plain(silent, MESSAGE), choice_of(CREATED, done(0, silent), ended(silent))):
        assert [(part.id, part.text) for part in choice.reasoning] == [("rs_9", "")]


def test_shown_thinking_is_thinking():
    """Open models send it whole rather than as a summary."""
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    streamed = choice_of(
        CREATED, added(0, item), delta("reasoning_text", 0, "hm", content_index=0), done(0, item), ended()
    )
    for choice in (streamed, plain(item)):
        assert (choice.reasoning_content, choice.content) == ("hm", "")
        extra = {"part": {"type": "reasoning_text"}}
        assert choice.reasoning == (Reasoning(text="hm", id="rs_1", extra=extra),)


# Errors

ERROR = {"type": "tokens", "code": "rate_limit_exceeded", "message": "Too fast.", "param": None}
ERRORS = {
    "nested": {"type": "error", "error": ERROR},
    "flat": {"type": "error", "code": "rate_limit_exceeded", "message": "Too fast.", "param": None},
    "failed": ended(status="failed", error={"code": "rate_limit_exceeded", "message": "Too fast."}, usage=None),
    "completed": ended(error=ERROR),
}


@pytest.mark.parametrize("event", ERRORS.values(), ids=ERRORS)
def test_error_event(event):
    """In each of its shapes, whatever the status; the content received before is kept."""
    seen = read(sse(CREATED, text_delta(0, "Hel"), event))
    assert isinstance(seen.error, RateLimited)
    assert (seen.error.message, seen.error.code) == ("Too fast.", "rate_limit_exceeded")
    assert seen.error.partial.content == "Hel"


def test_error_without_an_event_type():
    """Gateways send an object with nothing but the error, or name the event in its own line."""
    bare = b'data: {"error": {"message": "gone", "code": 502}}\n\n'
    named = b'event: error\ndata: {"message": "gone", "code": "server_error"}\n\n'
    for body in (bare, named):
        error = read(sse(CREATED) + body).error
        assert isinstance(error, ProviderError)
        assert error.message == "gone"
    assert read(b'data: {"type": "error", "message": "gone"}\n\n').error.code is None


def test_failed_status_without_a_reason():
    """The status is enough, streamed and plain."""
    assert isinstance(read(sse(CREATED, ended(status="failed", usage=None))).error, ProviderError)
    body = json.dumps(response(status="failed")).encode()
    assert isinstance(read(body, streamed=False).error, ProviderError)


@pytest.mark.parametrize(
    "body",
    [{"error": {"message": "no", "code": "server_error"}}, response(status="failed", error={"message": "no"})],
    ids=["bare", "failed response"],
)
def test_error_in_a_plain_response(body):
    """A 200 does not make it a success."""
    error = read(json.dumps(body).encode(), streamed=False).error
    assert isinstance(error, ProviderError)
    assert error.message == "no"


def test_error_as_a_string():
    """One provider sends the message as a string next to the code."""
    error = read(b'{"code": "invalid-argument", "error": "No such model."}', status=400).error
    assert isinstance(error, NotFound)
    assert (error.message, error.code) == ("No such model.", "invalid-argument")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.queued"},
        {"type": "keepalive"},
        {"type": "response.mcp_call_arguments.delta", "output_index": 0, "delta": '{"a'},
        {"type": "response.output_text.delta", "output_index": 0, "delta": {"text": "odd"}},
        {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": "odd"},
        {"type": "response.created"},
        {},
    ],
)
def test_unknown_events_are_ignored(event):
    """Future events, and undocumented shapes."""
    odd = f"data: {json.dumps(event)}\n\n".encode()
    assert read(odd + STREAM).response.choices == read(STREAM).response.choices


# Usage


@pytest.mark.parametrize(
    ("payload", "counts"),
    [
        (USAGE, (20, 30, 8, 4, 10)),
        ({"input_tokens": 3, "output_tokens": 0}, (3, 0, None, None, None)),
        ({"input_tokens": 3, "input_tokens_details": None, "output_tokens_details": {}}, (3, None, None, None, None)),
        ({"input_tokens": "3", "output_tokens_details": [1]}, (None, None, None, None, None)),
    ],
)
def test_usage_is_read(payload, counts):
    """Counts are not added up, 0 is a count, and a missing count is unknown."""
    usage = read(sse(CREATED, text_delta(0, "hm"), ended(MESSAGE, usage=payload))).response.usage
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    assert tuple(getattr(usage, name) for name in names) == counts
    assert usage.raw == payload


def test_response_without_usage():
    """Unknown is not zero."""
    assert read(sse(CREATED, text_delta(0, "hm"), ended(MESSAGE, usage=None))).response.usage is None
