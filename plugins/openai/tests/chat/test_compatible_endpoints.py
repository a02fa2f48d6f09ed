"""Differences in the responses of compatible endpoints: thinking, finish reasons, usage, errors, sources, media."""

from __future__ import annotations

import base64
import json

import pytest

from polyglot_core.plugin import (
    Citation,
    Failure,
    Finish,
    InferenceRequest,
    MediaDelta,
    Message,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
    WireResponse,
)


def delta(finish=None, **said):
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


def block(text=None, index=0, kind="reasoning.text", **fields):
    said = {} if text is None else {"text": text}
    return {"type": kind, "index": index, **said, **fields}


# Thinking


def thinking_of(text="", signature=None, redacted=None, id_=None, *, number=0, kind="reasoning.text"):
    """Return the thinking of a block."""
    return ReasoningDelta(text, signature, redacted, id_, block=number, extra={"type": kind})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasoning_content": "Hm"}, [ReasoningDelta("Hm")]),
        ({"reasoning": "Hm"}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": None, "reasoning": "Hm"}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": "", "reasoning": "Hm"}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": "Hm", "reasoning": "Hm"}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": "Hm", "content": None}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": None, "content": "a"}, [TextDelta("a")]),
        ({"reasoning_content": "Hm", "content": ""}, [ReasoningDelta("Hm"), TextDelta("")]),
        ({"reasoning_content": "Hm", "content": "a"}, [ReasoningDelta("Hm"), TextDelta("a")]),
        ({"reasoning_content": {"odd": 1}, "content": "a"}, [ReasoningDelta('{"odd":1}'), TextDelta("a")]),
        ({"reasoning_content": {"text": "Hm"}}, [ReasoningDelta("Hm")]),
        ({"reasoning_content": [{"type": "text", "text": "H"}, "m"]}, [ReasoningDelta("Hm")]),
        ({"reasoning_details": [block("Hm")]}, [thinking_of("Hm")]),
        ({"reasoning_details": []}, []),
        ({"reasoning": "Hm", "reasoning_details": [block("Hm", 1)]}, [thinking_of("Hm", number=1)]),
        (
            {"reasoning": "Hm", "reasoning_details": [block("H"), block("m", 1)]},
            [thinking_of("H"), thinking_of("m", number=1)],
        ),
        (
            {"reasoning": "Hm", "reasoning_details": [block("other", signature="s")]},
            [ReasoningDelta("Hm"), thinking_of("", "s")],
        ),
        ({"reasoning_details": [block(signature="s", id="r")]}, [thinking_of("", "s", None, "r")]),
        (
            {"reasoning_details": [block(kind="reasoning.encrypted", data="xyz", index=2)]},
            [thinking_of("", None, "xyz", number=2, kind="reasoning.encrypted")],
        ),
        (
            {"reasoning_details": [block(kind="reasoning.summary", summary="In short", format="v1")]},
            [ReasoningDelta("In short", extra={"type": "reasoning.summary", "format": "v1"})],
        ),
        ({"reasoning_details": [block("Hm", index=None), "odd", 5]}, [thinking_of("Hm")]),
        ({"reasoning_details": [{"text": "Hm"}]}, [ReasoningDelta("Hm")]),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"text": "a"}]},
            [
                ReasoningDelta("Hm", extra={"type": "thinking", "thinking": [{"type": "text"}]}),
                TextDelta("a", block=1),
            ],
        ),
        (
            {"content": [{"type": "reasoning", "summary": [{"text": "Hm", "signature": "s"}]}]},
            [ReasoningDelta("Hm", "s", extra={"type": "reasoning", "summary": [{}]})],
        ),
        (
            {"content": [{"type": "reasoning", "text": "Hm"}]},
            [ReasoningDelta("Hm", extra={"type": "reasoning", "text": ""})],
        ),
    ],
)
def test_thinking(openai, said, expected):
    """Thinking is never text, is emitted once even if sent twice, and keeps blocks and signatures."""
    assert openai.decoded(delta(**said)) == [expected]


