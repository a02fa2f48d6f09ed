"""Responses in other shapes than the dialect's: messages for deltas, odd types, errors without choices, and details."""

from __future__ import annotations

import json

import pytest

from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core.errors import PolyglotError, ProviderError
from polyglot_core.plugin import Details, Failure, InferenceRequest, JSONSchema, Message, RawTool, Timeouts, Tool

DONE = b"[DONE]"
HELLO = {"role": "assistant", "content": "Hello there."}
CALL = {"id": "c1", "type": "function", "function": {"name": "sum", "arguments": '{"a":1}'}}


def event(choice, **fields):
    return {"id": "r1", "model": "m1", "choices": [{"index": 0, **choice}], **fields}


def ended(choice=None, **fields):
    return event({"delta": {}, "finish_reason": "stop", **(choice or {})}, **fields)


STREAMS = {
    "a message alone": [event({"message": HELLO, "finish_reason": "stop"})],
    "a message beside a delta that is null": [event({"delta": None, "message": HELLO, "finish_reason": "stop"})],
    "a message beside an empty delta": [
        event({"delta": {"role": None, "content": "", "tool_calls": None}, "message": HELLO, "finish_reason": "stop"})
    ],
    "a message, then the finish": [event({"message": HELLO}), ended()],
    "a message after an empty delta": [
        event({"delta": {"role": "assistant", "content": ""}}),
        ended({"message": HELLO}),
    ],
    "messages in pieces": [event({"message": {"content": text}}) for text in ("Hello", " the", "re", ".")] + [ended()],
    "messages so far": [
        event({"message": {"content": text}}) for text in ("Hello", "Hello the", "Hello there.", "Hello there.")
    ]
    + [ended()],
    "deltas, with the message so far": [
        event({"delta": {"content": "Hello"}, "message": {"content": "Hello"}}),
        event({"delta": {"content": " there."}, "message": HELLO}),
        ended({"message": HELLO}),
    ],
    "deltas, then the whole message": [
        event({"delta": {"role": "assistant", "content": ""}}),
        event({"delta": {"content": "Hello"}}),
        event({"delta": {"content": " there."}}),
        ended({"delta": {"content": ""}, "message": HELLO}),
    ],
    "texts": [event({"text": "Hello"}), event({"text": " there."}), ended({"text": ""})],
    "texts beside deltas": [
        event({"text": "Hello", "delta": {"content": "Hello"}}),
        event({"text": " there.", "delta": {"content": " there."}}),
        ended({"text": ""}),
    ],
    "the whole completion": [{**event({"message": HELLO, "finish_reason": "stop"}), "object": "chat.completion"}],
    "inside another object": [{"response": event({"message": HELLO, "finish_reason": "stop"}), "success": True}],
    "a text inside another object": [{"result": {"response": "Hello there."}}, ended()],
    "delta as a text": [event({"delta": "Hello"}), event({"delta": " there."}), ended()],
    "delta as a list": [event({"delta": [{"content": "Hello there."}]}), ended()],
    "index as a text": [event({"index": "0", "delta": {"content": "Hello there."}}), ended()],
    "index as a float": [event({"index": 0.0, "delta": {"content": "Hello there."}}), ended()],
    "choices as one object": [
        {"choices": {"delta": {"content": "Hello there."}, "finish_reason": None}},
        {"choices": {"0": {"delta": {}, "finish_reason": "stop"}}},
    ],
    "a list of chunks": [[event({"delta": {"content": "Hello"}}), event({"delta": {"content": " there."}})], ended()],
    "finish reason in a list": [event({"delta": HELLO}), ended({"finish_reason": ["stop"]})],
    "finish reason in an object": [event({"delta": HELLO}), ended({"finish_reason": {"type": "stop"}})],
    "usage as a list": [event({"delta": HELLO}), ended(usage=[{"prompt_tokens": 3}])],
    "content in a list of texts": [event({"delta": {"content": ["Hello", " there."]}}), ended()],
}


@pytest.mark.parametrize("name", STREAMS)
def test_stream_in_another_shape(openai, name):
    """Nothing is lost, and nothing is there twice."""
    response = openai.read(openai.stream(*STREAMS[name], DONE))[1]
    assert (response.content, response.finish_reason, response.outcome) == ("Hello there.", "stop", "finished")


@pytest.mark.parametrize(
    "name", [name for name in STREAMS if name.startswith(("delta as", "index", "choices", "a list"))]
)
def test_other_types_are_noted(openai, name):
    """A note states that the chunk was read nevertheless."""
    assert any("other types" in note for note in openai.read(openai.stream(*STREAMS[name], DONE))[1].notes)


