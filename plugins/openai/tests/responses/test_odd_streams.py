"""Streams that name, place, repeat or type their items in unusual ways, and the spellings of an error."""

from __future__ import annotations

import copy

import pytest

from polyglot_core.errors import ContextLengthExceeded, Overloaded, PluginError, ProviderError, RateLimited
from polyglot_core.plugin import Message, RawTool, ServerToolEvent, Tool

PIXEL = "iVBORw0KGgo="


def message(words, id_="msg_1", **fields):
    part = {"type": "output_text", "text": words, "annotations": []}
    return {"type": "message", "id": id_, "role": "assistant", "status": "completed", "content": [part]} | fields


def call(id_="fc_1", **fields):
    item = {"type": "function_call", "id": id_, "call_id": "call_1", "name": "weather", "status": "completed"}
    return item | {"arguments": '{"city":"Oslo"}'} | fields


def delta(words, kind="output_text", **place):
    return {"type": f"response.{kind}.delta", "delta": words, **place}


def said(words, **place):
    return {"type": "response.output_text.done", "text": words, **place}


def added(item, **place):
    return {"type": "response.output_item.added", "item": {**item, "content": []}, **place}


def done(item, **place):
    return {"type": "response.output_item.done", "item": item, **place}


def completed(*items, **fields):
    response = {"id": "resp_1", "model": "m", "status": "completed", "output": list(items)} | fields
    return {"type": "response.completed", "response": response}


def at(index, id_=None):
    return {"output_index": index, "content_index": 0} | ({"item_id": id_} if id_ else {})


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
PIECES = ("Hel", "lo.")
OTHER = message("Bye.", "msg_2")

ONCE = {
    "the place of the thinking": [
        *(added(THOUGHT, output_index=0), done(THOUGHT, output_index=0)),
        *(delta(piece, **at(0, "msg_1")) for piece in PIECES),
        completed(THOUGHT, message("Hello.")),
    ],
    "another place and another id": [
        *(delta(piece, **at(0, "a")) for piece in PIECES),
        completed(THOUGHT, message("Hello.", "b")),
    ],
    "another place and no id": [
        *(delta(piece, **at(0)) for piece in PIECES),
        completed(THOUGHT, message("Hello.") | {"id": None}),
    ],
    "no place and no id": [*(delta(piece) for piece in PIECES), completed(THOUGHT, message("Hello."))],
    "only an id": [*(delta(piece, item_id="msg_1") for piece in PIECES), completed(THOUGHT, message("Hello."))],
    "other ids in every event": [
        added(message("", "a"), output_index=0),
        *(delta(piece, **at(0, id_)) for piece, id_ in zip(PIECES, "bc", strict=True)),
        *(
            said("Hello.", **at(0, "d")),
            done(message("Hello.", "e"), output_index=0),
            completed(message("Hello.", "f")),
        ),
    ],
    "other ids and no place": [
        added(message("", "a")),
        *(delta(piece, item_id=id_) for piece, id_ in zip(PIECES, "bc", strict=True)),
        *(done(message("Hello.", "e")), completed(message("Hello.", "f"))),
    ],
    "the deltas have another place than the item": [
        added(message(""), output_index=1),
        *(delta(piece, **at(0, "msg_1")) for piece in PIECES),
        *(done(message("Hello."), output_index=1), completed(THOUGHT, message("Hello."))),
    ],
    "the item has another place than its deltas": [
        *(delta(piece, **at(0, "a")) for piece in PIECES),
        *(done(message("Hello.", "b"), output_index=1), completed(THOUGHT, message("Hello.", "c"))),
    ],
    "the whole text has another place": [
        *(delta(piece, **at(0, "a")) for piece in PIECES),
        *(said("Hello.", **at(1, "b")), completed(message("Hello.", "c"))),
    ],
    "numbers that are strings": [
        *(delta(piece, output_index="0", content_index="0", item_id="msg_1") for piece in PIECES),
        *(done(message("Hello."), output_index="0"), completed(message("Hello."))),
    ],
    "numbers that are floats": [
        *(delta(piece, output_index=0.0, content_index=0.0) for piece in PIECES),
        completed(message("Hello.")),
    ],
    "the last response divides the text otherwise": [
        *(delta(piece, **at(0)) for piece in PIECES),
        completed(message("Hel", "x"), message("lo.", "y")),
    ],
    "the item twice": [done(message("Hello."), output_index=0)] * 2 + [completed(message("Hello."))],
    "a text that goes on in the whole one": [delta("Hel", **at(0)), said("Hello.", **at(0)), completed()],
    "a text that goes on in the item": [delta("Hel", **at(0)), done(message("Hello."), output_index=0), completed()],
    "a text that goes on in the last response": [delta("Hel", **at(0)), completed(message("Hello."))],
    "a text only in its part": [
        {"type": "response.content_part.done", "part": message("Hello.")["content"][0], **at(0)},
        completed(),
    ],
    "the last response has other words": [
        *(delta(piece, **at(0, "msg_1")) for piece in PIECES),
        completed(message("Hello!", "msg_1")),
    ],
    "the last response has no words": [
        *(delta(piece, **at(0, "msg_1")) for piece in PIECES),
        completed(message("", "msg_1")),
    ],
    "output null": [*(delta(piece, **at(0)) for piece in PIECES), completed(output=None)],
    "items that are none": [*(delta(piece, **at(0)) for piece in PIECES), completed(None, "x", 5)],
    "null between": [delta("Hel"), b"data: null\n\n", b'data: ""\n\n', b"data: []\n\n", delta("lo."), completed()],
    "values of odd types": [
        {"type": "response.created", "response": {"id": 5, "model": ["m"], "status": 7}},
        *(
            added({"type": "message", "id": 5}, output_index=0),
            {"type": "response.output_item.added", "item": "odd"},
            done(None),
            done(["odd"]),
        ),
        *(delta(piece, **at(0)) for piece in PIECES),
        *(delta(5, **at(0)), delta({"text": "x"}, **at(0)), delta(None, **at(0)), said(["x"], **at(0))),
        completed(message("Hello."), usage="none", incomplete_details=7, id=5, model={}),
    ],
}


