"""Both drivers against the simulator, over a real socket."""

from __future__ import annotations

import pytest

from polyglot_core import Inference, Message, Tool, register
from polyglot_core.errors import Overloaded, PolyglotError
from polyglot_google import gemini, vertex
from polyglot_simulator import Drop, ErrorEvent, Reply, Simulator, Status, ToolCall

REPLY = Reply("Facing south.", [ToolCall("soil", {"bed": 3})], reasoning="Let me think.")


@pytest.fixture(params=[("gemini", gemini), ("vertex", vertex)], ids=["gemini", "vertex"])
def driver(request):
    """Return the driver's name, while it is registered."""
    name, module = request.param
    with register(module, name):
        yield name


@pytest.mark.parametrize("stream", [True, False])
def test_response_over_a_socket(driver, stream):
    """Text, thinking, tool calls and counts, streamed and plain, with the key in Google's header."""
    with Simulator(REPLY, api_key="test-key") as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        asked = inference.create("Where?", tools=[Tool("soil")], options={"stream": stream})
        response = asked.response()
        recorded = simulator.requests[0]
    assert (response.content, response.reasoning_content) == ("Facing south.", "Let me think.")
    assert [(call.name, call.arguments) for call in response.tool_calls] == [("soil", {"bed": 3})]
    assert response.finish_reason == "tool_calls"
    assert response.usage.output_tokens > response.usage.reasoning_tokens > 0
    assert recorded.headers["x-goog-api-key"] == "test-key"
    assert "test-key" not in recorded.path + recorded.query


def test_conversation(driver):
    """The response is sent back with its signature, and the result with its name."""
    with Simulator([REPLY, "Good."]) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        answer = inference.create("Where?", options={"stream": True}).response()
        turns = ["Where?", answer.message, Message.tool_result(answer.tool_calls[0], "dry")]
        assert inference.create(turns).response().content == "Good."
        sent = simulator.requests[1].body["contents"]
    assert sent[1]["parts"][-1]["thoughtSignature"]
    assert sent[2]["parts"][0]["functionResponse"]["name"] == "soil"


REPLIES = {
    "text": Reply("Facing south."),
    "thinking": Reply("Facing south.", reasoning="Let me think."),
    "calls": Reply("I look.", [ToolCall("soil", {"bed": 3}), ToolCall("soil", {"bed": 4})]),
    "all": REPLY,
    "nothing": Reply(""),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_simulated_turn_goes_back(driver, reply, stream):
    """Part for part: what a plain response has, or the pieces of a streamed one."""
    with Simulator(reply) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        message = inference.create("Where?", tools=[Tool("soil")], stream=stream).response().message
        inference.create(["Where?", message]).response()
        sent = simulator.requests[1].body["contents"][1]["parts"]
    calls = [part["functionCall"] for part in sent if "functionCall" in part]
    assert "".join(part["text"] for part in sent if part.get("thought")) == (reply.reasoning or "")
    assert "".join(part["text"] for part in sent if "text" in part and not part.get("thought")) == reply.text
    assert [(call["name"], call["args"]) for call in calls] == [
        (call.name, call.arguments) for call in reply.tool_calls
    ]
    assert len([part for part in sent if "thoughtSignature" in part]) == bool(reply.reasoning)


def test_errors_over_a_socket(driver):
    """By status, inside a stream, and as a truncated stream."""
    faults = [Status(503), ErrorEvent(after_events=1, error={"code": 503, "message": "no"}), Drop(after_events=1)]
    with Simulator("one two three", faults=faults) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        kinds = []
        for _ in faults:
            with pytest.raises(PolyglotError) as caught:
                inference.create("x", options={"stream": True}).response()
            kinds.append(type(caught.value))
    assert kinds[:2] == [Overloaded, Overloaded]
    assert kinds[2].__name__ in {"TransportError", "Truncated"}