def test_thinking_fields_are_set_by_facts(openai):
    """Facts state the paths of thinking, signature and encrypted thinking."""
    facts = {"reasoning_fields": ["thoughts"], "reasoning_signature": "a.seal", "reasoning_encrypted": "hidden"}
    found = openai.decoded(delta(thoughts="Hm", a={"seal": "s"}, hidden="x", reasoning="no"), facts=facts)
    assert found == [[ReasoningDelta("Hm"), ReasoningDelta("", "s", "x")]]


def test_thinking_between_tags_is_extracted(openai):
    """If an endpoint sends thinking inside the text, between tags, it is removed from the text."""
    body = openai.stream(delta(content="<th"), delta(content="ink>Hm"), delta(content="</think>a"), delta("stop"))
    response = openai.read(body, facts={"think_tags": ["<think>", "</think>"]})[1]
    assert (response.reasoning_content, response.content) == ("Hm", "a")
    assert openai.read(body)[1].content == "<think>Hm</think>a"


SAID = [
    block("Hm", signature="s", format="claude-v1"),
    block(kind="reasoning.encrypted", data="xyz", index=1, id="r", format="responses-v1"),
    block(kind="reasoning.summary", summary="In short.", index=2, format="responses-v1", own={"a": None}),
    block("So", kind="reasoning.invented", index=3),
]
PIECES = [
    block("H", format="claude-v1"),
    block("m", format="claude-v1"),
    block(signature="s", format="another"),
    SAID[1],
    block(kind="reasoning.summary", summary="In ", index=2, format="responses-v1"),
    block(kind="reasoning.summary", summary="short.", index=2, own={"a": None}),
    SAID[3],
]


@pytest.mark.parametrize("streamed", [True, False])
def test_thinking_is_sent_back_unchanged(openai, streamed):
    """A response with signed and encrypted blocks is sent back with everything that was received of each."""
    message = {"content": "5", "reasoning_details": SAID}
    plain = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    pieces = openai.stream(*(delta(reasoning_details=[piece]) for piece in PIECES), delta("stop", content="5"))
    response = openai.read(pieces if streamed else plain, stream=streamed)[1]
    body = openai.body({"facts": {"reasoning_back": ["reasoning_details"]}}, messages=[response.message])
    assert body["messages"] == [{"role": "assistant", "content": "5", "reasoning_details": SAID}]


def test_summary_and_cipher_may_share_an_index(openai):
    """Each is sent back as an entry of its own type."""
    said = [
        block(kind="reasoning.summary", summary="In short.", format="v1", id="r"),
        block(kind="reasoning.encrypted", data="xyz", format="v1", id="r"),
    ]
    body = openai.stream(*(delta(reasoning_details=[piece]) for piece in said), delta("stop", content="5"))
    turn = openai.read(body)[1].message
    sent = openai.body({"facts": {"reasoning_back": ["reasoning_details"]}}, messages=[turn])["messages"][0]
    assert sent["reasoning_details"] == said


# Finish reasons


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("tool_calls", "tool_calls"),
        ("tool_call", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("sensitive", "content_filter"),
        ("safety", "content_filter"),
        ("refusal", "refusal"),
        ("eos_token", "stop"),
        ("model_context_window_exceeded", "length"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("SPII", "content_filter"),
        ("malformed_function_call", "error"),
        ("odd", "other"),
    ],
)
def test_finish_reasons(openai, word, reason):
    """Every endpoint's value maps to a `FinishReason`, and the raw value is kept."""
    assert openai.decoded(delta(word)) == [[Finish(reason, word)]]


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource", "abort", "cancelled"])
@pytest.mark.parametrize("kind", ["part", "whole"])
def test_finish_reasons_that_are_failures(openai, word, kind):
    """The place could not go on: a failure, whatever the row."""
    ((failure,),) = openai.decoded(delta(word), kind=kind)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.raw) == (word, openai.data(delta(word)))


@pytest.mark.parametrize("word", ["null", "None", "", None])
def test_words_that_are_no_finish_reason(openai, word):
    """Some servers send them with every chunk."""
    assert openai.decoded(delta(word, content="a")) == [[TextDelta("a")]]


