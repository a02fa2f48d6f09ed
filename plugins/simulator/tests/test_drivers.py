"""Polyglot's own drivers, where they are installed, hear what these dialects say and what goes wrong in them."""

from __future__ import annotations

import pytest

from polyglot_core import Inference, Timeouts, Tool
from polyglot_core.errors import (
    Malformed,
    RateLimited,
    ServerError,
    TimedOut,
    TransportError,
    Truncated,
    UnexpectedContentType,
)
from polyglot_core.plugin import Usage
from polyglot_simulator import (
    ByteAtATime,
    Comments,
    ContentType,
    Cut,
    Drop,
    ErrorEvent,
    Garbage,
    Gzip,
    LeaveOpen,
    Reply,
    Reset,
    Simulator,
    SlowHeaders,
    Stall,
    Status,
    ToolCall,
)

for package in ("polyglot_mistral", "polyglot_bedrock"):
    pytest.importorskip(package, reason="the drivers are no requirements of the simulator")

REPLY = Reply(
    "It rains in Bergen.",
    [ToolCall("weather", {"city": "Oslo", "days": 3}), ToolCall("time")],
    reasoning="Let me think.",
    usage=Usage(input_tokens=9, output_tokens=7, cache_read_tokens=2),
)


@pytest.fixture(params=["mistral", "bedrock"])
def driver(request):
    """A driver's name."""
    return request.param


def hear(driver, stream, reply=REPLY, **settings):
    with Simulator(reply, **settings) as simulator:
        connection = simulator.connection_for(driver).with_changes(timeouts=Timeouts(idle=0.3, grace=0.3))
        inference = Inference.from_connection(connection)
        return inference.create("Hello there", tools=[Tool("weather")], stream=stream).response()


@pytest.mark.parametrize("stream", [True, False])
def test_driver_decodes_all_content(driver, stream):
    """Thinking, text, calls, the reason and the counts; the key is the simulator's."""
    heard = hear(driver, stream, api_key="test-key")
    assert (heard.reasoning_content, heard.content) == ("Let me think.", "It rains in Bergen.")
    calls = [(call.name, call.arguments) for call in heard.tool_calls]
    assert calls == [("weather", {"city": "Oslo", "days": 3}), ("time", {})]
    assert heard.finish_reason == "tool_calls"
    assert (heard.usage.input_tokens, heard.usage.output_tokens, heard.usage.cache_read_tokens) == (9, 7, 2)


@pytest.mark.parametrize(
    "fault",
    [Comments(0.001, 3, after_events=1), ByteAtATime(), SlowHeaders(0.0001), Gzip(), LeaveOpen()],
    ids=lambda fault: type(fault).__name__,
)
def test_driver_decodes_stream_despite_harmless_faults(driver, fault):
    """The response is complete."""
    assert hear(driver, stream=True, fault=fault).content == "It rains in Bergen."


@pytest.mark.parametrize(
    "fault",
    [Comments(0.001, 3), ByteAtATime(), SlowHeaders(0.0001), Gzip()],
    ids=lambda fault: type(fault).__name__,
)
def test_driver_decodes_plain_response_despite_harmless_faults(driver, fault):
    """White space before an object, single bytes, and a compressed body."""
    assert hear(driver, stream=False, fault=fault).content == "It rains in Bergen."


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        (Cut(after_events=3), Truncated),
        (Drop(after_events=3), TransportError),
        (Reset(after_events=3), TransportError),
        (Stall(after_events=3), TimedOut),
        (ErrorEvent(after_events=3), ServerError),
        (Garbage(after_events=3), Malformed),
    ],
    ids=lambda case: getattr(case, "__name__", "") or type(case).__name__,
)
def test_driver_keeps_content_received_before_a_fault(driver, fault, error_class):
    """Two pieces of the thinking were received."""
    with pytest.raises(error_class) as caught:
        hear(driver, stream=True, fault=fault)
    assert (caught.value.partial.reasoning_content, caught.value.partial.content) == ("Let me", "")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "error_class"),
    [
        (Status(429), RateLimited),
        (Status(500), ServerError),
        (ContentType("text/html", body="<p>Hello</p>"), UnexpectedContentType),
        (Drop(before_headers=True), TransportError),
        (Reset(before_headers=True), TransportError),
    ],
    ids=lambda case: getattr(case, "__name__", "") or f"{type(case).__name__}{getattr(case, 'code', '')}",
)
def test_driver_raises_error_sent_instead_of_response(driver, stream, fault, error_class):
    """Whether a stream was asked for or not."""
    with pytest.raises(error_class) as caught:
        hear(driver, stream, fault=fault)
    assert type(caught.value) is error_class


def test_driver_raises_error_sent_instead_of_plain_response(driver):
    """In a 200, in the dialect's own words."""
    with pytest.raises(ServerError, match="The server had an error"):
        hear(driver, stream=False, fault=ErrorEvent())
