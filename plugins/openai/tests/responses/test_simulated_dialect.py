"""The objects and events of OpenAI Responses."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Usage
from polyglot_simulator import Cut, ErrorEvent, Reply, Simulator, ToolCall

CALLS = (ToolCall("weather", {"city": "Oslo"}), ToolCall("time", id="call_x"))
EVERYTHING = Reply("Hello there", CALLS, reasoning="Let me think.")
FUNCTION = {"type": "function", "name": "weather", "parameters": {}}


def ask(call, simulator, **fields):
    body = json.dumps({"model": "m", "input": "Hello there"} | fields).encode()
    return call(simulator).send("POST", "/v1/responses", body).response()


def plain(call, reply, **fields):
    with Simulator(reply) as simulator:
        return ask(call, simulator, **fields)[1]


def events_of(body):
    """Name and data of each event."""
    blocks = [block.split("\n") for block in body.decode().split("\n\n")[:-1]]
    named = [(event.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for event, data in blocks]
    assert [name for name, _ in named] == [data["type"] for _, data in named]
    return [data for _, data in named]


def streamed(call, reply, **fields):
    with Simulator(reply) as simulator:
        return events_of(ask(call, simulator, stream=True, **fields)[1])


def refused(call, **fields):
    with Simulator() as simulator:
        status, body = ask(call, simulator, **fields)
    assert status == 400
    return body["error"]


def test_text_is_streamed_in_events_of_one_message(call):
    """The response begins, its message begins, its part begins; then tokens; then all of them end."""
    kinds = [event["type"].removeprefix("response.") for event in streamed(call, "Hello, you!")]
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * 4,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_events_are_numbered(call):
    """From 0, without a gap."""
    events = streamed(call, EVERYTHING)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_an_item_begins_empty_and_is_whole_when_it_is_done(call):
    """Thinking, message and calls, in this order; the last response repeats them."""
    events = streamed(call, EVERYTHING)
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in added] == ["reasoning", "message", "function_call", "function_call"]
    assert [item.get("summary", item.get("content", item.get("arguments"))) for item in added] == [[], [], "", ""]
    assert done == events[-1]["response"]["output"]
    assert done[2]["arguments"] == '{"city":"Oslo"}'
    assert [item["call_id"] for item in done[2:]] == ["call_1_0", "call_x"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("reasoning_summary_text", "Let me think."),
        ("output_text", "Hello there"),
        ("function_call_arguments", '{"city":"Oslo"}{}'),
    ],
)
def test_deltas_join_to_the_text(call, kind, text):
    """And the whole text follows them."""
    events = streamed(call, EVERYTHING)
    deltas = [event["delta"] for event in events if event["type"] == f"response.{kind}.delta"]
    wholes = [event for event in events if event["type"] == f"response.{kind}.done"]
    assert "".join(deltas) == text
    assert "".join(event.get("text") or event["arguments"] for event in wholes) == text
    assert len(deltas) > len(wholes)


@pytest.mark.parametrize(
    "reply", [Reply("Hello there"), EVERYTHING, Reply(refusal="I cannot."), Reply(tool_calls=CALLS), Reply("")]
)
def test_plain_response_is_the_one_that_ends_the_stream(call, reply):
    """Both are made from one reply."""
    assert plain(call, reply) == streamed(call, reply)[-1]["response"]


def test_a_refusal_is_a_part_of_its_own(call):
    """With events of its own."""
    events = streamed(call, Reply(refusal="I cannot."))
    assert "".join(event["delta"] for event in events if event["type"] == "response.refusal.delta") == "I cannot."
    assert plain(call, Reply(refusal="No."))["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_a_reply_that_is_cut_is_incomplete(call):
    """Its reason is the one that is given, and the last event is named for it."""
    last = streamed(call, Reply("Hello", finish_reason="max_output_tokens"))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["status"] == "incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_fields_of_the_request_are_repeated(call):
    """As the provider repeats them."""
    body = plain(call, "hi", tools=[FUNCTION], max_output_tokens=50, previous_response_id="resp_0")
    assert (body["tools"], body["max_output_tokens"], body["previous_response_id"]) == ([FUNCTION], 50, "resp_0")
    assert (body["status"], body["error"], body["model"]) == ("completed", None, "m")


def test_encrypted_reasoning_is_sent_only_if_requested(call):
    """It is what a client has to give back."""
    wanted = plain(call, EVERYTHING, include=["reasoning.encrypted_content"])["output"][0]
    assert wanted["encrypted_content"]
    assert "encrypted_content" not in plain(call, EVERYTHING)["output"][0]


def test_usage_is_counted_or_given(call):
    """Thinking is in the output; counts can be given in Polyglot's words or the provider's, or not at all."""
    usage = plain(call, Reply("Hello there", reasoning="hm"), instructions="Be kind.")["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 3, 8)
    assert usage["output_tokens_details"] == {"reasoning_tokens": 1}
    counts = Usage(input_tokens=9, output_tokens=1, cache_read_tokens=8)
    assert plain(call, Reply("hi", usage=counts))["usage"]["input_tokens_details"]["cached_tokens"] == 8
    assert plain(call, Reply("hi", usage=Usage(raw={"cost": 1})))["usage"] == {"cost": 1}
    assert plain(call, Reply("hi", usage=Usage()))["usage"] is None


def test_all_texts_of_the_input_are_counted(call):
    """Of messages, of their parts, of calls and of results."""
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "one two"}, {"type": "input_image"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "three"},
        {"type": "function_call_output", "call_id": "c", "output": "four five"},
    ]
    assert plain(call, "hi", input=items)["usage"]["input_tokens"] == 5


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": None}, "input", "Missing required parameter: 'input'"),
        ({"input": []}, "input", "a text or an array of items"),
        ({"input": ["hi"]}, "input[0]", "must be an object"),
        ({"input": [{"role": "tool", "content": "hi"}]}, "input[0]", "Invalid value: 'tool'"),
        ({"tools": [{"type": "function", "function": FUNCTION}]}, "tools[0].name", "tools[0].name"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input", "with call_id c"),
    ],
)
def test_a_wrong_request_is_refused(call, fields, param, message):
    """In the words of the provider, and with the field that is wrong."""
    error = refused(call, **fields)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert message in error["message"]


def test_a_result_may_belong_to_an_earlier_response(call):
    """Its call is then not in the input."""
    result = {"type": "function_call_output", "call_id": "c", "output": "rain"}
    assert plain(call, "hi", input=[result], previous_response_id="resp_0")["status"] == "completed"


def test_a_body_that_is_no_object_is_refused(call):
    """Before anything else."""
    with Simulator() as simulator:
        status, body = call(simulator).send("POST", "/v1/responses", b"[1]").response()
    assert status == 400
    assert "not a JSON object" in body["error"]["message"]


def test_choices_are_refused(call):
    """The dialect has none."""
    with Simulator(Reply(choices=[Reply("a"), Reply("b")])) as simulator:
        status, body = ask(call, simulator)
    assert status == 500
    assert "has no choices" in body["error"]["message"]


def test_an_error_inside_a_200_has_the_shape_of_the_dialect(call):
    """An event of its own, or a response that has failed."""
    fault = ErrorEvent(after_events=2, error={"message": "Busy.", "code": "server_error"})
    with Simulator("Hello", fault=fault) as simulator:
        events = events_of(ask(call, simulator, stream=True)[1])
        body = ask(call, simulator)[1]
    assert events[-1] == {"type": "error", "error": {"message": "Busy.", "code": "server_error"}}
    assert (body["status"], body["error"]["message"]) == ("failed", "Busy.")


def test_faults_count_its_events(call):
    """A cut after two events leaves two."""
    with Simulator("Hello", fault=Cut(after_events=2)) as simulator:
        kinds = [event["type"] for event in events_of(ask(call, simulator, stream=True)[1])]
    assert kinds == ["response.created", "response.in_progress"]


def test_a_connection_is_made_for_each_driver():
    """With the address and the header that the driver's dialect wants; another driver is refused by name."""
    with Simulator(model="tiny", api_key="test-key") as simulator:
        connection = simulator.connection_for("openai-responses")
        assert (connection.driver, connection.model) == ("openai-responses", "tiny")
        assert connection.base_url == simulator.base_url
        assert connection.auth_headers().keys() == {"authorization"}
        with pytest.raises(ConfigError, match="no dialect for the driver 'nobody'.*group 'polyglot.dialects'"):
            simulator.connection_for("nobody")
