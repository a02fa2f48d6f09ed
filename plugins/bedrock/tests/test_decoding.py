"""Decoding of streams of frames and whole responses."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyglot_core.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    RateLimited,
    ServerError,
    Truncated,
)
from polyglot_core.plugin import Citation, MediaDelta, RawPart, ServerToolEvent

USAGE = {
    "inputTokens": 5,
    "outputTokens": 7,
    "cacheReadInputTokens": 20,
    "cacheWriteInputTokens": 100,
    "totalTokens": 132,
}


@pytest.fixture
def full_response(kit):
    """Return one response with parts of every type, as a stream and plain."""
    streamed = kit.stream(
        ("messageStart", {"role": "assistant", "p": "ab"}),
        kit.delta(0, reasoningContent={"text": "Leaves "}),
        kit.delta(0, reasoningContent={"text": "fall."}),
        kit.delta(0, reasoningContent={"signature": "c2lnbg=="}),
        kit.stop(0),
        kit.delta(1, reasoningContent={"redactedContent": "aGlkZGVu"}),
        kit.stop(1),
        kit.delta(2, text="Let me "),
        kit.delta(2, text="look. 🍂"),
        kit.stop(2),
        kit.start(3, toolUse={"toolUseId": "call-1", "name": "rake"}),
        kit.delta(3, toolUse={"input": '{"gard'}),
        kit.delta(3, toolUse={"input": 'en":"front"}'}),
        kit.stop(3),
        ("messageStop", {"stopReason": "tool_use"}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1}}),
    )
    whole = kit.plain(
        {"reasoningContent": {"reasoningText": {"text": "Leaves fall.", "signature": "c2lnbg=="}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "Let me look. 🍂"},
        {"toolUse": {"toolUseId": "call-1", "name": "rake", "input": {"garden": "front"}}},
        reason="tool_use",
        **USAGE,
    )
    return streamed, whole


@pytest.mark.parametrize("streamed", [True, False])
def test_response_has_thinking_text_a_tool_call_and_usage(kit, full_response, streamed):
    """A streamed and a plain response are equal."""
    response, _, _events, error = kit.replay_body(full_response[0 if streamed else 1], streamed=streamed)
    assert error is None
    assert (response.content, response.reasoning_content) == ("Let me look. 🍂", "Leaves fall.")
    (call,) = response.tool_calls
    assert (call.id, call.name, call.arguments, call.ready) == ("call-1", "rake", {"garden": "front"}, True)
    assert (response.finish_reason, response.finish_reason_raw) == ("tool_calls", "tool_use")
    thinking = [part for part in response.message.parts if type(part).__name__ == "Reasoning"]
    assert [(part.text, part.signature, part.redacted) for part in thinking] == [
        ("Leaves fall.", "c2lnbg==", None),
        ("", None, "aGlkZGVu"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(places=st.lists(st.integers(0, 2000), max_size=8).map(sorted))
def test_any_split_gives_the_same_response(kit, full_response, places):
    """The response does not depend on how the network splits the body."""
    body = full_response[0]
    pieces = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    assert kit.replay_body(body, pieces=pieces).response.to_dict() == kit.replay_body(body).response.to_dict()


def test_usage_counts_the_cache_with_the_prompt(kit, full_response):
    """Tokens read from a cache and written to it are apart from inputTokens, and belong to the prompt."""
    usage = kit.replay_body(full_response[0]).response.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (125, 20, 100)
    assert (usage.output_tokens, usage.reasoning_tokens) == (7, None)


def test_missing_counts_are_unknown(kit):
    """A model without a cache reports no count of it, which is not 0."""
    usage = kit.replay_body(kit.plain({"text": "a"}, inputTokens=0, outputTokens=2), streamed=False).response.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (0, None, None)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("refusal", "refusal"),
        ("malformed_model_output", "error"),
        ("malformed_tool_use", "error"),
        ("a new word", "other"),
    ],
)
def test_stop_reasons(kit, raw, reason):
    """The raw value is kept."""
    response = kit.replay_body(kit.stream(kit.delta(0, text="a"), ("messageStop", {"stopReason": raw}))).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, raw)


def test_stream_without_message_stop_is_truncated(kit, full_response):
    """Usage alone does not complete it."""
    body = kit.stream(kit.delta(0, text="a"), kit.stop(0), ("metadata", {"usage": USAGE}))
    response, _, _events, error = kit.replay_body(body)
    assert isinstance(error, Truncated)
    assert response.content == "a"


def test_stream_without_usage_is_finished(kit):
    """The model has finished; only the count is missing."""
    response, _, _events, error = kit.replay_body(
        kit.stream(kit.delta(0, text="a"), ("messageStop", {"stopReason": "end_turn"}))
    )
    assert (error, response.outcome, response.usage) == (None, "finished", None)


def test_unknown_events_blocks_and_nulls_are_ignored(kit):
    """Future events are skipped."""
    body = kit.stream(
        ("weather", {"sun": True}),
        ("messageStart", {"role": None, "moon": 1}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": None}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"garden": {}}}),
        ("contentBlockDelta", {"contentBlockIndex": None, "delta": None}),
        kit.delta(0, text=None, toolUse=None, reasoningContent=None, rain=1),
        kit.delta(0, text="a"),
        kit.stop(0),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": None}),
    )
    response, _, _events, error = kit.replay_body(body)
    assert (error, response.content, response.usage) == (None, "a", None)


# Tool calls and the provider's own tools


def test_tool_call_without_arguments_is_complete(kit):
    """Missing input is an empty object."""
    body = kit.stream(
        kit.start(0, toolUse={"toolUseId": "c", "name": "ping"}),
        kit.stop(0),
        ("messageStop", {"stopReason": "tool_use"}),
    )
    (call,) = kit.replay_body(body).response.tool_calls
    assert (call.arguments, call.ready) == ({}, True)


def test_truncated_tool_call_is_not_ready(kit):
    """Its block was never closed."""
    body = kit.stream(
        kit.start(0, toolUse={"toolUseId": "c", "name": "ping"}), kit.delta(0, toolUse={"input": '{"a":1}'})
    )
    (call,) = kit.replay_body(body).response.tool_calls
    assert not call.ready


def test_server_tools_are_reported_and_sent_back(kit):
    """A search or a run of code is no tool call; streamed and plain have the same blocks."""
    use = {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "s", "status": "success", "type": "nova_grounding_result"}
    streamed = kit.stream(
        kit.start(0, toolUse=use),
        kit.delta(0, toolUse={"input": '{"q":'}),
        kit.delta(0, toolUse={"input": '"oak"}'}),
        kit.stop(0),
        kit.start(1, toolResult=result),
        kit.delta(1, toolResult=[{"text": "found"}]),
        kit.stop(1),
        kit.delta(2, text="Oak."),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    blocks = [{"toolUse": {**use, "input": {"q": "oak"}}}, {"toolResult": {**result, "content": [{"text": "found"}]}}]
    whole = kit.plain(*blocks, {"text": "Oak."})
    for body, is_stream in ((streamed, True), (whole, False)):
        events = kit.events(body, streamed=is_stream)
        told = [event for event in events if isinstance(event, ServerToolEvent) and event.payload]
        assert [(event.type, event.payload) for event in told] == [
            ("nova_grounding", blocks[0]),
            ("nova_grounding_result", blocks[1]),
        ]
        response = kit.replay_body(body, streamed=is_stream).response
        assert response.tool_calls == ()
        assert [part.payload for part in response.message.parts if isinstance(part, RawPart)] == blocks


def test_citations_have_their_text(kit):
    """A stream sends them next to the text, a plain response wraps the text in them."""
    source = {"location": {"web": {"url": "https://garden.test"}}}
    streamed = kit.stream(
        kit.delta(0, text="Oak."), kit.delta(0, citation=source), ("messageStop", {"stopReason": "end_turn"})
    )
    whole = kit.plain({"citationsContent": {"content": [{"text": "Oak."}], "citations": [source]}})
    for body, is_stream in ((streamed, True), (whole, False)):
        cited = [event.payload for event in kit.events(body, streamed=is_stream) if isinstance(event, Citation)]
        assert cited == [source]
        assert kit.replay_body(body, streamed=is_stream).response.content == "Oak."


def test_image_is_bytes(kit):
    """The format is sent where the block opens."""
    data = base64.b64encode(b"pixels").decode()
    streamed = kit.stream(
        kit.start(0, image={"format": "webp"}),
        kit.delta(0, image={"source": {"bytes": data}}),
        kit.stop(0),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    whole = kit.plain({"image": {"format": "webp", "source": {"bytes": data}}})
    for body, is_stream in ((streamed, True), (whole, False)):
        media = [event for event in kit.events(body, streamed=is_stream) if isinstance(event, MediaDelta)]
        assert media == [MediaDelta("image/webp", b"pixels")]


# Errors


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", RateLimited),
        ("serviceUnavailableException", Overloaded),
        ("internalServerException", ServerError),
        ("modelStreamErrorException", ServerError),
        ("validationException", InvalidRequest),
    ],
)
def test_exception_in_a_stream_is_an_error_with_its_name(kit, name, kind):
    """The content received before is kept."""
    response, _, _events, error = kit.replay_body(
        kit.stream(kit.delta(0, text="a")) + kit.thrown(name, {"message": "No more."})
    )
    assert type(error) is kind
    assert (error.code, error.message, response.content) == (name, "No more.", "a")


def test_exception_may_hold_the_status_of_the_model(kit):
    """The model's own status is passed on."""
    said = {"message": "Wilted.", "originalStatusCode": 503}
    assert kit.replay_body(kit.thrown("modelStreamErrorException", said)).error.status == 503