@pytest.mark.parametrize("events", ONCE.values(), ids=ONCE)
def test_text_is_emitted_once(responses, events):
    """However a server names and places it, nothing is repeated, and nothing is lost."""
    seen = responses.streamed(*events)
    assert seen.error is None
    assert (seen.response.content, seen.response.finish_reason) == ("Hello.", "stop")


TWICE = {
    "one place for both": [
        *(delta("Hello.", **at(0, "msg_1")), done(message("Hello."), output_index=0)),
        *(delta("Bye.", **at(0, "msg_2")), done(OTHER, output_index=0), completed(message("Hello."), OTHER)),
    ],
    "one place for both, announced": [
        *(
            added(message(""), output_index=0),
            delta("Hello.", **at(0, "msg_1")),
            done(message("Hello."), output_index=0),
        ),
        *(added(OTHER, output_index=0), delta("Bye.", **at(0, "msg_2")), done(OTHER, output_index=0), completed()),
    ],
    "one place for both, without ids": [
        *(delta("Hello.", **at(0)), done(message("Hello.") | {"id": None}, output_index=0)),
        *(delta("Bye.", **at(0)), done(OTHER | {"id": None}, output_index=0), completed()),
    ],
    "only ids": [
        *(added(message("")), delta("Hello.", item_id="msg_1"), done(message("Hello."))),
        *(added(OTHER), delta("Bye.", item_id="msg_2"), done(OTHER), completed(message("Hello."), OTHER)),
    ],
    "only whole items": [done(message("Hello.")), done(OTHER), completed(message("Hello."), OTHER)],
    "one only in the last response": [done(message("Hello."), output_index=0), completed(message("Hello."), OTHER)],
    "the first only in the last response": [
        *(delta("Hello.", **at(0, "msg_1")), completed(message("Hello.", "msg_1"), OTHER)),
    ],
    "announced at one place": [
        *(added(message(""), output_index=0), added(OTHER, output_index=1)),
        *(delta("Hello.", **at(0, "msg_1")), delta("Bye.", **at(0, "msg_2")), completed(message("Hello."), OTHER)),
    ],
}


@pytest.mark.parametrize("events", TWICE.values(), ids=TWICE)
def test_two_messages_stay_two(responses, events):
    """However a server names and places them."""
    seen = responses.streamed(*events)
    assert seen.response.content == "Hello.Bye."
    assert [part.text for part in seen.response.choices[0].parts] == ["Hello.", "Bye."]


def test_other_words_are_noted(responses):
    """The response keeps the first ones."""
    seen = responses.streamed(*ONCE["the last response has other words"])
    assert seen.response.notes == (
        "The provider repeated a text with other words than it had sent before; the first ones are kept.",
    )
    assert not responses.streamed(*ONCE["a text that goes on in the item"]).response.notes