@pytest.mark.parametrize("finish", [7, 7.5, True])
def test_finish_reason_that_is_no_word(openai, finish):
    """It is reported as other, with its text."""
    response = openai.read(openai.stream(event({"delta": HELLO}), ended({"finish_reason": finish}), DONE))[1]
    assert (response.content, response.finish_reason) == ("Hello there.", "other")
    assert response.finish_reason_raw == json.dumps(finish)


@pytest.mark.parametrize(
    ("content", "text"), [(5, "5"), (True, "true"), ({"a": 1}, '{"a":1}'), ([1, {"text": "x"}], "1x"), (None, "")]
)
@pytest.mark.parametrize("streamed", [True, False])
def test_content_of_another_type(openai, content, text, streamed):
    """It is JSON text."""
    chunk = event({"delta" if streamed else "message": {"content": content}, "finish_reason": "stop"})
    body = openai.stream(chunk, DONE) if streamed else openai.data(chunk)
    assert openai.read(body, stream=streamed)[1].content == text


CALLS = {
    "a call in a message alone": [event({"message": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"})],
    "a call in deltas and in the message": [
        event({"delta": {"tool_calls": [{"index": 0, **CALL}]}}),
        ended({"message": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"}),
    ],
    "a call in the message after a text in deltas": [
        event({"delta": {"content": "I add."}}),
        ended({"message": {"content": "I add.", "tool_calls": [CALL]}}),
    ],
    "both fields in each delta": [
        event({"delta": {"function_call": {"name": "sum", "arguments": ""},
                         "tool_calls": [{"index": 0, **CALL, "function": {"name": "sum", "arguments": ""}}]}}),
        *(event({"delta": {"function_call": {"name": "", "arguments": piece},
                           "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "", "arguments": piece}}]}})
          for piece in ('{"a"', ":1}")),
        ended({"finish_reason": "function_call"}),
    ],
    "both fields, the new one empty": [
        event({"delta": {"function_call": CALL["function"], "tool_calls": []}}),
        ended({"finish_reason": "function_call"}),
    ],
    "arguments as an object": [
        event({"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "sum", "arguments": {"a": 1}}}]}}),
        ended(),
    ],
    "arguments once more at the end": [
        event({"delta": {"tool_calls": [{"index": 0, **CALL}]}}),
        event({"delta": {"tool_calls": [{"index": 0, **CALL}]}}),
        ended(),
    ],
    "index as a text": [event({"delta": {"tool_calls": [{"index": "0", **CALL}]}}), ended()],
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_call_in_another_shape(openai, name):
    """It is one tool call, ready to run."""
    response = openai.read(openai.stream(*CALLS[name], DONE))[1]
    assert [(call.name, call.arguments, call.ready) for call in response.tool_calls] == [("sum", {"a": 1}, True)]
    assert response.finish_reason == "tool_calls"


PLAIN = {
    "a message": event({"message": HELLO, "finish_reason": "stop"}),
    "a delta": event({"delta": HELLO, "finish_reason": "stop"}),
    "a delta beside an empty message": event(
        {"message": {"role": "assistant", "content": None}, "delta": HELLO, "finish_reason": "stop"}
    ),
    "a text": event({"text": "Hello there.", "finish_reason": "stop"}),
    "inside another object": {"result": event({"message": HELLO, "finish_reason": "stop"})},
    "an odd index": event({"index": "0", "message": HELLO, "finish_reason": "stop"}),
    "a text for a message": event({"message": "Hello there.", "finish_reason": "stop"}),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_response_in_another_shape(openai, name):
    """Nothing is lost."""
    response = openai.read(openai.data(PLAIN[name]), stream=False)[1]
    assert (response.content, response.finish_reason) == ("Hello there.", "stop")


# Errors


ERRORS = {
    "a message": {"message": "Busy."},
    "a detail": {"detail": "Busy."},
    "a list of details": {"detail": [{"msg": "Busy."}]},
    "a code and a message": {"error_code": 503, "message": "Busy."},
    "a code and a message of its own": {"error_code": 503, "error_message": "Busy."},
    "an object named error": {"object": "error", "message": "Busy.", "code": 503},
    "a type named error": {"type": "error", "message": "Busy."},
    "errors": {"success": False, "errors": [{"code": 1, "message": "Busy."}], "result": None},
    "an error that is a text": {"error": "Busy."},
    "an error that is a list": {"error": ["Busy."]},
    "an error beside null choices": {"choices": None, "message": "Busy."},
    "an error in a choice": {"choices": [{"index": 0, "delta": {}, "error": {"message": "Busy.", "code": 502}}]},
    "an error in a delta": {"choices": [{"index": 0, "delta": {"error": {"message": "Busy."}}}]},
    "an error in a message": {"choices": [{"index": 0, "message": {"error": "Busy."}, "finish_reason": "stop"}]},
    "a text in a choice": {"choices": [{"index": 0, "error": "Busy.", "finish_reason": "error"}]},
}


@pytest.mark.parametrize("kind", ["part", "whole"])
@pytest.mark.parametrize("name", ERRORS)
def test_error_in_any_shape(openai, name, kind):
    """It is a failure with the provider's message, before content and after it."""
    for before in ([], [event({"delta": {"content": "a"}})]):
        if kind == "part":
            with pytest.raises(ProviderError) as caught:
                openai.read(openai.stream(*before, ERRORS[name]))
            error = caught.value
        else:
            *_, events = openai.decoded(*before, ERRORS[name], kind=kind)
            assert isinstance(events[-1], Failure)
            error = events[-1].message
        assert "Busy." in str(error)


@pytest.mark.parametrize("error", [7, True])
def test_error_that_is_a_number(openai, error):
    """It is an error without a message."""
    assert isinstance(openai.decoded({"error": error})[0][0], Failure)


@pytest.mark.parametrize("field", ["error", "errors", "message", "detail"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_empty_error_is_none(openai, field, value):
    """Some servers have the field in every chunk."""
    chunk = event({"delta": HELLO, "finish_reason": "stop"}, **{field: value})
    assert openai.read(openai.stream(chunk, DONE))[1].content == "Hello there."


@pytest.mark.parametrize("name", ["progress", "keep-alive", "vendor.status"])
def test_named_events_break_nothing(openai, name):
    """An event of another name is no error, whatever fields it has."""
    other = f'event: {name}\ndata: {{"message": "Still at work.", "detail": "x"}}\n\n'.encode()
    body = other + openai.stream(event({"delta": {"content": "Hello"}}))
    body += other + openai.stream(event({"delta": {"content": " there."}, "finish_reason": "stop"}), DONE)
    response = openai.read(body)[1]
    assert (response.content, response.details) == ("Hello there.", {})


# Details


def test_details_are_equal_streamed_and_plain(openai):
    """Fields beside the content are kept as they were received, those of the choice with the choice."""
    facts = {"service_tier": "default", "system_fingerprint": "fp", "provider": "P", "created": 1, "new": {"a": 1}}
    last = {"timings": {"predicted_ms": 5}, "x_groq": {"id": "q"}, "usage": {"prompt_tokens": 1}}
    choice = {"finish_reason": "stop", "native_finish_reason": "STOP", "content_filter_results": {"hate": {"f": False}}}
    chunks = [
        event({"delta": {"role": "assistant", "content": ""}}, **facts),
        event({"delta": {"content": "Hello"}}, **facts),
        event({"delta": {"content": " there.", "signed": "a"}}, **facts),
        event({"delta": {"signed": "b"}}, **facts),
        event({"delta": {}, **choice}, **facts, **last),
    ]
    streamed = openai.read(openai.stream(*chunks, DONE))[1]
    plain = openai.read(
        openai.data(event({"message": {**HELLO, "signed": "ab"}, **choice}, **facts, **last)), stream=False
    )[1]
    of_choice = {
        "native_finish_reason": "STOP",
        "content_filter_results": {"hate": {"f": False}},
        "message": {"signed": "ab"},
    }
    expected = {**facts, "timings": last["timings"], "x_groq": last["x_groq"], **of_choice}
    assert dict(streamed.details) == dict(plain.details) == expected
    assert dict(streamed.choices[0].details) == dict(plain.choices[0].details) == of_choice


def test_pure_deltas_have_no_details(openai):
    """They are read from the first chunk, the last one, and those without content."""
    chunk = event({"delta": {"content": "a"}}, service_tier="default")
    found = openai.decoded(chunk, chunk, chunk, details=True)
    assert [[type(each) is Details for each in events].count(True) for events in found] == [1, 0, 0]


@pytest.mark.parametrize("choices", [[], None])
def test_chunk_without_choices_has_details(openai, choices):
    """Azure's results for the prompt are in one."""
    results = {"prompt_filter_results": [{"prompt_index": 0}]}
    assert openai.decoded({"id": "", "choices": choices, **results}, details=True) == [[Details(results)]]


def test_second_text_of_thinking_is_kept(openai):
    """If two fields have different texts, the first is the thinking, the other a detail."""
    chunk = event({"delta": {"reasoning_content": "Hm.", "reasoning": "So."}, "finish_reason": "stop"})
    response = openai.read(openai.stream(chunk, DONE))[1]
    assert (response.reasoning_content, response.details["message"]) == ("Hm.", {"reasoning": "So."})


def test_headers_of_an_endpoint_are_kept(openai):
    """A fact names them."""
    assert openai.encoded({"facts": {"response_headers": ["x-own-*"]}}).response_headers == ("x-own-*",)


# Requests


def test_tools_in_the_providers_own_format(openai):
    """They are sent as they are, beside functions, and can be chosen by name."""
    own = {"type": "custom", "custom": {"name": "sql", "description": "Queries."}}
    tool = Tool("sum", extra={"defer": True, "function": {"namespace": "n"}}, cache="1h")
    facts = {"cache_marks": True}
    body = openai.body({"facts": facts}, tools=(RawTool(own), tool), tool_choice="sql")
    assert body["tools"] == [
        own,
        {
            "type": "function",
            "function": {"name": "sum", "parameters": {"type": "object", "properties": {}}, "namespace": "n"},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
            "defer": True,
        },
    ]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "sql"}}
    assert "cache_control" not in openai.body(tools=(tool,), unsupported="drop")["tools"][0]


def test_extra_fields_are_merged(openai):
    """A further field of an object keeps the fields of the driver; a further tool keeps the others."""
    facts = {"options": {"reasoning_effort": "reasoning.effort"}, "body": {"reasoning": {"summary": "auto"}}}
    extra = {"reasoning": {"exclude": True}, "tools": [{"type": "web"}], "response_format": {"mark": 1}}
    body = openai.body(
        {"facts": facts},
        options={"reasoning_effort": "low"},
        tools=(Tool("sum"),),
        response_format=JSONSchema({"type": "object"}),
        extra=extra,
    )
    assert body["reasoning"] == {"summary": "auto", "effort": "low", "exclude": True}
    assert [tool["type"] for tool in body["tools"]] == ["function", "web"]
    assert body["response_format"]["type"] == "json_schema"


def test_system_message_keeps_its_position(openai):
    """Also in the middle of a conversation."""
    turns = [Message(role=role, content=role) for role in ("user", "assistant", "system", "user")]
    assert [turn["role"] for turn in openai.body(messages=turns)["messages"]] == ["user", "assistant", "system", "user"]


@pytest.mark.parametrize("arguments", ['{"a', "[1]", "no", '{"a":1}}'])
def test_broken_arguments_go_back_as_an_object(openai, arguments):
    """Servers reject a conversation in which they are no object."""
    call = {**CALL, "function": {"name": "sum", "arguments": arguments}}
    response = openai.read(
        openai.data(event({"message": {"tool_calls": [call]}, "finish_reason": "stop"})), stream=False
    )[1]
    (sent,) = openai.body(messages=["Hi", response.message])["messages"][1]["tool_calls"]
    assert json.loads(sent["function"]["arguments"]) == {"INVALID_JSON": arguments}


def test_error_in_the_middle_keeps_the_content(openai):
    """It is in the error's partial."""
    body = openai.stream(event({"delta": {"content": "a"}}), {"message": "Busy."}, DONE)
    with pytest.raises(PolyglotError) as caught:
        openai.read(body)
    assert isinstance(caught.value, ProviderError)
    assert caught.value.partial.content == "a"


@pytest.mark.parametrize("complete_on", ["finish", "end", "both"])
def test_server_that_ignores_the_number_of_choices(openai, complete_on):
    """Its end marker completes the choices that it sent; a note states that others were requested."""
    bound = openai.bound(facts={"complete_on": complete_on})
    request = InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), stream=True, options={"n": 2})
    attempt = Attempt(bound.encode(request), bound, Clocks(Timeouts(), 0.0), choices=2)
    attempt.begin(200, {"content-type": "text/event-stream"})
    for chunk in (openai.stream(event({"delta": HELLO}), ended()), openai.stream(DONE)):
        list(attempt.feed(chunk, 0.0))
    list(attempt.finish(0.0))
    response = attempt.response
    assert (response.content, response.outcome) == ("Hello there.", "finished")
    assert response.notes == ("The response has 1 of the 2 requested choices.",)
