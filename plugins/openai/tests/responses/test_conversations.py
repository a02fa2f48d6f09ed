"""OpenAI Responses against the simulator, on real sockets."""

from __future__ import annotations

import asyncio

import pytest

from polyglot_core import AsyncInference, Inference, Message, Tool, register
from polyglot_core.errors import ServerError, Truncated
from polyglot_openai.responses import driver
from polyglot_simulator import Cut, ErrorEvent, Reply, Simulator, ToolCall

DRIVER = "openai-responses"
CALL = ToolCall("weather", {"city": "Oslo"})
TURNS = [Reply("Let me look.", [CALL], reasoning="Where is Oslo?"), Reply("It rains in Oslo.")]


@pytest.fixture(autouse=True)
def _registered():
    """Register the driver under its name, whether or not the package is installed."""
    with register(driver, name=DRIVER):
        yield


def connection(simulator):
    return simulator.connection_for(DRIVER)


def story_of(inference, **options):
    tool = Tool("weather", "Looks out of the window.")
    return inference.create(messages="Weather in Oslo?", tools=[tool], options=options)


@pytest.mark.parametrize("stream", [True, False])
def test_streamed_and_plain_are_equal(stream):
    """Text, thinking, tool call, usage and finish reason."""
    with Simulator(TURNS[0]) as simulator, Inference(connection(simulator)) as inference:
        told = story_of(inference, stream=stream).response()
    assert (told.content, told.reasoning_content) == ("Let me look.", "Where is Oslo?")
    assert told.tool_calls[0].arguments == {"city": "Oslo"}
    assert (told.finish_reason, told.usage.reasoning_tokens) == ("tool_calls", 4)


def test_async():
    """The same on an event loop."""

    async def ask(simulator):
        async with AsyncInference(connection(simulator)) as inference:
            return await story_of(inference, stream=True).response()

    with Simulator(TURNS[0]) as simulator:
        assert asyncio.run(ask(simulator)).content == "Let me look."


def test_thinking_is_sent_back():
    """The second request has the thinking with its cipher, the text, the tool call and its result; it is accepted."""
    extra = {"store": False, "include": ["reasoning.encrypted_content"]}
    with Simulator(TURNS) as simulator, Inference(connection(simulator)) as inference:
        first = inference.create(messages="Weather in Oslo?", extra=extra).response()
        result = Message.tool_result(first.tool_calls[0], "rain")
        turns = [Message(role="user", content="Weather in Oslo?"), first.message, result]
        second = inference.create(messages=turns, extra=extra).response()
        sent = simulator.requests[1].body["input"]
    assert second.content == "It rains in Oslo."
    assert [item["type"] for item in sent] == [
        "message",
        "reasoning",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert (sent[1]["id"], bool(sent[1]["encrypted_content"])) == ("rs_1", True)
    assert sent[3]["call_id"] == sent[4]["call_id"]


@pytest.mark.parametrize("reply", [*TURNS, Reply("")], ids=["call", "text", "empty"])
def test_items_of_a_response_are_sent_back(reply):
    """Streamed and plain turns are the same items, those of the provider."""
    with Simulator([reply] * 4) as simulator, Inference(connection(simulator)) as inference:
        sent = []
        for stream in (True, False):
            turn = inference.create("Hello", stream=stream).response().message
            inference.create(["Hello", turn, "Go on"]).response()
            sent.append(simulator.requests[-1].body["input"][1:-1])
    kinds = {"type", "id", "status", "role", "content", "summary", "call_id", "name", "arguments"}
    assert all(set(item) <= kinds and item["id"] for items in sent for item in items)
    first, second = ([{**item, "id": "", "call_id": ""} for item in items] for items in sent)
    assert first == second
    assert first


def test_truncated_stream_is_an_error():
    """The content received is in the error."""
    with Simulator(TURNS[1], fault=Cut(after_events=-1)) as simulator, Inference(connection(simulator)) as inference:
        story = story_of(inference, stream=True)
        with pytest.raises(Truncated) as caught:
            story.response()
    assert caught.value.partial.content == "It rains in Oslo."


@pytest.mark.parametrize("stream", [True, False])
def test_error_inside_a_200(stream):
    """Streamed and plain."""
    fault = ErrorEvent(after_events=3, error={"message": "Busy.", "code": "server_error"})
    with Simulator(fault=fault) as simulator, Inference(connection(simulator)) as inference:
        story = story_of(inference, stream=stream)
        with pytest.raises(ServerError, match="Busy"):
            story.response()