def test_matching_is_linear(responses):
    """Twice the items take about twice the time, also if neither ids nor positions are equal."""
    items = [message(f"{number} ", f"a{number}") for number in range(3000)]
    again = [message(f"{number} ", f"b{number}") for number in reversed(range(3000))]
    seen = responses.streamed(*(done(item) for item in items), completed({"type": "dream"}, *again))
    assert len(seen.response.choices[0].parts) == 3001


# Tool calls

ARGUMENTS = ('{"city":', '"Oslo"}')

CALLS = {
    "arguments again": [
        *(added(call(arguments=""), output_index=0),),
        *(delta(each, "function_call_arguments", output_index=0) for each in ARGUMENTS),
        {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "".join(ARGUMENTS)},
        *(done(call(), output_index=0), completed(call())),
    ],
    "arguments that go on in the item": [
        *(added(call(arguments=""), output_index=0), delta(ARGUMENTS[0], "function_call_arguments", output_index=0)),
        *(done(call(), output_index=0), completed(call())),
    ],
    "arguments again with other spaces": [
        *(added(call(arguments=""), output_index=0),),
        *(delta(each, "function_call_arguments", output_index=0) for each in ARGUMENTS),
        *(done(call(arguments='{ "city": "Oslo" }'), output_index=0), completed()),
    ],
    "arguments as an object": [done(call(arguments={"city": "Oslo"}), output_index=0), completed()],
    "arguments as an object at last": [
        *(added(call(arguments=""), output_index=0),),
        *(delta(each, "function_call_arguments", output_index=0) for each in ARGUMENTS),
        completed(call(arguments={"city": "Oslo"})),
    ],
    "the name at last": [
        *(delta(each, "function_call_arguments", output_index=0, item_id="fc_1") for each in ARGUMENTS),
        *(
            added(call(name=None, call_id=None, arguments=""), output_index=0),
            done(call(), output_index=0),
            completed(),
        ),
    ],
    "another place at last": [
        *(added(call(arguments=""), output_index=0),),
        *(delta(each, "function_call_arguments", output_index=0) for each in ARGUMENTS),
        completed(THOUGHT, message("x"), call("other")),
    ],
}


@pytest.mark.parametrize("events", CALLS.values(), ids=CALLS)
def test_arguments_are_emitted_once(responses, events):
    """Whole or in pieces, and however they are repeated."""
    seen = responses.streamed(*events)
    assert seen.error is None
    (found,) = seen.response.tool_calls
    assert (found.id, found.name, found.arguments, found.ready) == ("call_1", "weather", {"city": "Oslo"}, True)
    assert not seen.response.notes


def test_call_without_a_name_is_not_ready(responses):
    """Nor is one without anything but an id."""
    seen = responses.streamed(done(call(name=None)), completed())
    assert [found.ready for found in seen.response.tool_calls] == [False]


# Errors

SLOW = {"code": "rate_limit_exceeded", "message": "Too fast."}
ERRORS = {
    "nested": {"type": "error", "error": SLOW},
    "nested twice": {"type": "error", "error": {"error": SLOW}},
    "flat": {"type": "error", **SLOW},
    "another type": {"type": "response.error", "error": SLOW},
    "another type, flat": {"type": "response.error", **SLOW},
    "without a type": {"error": SLOW},
    "without a type, flat": SLOW,
    "an object of the type error": {"object": "error", **SLOW},
    "the code as its type": {"type": "rate_limit_error", "message": "Too fast."},
    "failed": {"type": "response.failed", "response": {"status": "failed", "error": SLOW}},
    "failed, beside the response": {"type": "response.failed", "error": SLOW},
    "failed, the status not updated": {"type": "response.failed", "response": {"status": "in_progress", "error": SLOW}},
    "incomplete": {"type": "response.incomplete", "response": {"status": "incomplete", "error": SLOW}},
    "completed": completed(error=SLOW),
    "named": b'event: error\ndata: {"code": "rate_limit_exceeded", "message": "Too fast."}\n\n',
    "named, with a type": b'event: error\ndata: {"type": "rate_limit_error", "message": "Too fast."}\n\n',
    "named, in a list": b'event: error\ndata: [{"code": "rate_limit_exceeded", "message": "Too fast."}]\n\n',
    "numbers as strings": {"type": "error", "sequence_number": "5", "error": SLOW},
}
BEFORE = {"first": [], "middle": [delta("Hel", **at(0))], "last": [done(message("Hel"), output_index=0)]}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("event", ERRORS.values(), ids=ERRORS)
def test_errors_in_every_spelling(responses, event, before):
    """First, in the middle, and after all content; what was received before is kept."""
    seen = responses.streamed(*before, event)
    assert isinstance(seen.error, RateLimited)
    assert seen.error.message == "Too fast."
    assert seen.error.partial.content == ("Hel" if before else "")