@pytest.mark.parametrize(
    ("word", "native", "reason"),
    [
        ("stop", "MAX_TOKENS", "length"),
        ("stop", "content_filter", "content_filter"),
        ("stop", "MALFORMED_FUNCTION_CALL", "error"),
        ("odd", "max_output_tokens", "length"),
        ("stop", "end_turn", "stop"),
        ("stop", "invented", "stop"),
        ("length", "stop", "length"),
        ("tool_calls", "STOP", "tool_calls"),
        ("stop", ["odd"], "stop"),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_contradicting_native_finish_reason(openai, word, native, reason, streamed):
    """A gateway's ``stop`` does not hide that its provider was cut off; a note states it."""
    content, field = {"content": "a"}, "delta" if streamed else "message"
    chunk = {"choices": [{"index": 0, field: content, "finish_reason": word, "native_finish_reason": native}]}
    response = openai.read(openai.stream(chunk) if streamed else openai.data(chunk), stream=streamed)[1]
    assert (response.finish_reason, response.finish_reason_raw) == (reason, word)
    assert response.details["native_finish_reason"] == native
    assert any("native_finish_reason" in note for note in response.notes) == (reason != word)


@pytest.mark.parametrize("native", ["error", "network_error"])
def test_native_finish_reason_that_is_a_failure(openai, native):
    """It is the provider's failure, although the gateway has another word for it."""
    chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "native_finish_reason": native}]}
    assert isinstance(openai.decoded(chunk)[0][-1], Failure)


def test_end_marker_can_be_required(openai):
    """If a row requires the end marker, a finish reason without it does not complete the response."""
    facts = {"complete_on": "end"}
    body = openai.stream(delta(content="a"), delta("stop"))
    assert openai.read(body + b"data: [DONE]\n\n", facts=facts)[1].finish_reason == "stop"
    with pytest.raises(Exception, match="ended before the model was done"):
        openai.read(body, facts=facts)


@pytest.mark.parametrize(("counts", "reason"), [("first", "length"), ("last", "content_filter")])
def test_first_or_last_finish_counts(openai, counts, reason):
    """If an endpoint sends several finish reasons, its row states which one counts."""
    body = openai.stream(delta("length"), delta("content_filter"), b"[DONE]")
    assert openai.read(body, facts={"finish_counts": counts})[1].finish_reason == reason