def test_error_frame_is_read_from_its_headers(kit):
    """It has a code and a message, and no payload."""
    error = kit.replay_body(kit.frame("", message_type="error", error_code="Storm", error_message="Too windy.")).error
    assert isinstance(error, ProviderError)
    assert (error.code, error.message) == ("Storm", "Too windy.")


@pytest.mark.parametrize(
    ("status", "name", "message", "kind"),
    [
        (400, "ValidationException", "The model is wrong.", InvalidRequest),
        (400, "ValidationException", "Input is too long for requested model.", ContextLengthExceeded),
        (403, "AccessDeniedException", "Not yours.", PermissionDenied),
        (404, "ResourceNotFoundException", "Gone.", NotFound),
        (429, "ThrottlingException", "Slow down.", RateLimited),
        (429, "ModelNotReadyException", "Still waking up.", Overloaded),
        (400, "ServiceQuotaExceededException", "Too much.", RateLimited),
        (500, "InternalServerException", "Oh.", ServerError),
        (503, "ServiceUnavailableException", "Away.", Overloaded),
    ],
)
def test_error_response_has_the_name_of_its_header(kit, status, name, message, kind):
    """The header also holds a URL after the name, which is dropped."""
    headers = {"x-amzn-errortype": f"{name}:http://internal.garden.test/", "retry-after": "3"}
    error = kit.replay_body(
        json.dumps({"message": message}).encode(), status=status, headers=headers, streamed=False
    ).error
    assert type(error) is kind
    assert error.message.startswith(message)
    assert (error.code, error.status, error.retry_after) == (name, status, 3.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"Message": "Capital."}', "Capital."),
        (b'{"__type": "garden#Storm", "message": "Wind."}', "Wind."),
        (b"<html><body>Bad gateway</body></html>", "Bad gateway"),
    ],
)
def test_error_response_without_the_header(kit, body, message):
    """Gateways and older parts of AWS spell it differently."""
    assert kit.replay_body(body, status=502, streamed=False).error.message == message


def test_plain_response_that_is_an_error_fails(kit):
    """A 200 with a message and no output is no response."""
    error = kit.replay_body(b'{"__type": "garden#ThrottlingException", "message": "Slow down."}', streamed=False).error
    assert isinstance(error, RateLimited)
    assert error.code == "ThrottlingException"