BARE = {
    "text": (b"event: error\ndata: It broke.\n\n", "It broke."),
    "a JSON text": (b'event: error\ndata: "It broke."\n\n', "It broke."),
    "null": (b"event: error\ndata: null\n\n", "without a message"),
    "an empty error": ({"error": {}}, "without a message"),
    "an empty error with a type": ({"type": "error", "error": {}}, "without a message"),
    "an empty text": ({"error": ""}, "without a message"),
    "a text": ({"error": "It broke."}, "It broke."),
    "a detail": ({"detail": "It broke."}, "It broke."),
    "nothing but a name": ({"type": "error"}, "without a message"),
    "failed for no reason": ({"type": "response.failed", "response": {"status": "failed"}}, "without a message"),
    "failed without a response": ({"type": "response.failed"}, "without a message"),
}


@pytest.mark.parametrize(("event", "words"), BARE.values(), ids=BARE)
def test_errors_that_say_little(responses, event, words):
    """An error without a code is one too."""
    seen = responses.streamed(delta("Hel", **at(0)), event)
    assert isinstance(seen.error, ProviderError)
    assert words in seen.error.message


PLAIN_ERRORS = {
    "nested": {"error": {"code": "context_length_exceeded", "message": "Too long."}},
    "failed": {"status": "failed", "error": {"code": "context_length_exceeded", "message": "Too long."}, "output": []},
    "flat": {"code": "context_length_exceeded", "message": "Too long."},
    "in a list": [{"error": {"code": "context_length_exceeded", "message": "Too long."}}],
}


@pytest.mark.parametrize("body", PLAIN_ERRORS.values(), ids=PLAIN_ERRORS)
def test_errors_in_a_plain_response(responses, body):
    """A status 200 does not make it a success."""
    error = responses.plain(body).error
    assert isinstance(error, ContextLengthExceeded)
    assert error.message == "Too long."


@pytest.mark.parametrize("body", [None, [], "", "Forbidden", {}, {"ok": True}], ids=repr)
def test_body_that_is_no_response(responses, body):
    """It was not sent by a model."""
    assert isinstance(responses.plain(body).error, ProviderError)


def test_reason_for_an_incomplete_response_may_be_a_failure(responses):
    """The provider's failure is no finish."""
    seen = responses.plain(responses.object(status="incomplete", incomplete_details={"reason": "overloaded"}))
    assert isinstance(seen.error, Overloaded)


# Events that are not the response's

FOREIGN = {
    "keep-alive": ({"type": "keepalive"}, {}),
    "progress of a tool": ({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "x"}, {}),
    "pieces of a tool": ({"type": "response.code_interpreter_call_code.delta", "delta": "1+", "output_index": 0}, {}),
    "rate limits": (
        {"type": "rate_limits.updated", "rate_limits": [{"remaining": 5}]},
        {"rate_limits.updated": {"rate_limits": [{"remaining": 5}]}},
    ),
    "a message of tomorrow": (
        {"type": "response.mood", "message": "glad"},
        {"response.mood": {"message": "glad"}},
    ),
    "a named event": (b'event: vendor.progress\ndata: {"percent": 5}\n\n', {"vendor.progress": {"percent": 5}}),
    "an object": ({"percent": 5}, {"event": {"percent": 5}}),
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "middle"])
@pytest.mark.parametrize(("event", "facts"), FOREIGN.values(), ids=FOREIGN)
def test_other_events_change_no_content(responses, event, facts, first):
    """What they state is among the details."""
    pieces = [delta("Hel", **at(0)), delta("lo.", **at(0))]
    pieces.insert(0 if first else 1, event)
    response = responses.streamed(*pieces, completed()).response
    assert (response.content, response.details) == ("Hello.", {"status": "completed", **facts})
    assert len(response.choices[0].parts) == 1


def test_early_images_are_shown(responses):
    """They are events of the tool; the final image alone is media, and is sent back once."""
    item = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PIXEL}
    early = {"type": "response.image_generation_call.partial_image", "partial_image_b64": "AAAA", "item_id": "ig_1"}
    seen = responses.streamed(added(item, output_index=0), early, done(item, output_index=0), completed(item))
    shown = [event for event in seen.events if isinstance(event, ServerToolEvent) and not event.replay]
    assert [event.payload for event in shown] == [{}, early]
    choice = seen.response.choices[0]
    assert choice.server_tools == (early, item)
    assert [media.mime_type for media in choice.media] == ["image/png"]
    assert responses.sent(seen.response.message) == [item]