# Usage


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        # reasoning outside the completion, which the total proves; and inside it
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (9, 11, None, None, 7),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 11,
                "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            (9, 11, None, None, 7),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20, "reasoning_tokens": 7},
            (9, 11, None, None, 7),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 4, "reasoning_tokens": 7}, (9, 4, None, None, 7)),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "reasoning_tokens": 0},
            (9, 4, None, None, 0),
        ),
        # cached tokens, by the name that each endpoint uses
        ({"prompt_cache_hit_tokens": 3}, (None, None, 3, None, None)),
        ({"cached_tokens": 3}, (None, None, 3, None, None)),
        ({"cached_input_tokens": 3}, (None, None, 3, None, None)),
        ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 5}, (None, None, 0, 5, None)),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 3}, (None, None, 0, None, None)),
        # not a count
        ({"prompt_tokens": "3", "completion_tokens": [4], "reasoning_tokens": True}, (None, None, None, None, None)),
        ({"prompt_tokens": 3.0, "completion_tokens": 4.5}, (3, None, None, None, None)),
        ({"prompt_tokens_details": [1], "completion_tokens_details": 5}, (None, None, None, None, None)),
    ],
)
def test_usage(openai, payload, expected):
    """The whole prompt, all output tokens, and the cached and thinking tokens among them, under every endpoint's names."""
    usage = openai.bound().extract_usage(payload)
    assert expected == (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


@pytest.mark.parametrize(
    ("place", "chunk"),
    [
        ("x.usage", {**delta("stop"), "x": {"usage": {"prompt_tokens": 1}}}),
        ("choices.0.usage", {"choices": [{"delta": {}, "finish_reason": "stop", "usage": {"prompt_tokens": 1}}]}),
    ],
)
def test_usage_at_another_path(openai, place, chunk):
    """Usage is read at the path of the row, unless it is in ``usage``."""
    report = UsageReport({"prompt_tokens": 1})
    assert openai.decoded(chunk, facts={"usage_at": ["nowhere.0", place]}) == [[Finish("stop", "stop"), report]]
    assert openai.decoded(chunk) == [[Finish("stop", "stop")]]
    usual = {**chunk, "usage": {"prompt_tokens": 2}}
    assert openai.decoded(usual, facts={"usage_at": [place]})[0][-1] == UsageReport({"prompt_tokens": 2})


# Errors


ENVELOPE = {"error_at": "base", "error_statuses": {"1002": 429}}


@pytest.mark.parametrize("kind", ["part", "whole"])
def test_error_in_an_envelope(openai, kind):
    """A code other than 0 is a failure, with the status that the row gives it."""
    chunk = {"choices": None, "base": {"status_code": 1002, "status_msg": "Too fast."}}
    ((failure,),) = openai.decoded(chunk, kind=kind, facts=ENVELOPE)
    assert (failure.message, failure.code, failure.status) == ("Too fast.", "1002", 429)
    assert openai.decoded(chunk, kind=kind) == [[]]


@pytest.mark.parametrize("base", [{"status_code": 0, "status_msg": "success"}, None, "odd", {}])
def test_envelope_without_an_error(openai, base):
    """The code 0, or no code, is not a failure."""
    assert openai.decoded({**delta("stop"), "base": base}, facts=ENVELOPE) == [[Finish("stop", "stop")]]


@pytest.mark.parametrize(
    ("facts", "body", "expected"),
    [
        (ENVELOPE, b'{"base": {"status_code": 1002, "status_msg": "Too fast."}}', "Too fast."),
        (ENVELOPE, b'{"error": {"message": "No."}}', None),
        (ENVELOPE, b"<html>", None),
        ({}, b'{"base": {"status_code": 1002}}', None),
    ],
)
def test_error_with_a_status(openai, facts, body, expected):
    """The envelope is read if a row names one; the usual shapes are read by core."""
    failure = openai.bound(facts=facts).decode_error(WireResponse(status=400, headers={}, body=body))
    assert (failure and failure.message) == expected


def test_failed_choice(openai):
    """An error inside a choice is a failure, not a finish reason."""
    chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "No.", "code": 502}}]}
    ((failure,),) = openai.decoded(chunk)
    assert isinstance(failure, Failure)
    assert (failure.message, failure.status) == ("No.", 502)


# Tool calls


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"index": 0, "id": 7, "function": {"name": "a"}}, ToolCallDelta(0, "7", "a", "", block=-1)),
        ({"index": "0", "id": "c", "function": {"name": "a"}}, ToolCallDelta(0, "c", "a", "", block=-1)),
        (
            {"index": 0, "id": "c", "function": {"name": "a"}, "custom": {"name": "", "input": ""}},
            ToolCallDelta(0, "c", "a", "", block=-1, extra={"type": "custom"}),
        ),
        ({"index": 0, "id": "c", "function": "odd"}, ToolCallDelta(0, "c", None, "", block=-1)),
    ],
)
def test_malformed_tool_calls(openai, call, expected):
    """Ids that are numbers, indexes that are strings, and empty placeholders next to a tool call are accepted."""
    assert openai.decoded(delta(tool_calls=[call])) == [[expected]]


def test_tool_call_keeps_its_signature(openai):
    """If an endpoint signs tool calls, the tool call keeps the signature."""
    call = {"index": 0, "id": "c", "function": {"name": "a"}, "extra": {"deep": {"seal": "s"}}}
    facts = {"call_signature": "extra.deep.seal"}
    assert openai.decoded(delta(tool_calls=[call]), facts=facts) == [
        [ToolCallDelta(0, "c", "a", "", block=-1, signature="s")]
    ]


def test_tool_run_by_the_provider(openai):
    """Such a tool is not a tool call for the user."""
    tool = {"type": "search", "arguments": "{}", "output": "…"}
    assert openai.decoded(delta(executed_tools=[tool])) == [[ServerToolEvent("search", tool, block=-1)]]


# Sources