# Values of odd types, anywhere


def paths_of(value, path=()):
    """Yield the path of every value in a JSON value."""
    yield path
    names = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield from paths_of(value[name], (*path, name))


def with_value(value, path, odd):
    """Return a copy of a JSON value with another value at the path."""
    if not path:
        return odd
    changed = copy.copy(value)
    changed[path[0]] = with_value(value[path[0]], path[1:], odd)
    return changed


SAMPLES = {
    "thinking": THOUGHT,
    "a message": message("Hello."),
    "a call": call(),
    "a tool": {
        "type": "shell_call",
        "id": "sh_1",
        "call_id": "c",
        "action": {"commands": ["ls"]},
        "status": "completed",
    },
}


@pytest.mark.parametrize("odd", [None, 5, "x", "7", [], {}, [[]], {"a": 1}], ids=repr)
@pytest.mark.parametrize("item", SAMPLES.values(), ids=SAMPLES)
def test_values_of_odd_types_are_no_fault_of_the_driver(responses, item, odd):
    """Each value of an event or a response may have any type; the turn can be sent back in any case."""
    events = responses.events(item)
    streams = [
        [*events[:number], with_value(event, path, odd), *events[number + 1 :]]
        for number, event in enumerate(events)
        for path in paths_of(event)
    ]
    whole = responses.object(item)
    seen = [responses.streamed(*stream) for stream in streams]
    seen += [responses.plain(with_value(whole, path, odd)) for path in paths_of(whole)]
    for each in seen:
        assert not isinstance(each.error, PluginError)
        if each.response is not None:
            responses.sent(each.response.message)


# Details

ENVELOPE = {
    "service_tier": "priority",
    "conversation": {"id": "conv_1"},
    "metadata": {"team": "docs"},
    "truncation": "disabled",
    "safety_identifier": "user-1",
    "reasoning": {"effort": "low", "summary": None},
    "incomplete_details": {"reason": "max_output_tokens"},
    "added_tomorrow": [1],
}
LEFT_OUT = {
    "object": "response",
    "error": None,
    "instructions": "Be brief.",
    "tools": [{"type": "web_search"}],
    "text": {"format": {"type": "text"}},
    "input": [],
    "metadata_of_nobody": {},
}


@pytest.mark.parametrize("mode", ["streamed", "plain"])
def test_details_are_the_other_facts(responses, mode):
    """In the provider's words, without what the response repeats of the request's content."""
    response = responses.received(mode, message("Hi"), status="incomplete", **ENVELOPE, **LEFT_OUT)
    assert response.details == {"status": "incomplete", **ENVELOPE}


def test_details_of_an_interrupted_stream(responses):
    """The first event has them already."""
    begun = {"id": "resp_1", "status": "in_progress", "conversation": {"id": "conv_1"}}
    error = responses.streamed({"type": "response.created", "response": begun}, delta("Hel")).error
    assert error.partial.details == {"status": "in_progress", "conversation": {"id": "conv_1"}}


# Requests


def test_tools_of_the_provider_are_sent_as_they_are(responses):
    """Beside the user's, with their further fields; they can be chosen by name or type."""
    tools = (Tool("weather", extra={"defer_loading": True}), RawTool({"type": "web_search"}))
    request = {"tools": tools, "tool_choice": "web_search"}
    body = responses.body("Hi", **request)
    assert body["tools"] == [
        {"type": "function", "name": "weather", "parameters": tools[0].parameters, "defer_loading": True},
        {"type": "web_search"},
    ]
    assert body["tool_choice"] == {"type": "web_search"}


def test_custom_tools_may_be_raw(responses):
    """Their calls take text."""
    tool = RawTool({"type": "custom", "name": "sh"})
    turn = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "sh", "arguments": "ls"}}]}
    body = responses.body(turn, Message.tool_result("c", "a"), tools=(tool,), tool_choice="sh")
    assert [item["type"] for item in body["input"]] == ["custom_tool_call", "custom_tool_call_output"]
    assert body["tool_choice"] == {"type": "custom", "name": "sh"}


@pytest.mark.parametrize("stream", [True, False])
def test_how_the_response_is_sent_is_always_stated(responses, stream):
    """Some servers stream unless they are told not to."""
    assert responses.body("Hi", stream=stream)["stream"] is stream