def test_sources_outside_the_choices(openai):
    """Each source is emitted once although the growing list is repeated; a bare URL becomes an object."""
    facts = {"citations_at": ["results", "citations"]}
    found = openai.decoded(
        {**delta(role="assistant", content=""), "citations": ["u1"]},
        {**delta("stop"), "citations": ["u1", "u2"]},
        {"choices": [], "usage": {"prompt_tokens": 1}, "citations": ["u1", "u2"]},
        facts=facts,
    )
    cited = [[event for event in events if isinstance(event, Citation)] for events in found]
    assert cited == [[Citation({"url": "u1"})], [Citation({"url": "u2"})], []]
    better = {**delta("stop"), "citations": ["u1"], "results": [{"title": "t"}]}
    assert Citation({"title": "t"}) in openai.decoded(better, facts=facts)[0]
    assert openai.decoded(better) == [[Finish("stop", "stop")]]


def test_sources_in_a_chunk_with_an_empty_text(openai):
    """Also behind chunks with text, which are decoded in a short way."""
    text = {"id": "r1", "model": "m", **delta(content="a")}
    found = openai.decoded(
        text, text, {**text, **delta(content=""), "citations": ["u1"]}, text, facts={"citations_at": ["citations"]}
    )
    assert [Citation({"url": "u1"}) in events for events in found] == [False, False, True, False]


# Media


def test_images(openai):
    """An image in the response becomes its bytes; an image that is only a URL stays an object.

    One beside the content has its type in `extra`: it is sent back there.
    """
    data = base64.b64encode(b"\x89PNG").decode()
    inside = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    outside = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    image = MediaDelta("image/png", b"\x89PNG", block=-1001, extra={"type": "image_url"})
    link = ServerToolEvent("image_url", {"images": [outside]}, block=-1002, replay=True)
    assert openai.decoded(delta(images=[inside, outside])) == [[image, link]]
    assert openai.decoded(delta(content=[inside])) == [[MediaDelta("image/png", b"\x89PNG")]]


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"RIFF....", "audio/wav"),
        (b"ID3.", "audio/mpeg"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"..", "audio/pcm"),
    ],
)
def test_audio(openai, data, mime_type):
    """The response does not name the media type of audio, so it is read from the first bytes."""
    audio = {"id": "a", "data": base64.b64encode(data).decode(), "transcript": "beep"}
    name = ServerToolEvent("audio", {"audio": {"id": "a"}}, block=-4, replay=True)
    assert openai.decoded(delta(audio=audio)) == [[name, MediaDelta(mime_type, data, block=-3, replay=False)]]


def test_invalid_audio(openai):
    """Text that is not base64 is kept as it was received, and raises nothing."""
    assert openai.decoded(delta(audio={"data": "a"})) == [[ServerToolEvent("audio", {"data": "a"}, block=-5)]]


# Speed


def test_text_takes_the_fast_path(openai):
    """After the first chunk a piece of text is one event in a tuple, whatever empty fields the chunk has."""
    decode = openai.bound().decoder({})
    first = {**delta(role="assistant", content="A"), "id": "1", "model": "m"}
    beside = {"role": "assistant", "reasoning": None, "tool_calls": [], "refusal": None, "reasoning_details": []}
    for said in ({"content": "a"}, {"content": "a", **beside}):
        decode(openai.chunk(first))
        assert decode(openai.chunk(delta(**said))) == (TextDelta("a"),)


# Resume


def test_finish_reason_that_is_a_failure(openai):
    """A finish reason that the row lists as a failure is an error with that status, and no response."""
    facts = {"failed_on": {"insufficient_system_resource": 503}}
    ((failure,),) = openai.decoded(delta("insufficient_system_resource"), facts=facts)
    assert isinstance(failure, Failure)
    assert (failure.code, failure.status) == ("insufficient_system_resource", 503)


@pytest.mark.parametrize(
    ("prefill", "turn", "fields"),
    [
        ({}, {}, {}),
        ({"message": {"partial": True}}, {"partial": True}, {}),
        ({"body": {"continue_final_message": True}}, {}, {"continue_final_message": True, "top": 1}),
    ],
)
def test_prefill(openai, prefill, turn, fields):
    """The partial response is the last message, with the fields that the endpoint requires in it and in the body."""
    extra = {"top": 1} if fields else {}
    bound = openai.bound(facts={"prefill": prefill})
    request = InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), extra=extra)
    body = json.loads(bound.encode_prefill(request, "Once").body)
    assert body.pop("messages") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Once", **turn},
    ]
    assert body == {"model": "m", "stream": False, **fields}
