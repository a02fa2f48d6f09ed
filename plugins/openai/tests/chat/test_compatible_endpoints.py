"""What differs in the answers of places that speak the dialect: thinking, finishes, usage, errors, sources, media."""

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


def told(text="", signature=None, redacted=None, id_=None, *, number=0, kind="reasoning.text"):
    """What a block of thinking means."""
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
        ({"reasoning_content": {"odd": 1}, "content": "a"}, [TextDelta("a")]),
        ({"reasoning_details": [block("Hm")]}, [told("Hm")]),
        ({"reasoning_details": []}, []),
        ({"reasoning": "Hm", "reasoning_details": [block("Hm", 1)]}, [told("Hm", number=1)]),
        (
            {"reasoning": "Hm", "reasoning_details": [block("H"), block("m", 1)]},
            [told("H"), told("m", number=1)],
        ),
        (
            {"reasoning": "Hm", "reasoning_details": [block("other", signature="s")]},
            [ReasoningDelta("Hm"), told("", "s")],
        ),
        ({"reasoning_details": [block(signature="s", id="r")]}, [told("", "s", None, "r")]),
        (
            {"reasoning_details": [block(kind="reasoning.encrypted", data="xyz", index=2)]},
            [told("", None, "xyz", number=2, kind="reasoning.encrypted")],
        ),
        (
            {"reasoning_details": [block(kind="reasoning.summary", summary="In short", format="v1")]},
            [ReasoningDelta("In short", extra={"type": "reasoning.summary", "format": "v1"})],
        ),
        ({"reasoning_details": [block("Hm", index=None), "odd", 5]}, [told("Hm")]),
        ({"reasoning_details": [{"text": "Hm"}]}, [ReasoningDelta("Hm")]),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"text": "a"}]},
            [ReasoningDelta("Hm"), TextDelta("a")],
        ),
        (
            {"content": [{"type": "reasoning", "summary": [{"text": "Hm", "signature": "s"}]}]},
            [ReasoningDelta("Hm", "s")],
        ),
        ({"content": [{"type": "reasoning", "text": "Hm"}]}, [ReasoningDelta("Hm")]),
    ],
)
def test_thinking(openai, said, expected):
    """Thinking is never text, is told once however often it is said, and keeps blocks and signatures."""
    assert openai.decoded(delta(**said)) == [expected]


def test_thinking_in_the_fields_of_a_place(openai):
    """Columns say in which fields thinking, signature and encrypted thinking stand, also inside other objects."""
    facts = {"reasoning_fields": ["thoughts"], "reasoning_signature": "a.seal", "reasoning_encrypted": "hidden"}
    found = openai.decoded(delta(thoughts="Hm", a={"seal": "s"}, hidden="x", reasoning="no"), facts=facts)
    assert found == [[ReasoningDelta("Hm"), ReasoningDelta("", "s", "x")]]


def test_thinking_in_the_text(openai):
    """Where a place leaves thinking in the text, between tags, it is taken out of it."""
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
def test_thinking_goes_back_as_it_came(openai, streamed):
    """A response with signed and encrypted blocks, sent back as a turn, holds all that the provider said of each."""
    message = {"content": "5", "reasoning_details": SAID}
    plain = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    pieces = openai.stream(*(delta(reasoning_details=[piece]) for piece in PIECES), delta("stop", content="5"))
    response = openai.read(pieces if streamed else plain, stream=streamed)[1]
    body = openai.body({"facts": {"reasoning_back": ["reasoning_details"]}}, messages=[response.message])
    assert body["messages"] == [{"role": "assistant", "content": "5", "reasoning_details": SAID}]


def test_a_summary_and_its_cipher_may_share_a_number(openai):
    """Each goes back as an entry of its own kind."""
    said = [
        block(kind="reasoning.summary", summary="In short.", format="v1", id="r"),
        block(kind="reasoning.encrypted", data="xyz", format="v1", id="r"),
    ]
    body = openai.stream(*(delta(reasoning_details=[piece]) for piece in said), delta("stop", content="5"))
    turn = openai.read(body)[1].message
    sent = openai.body({"facts": {"reasoning_back": ["reasoning_details"]}}, messages=[turn])["messages"][0]
    assert sent["reasoning_details"] == said


# Finishes


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
        ("error", "error"),
        ("network_error", "error"),
        ("insufficient_system_resource", "error"),
        ("odd", "other"),
    ],
)
def test_the_words_for_a_finish(openai, word, reason):
    """Every place's word is one of ours, and is kept."""
    assert openai.decoded(delta(word)) == [[Finish(reason, word)]]


def test_a_place_that_ends_with_a_sign_only(openai):
    """Where a row says so, a finish without the sign of the end is no end."""
    facts = {"complete_on": "end"}
    body = openai.stream(delta(content="a"), delta("stop"))
    assert openai.read(body + b"data: [DONE]\n\n", facts=facts)[1].finish_reason == "stop"
    with pytest.raises(Exception, match="ended before the model was done"):
        openai.read(body, facts=facts)


@pytest.mark.parametrize(("counts", "reason"), [("first", "length"), ("last", "content_filter")])
def test_which_finish_counts(openai, counts, reason):
    """Where a place gives several reasons, its row says which one it means."""
    body = openai.stream(delta("length"), delta("content_filter"), b"[DONE]")
    assert openai.read(body, facts={"finish_counts": counts})[1].finish_reason == reason


# Usage


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        # reasoning beside the completion, which the total proves; and inside it
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
        # cached tokens, by the name of each place
        ({"prompt_cache_hit_tokens": 3}, (None, None, 3, None, None)),
        ({"cached_tokens": 3}, (None, None, 3, None, None)),
        ({"cached_input_tokens": 3}, (None, None, 3, None, None)),
        ({"cache_read_input_tokens": 0, "cache_creation_input_tokens": 5}, (None, None, 0, 5, None)),
        ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 3}, (None, None, 0, None, None)),
        # what is no count
        ({"prompt_tokens": "3", "completion_tokens": [4], "reasoning_tokens": True}, (None, None, None, None, None)),
        ({"prompt_tokens": 3.0, "completion_tokens": 4.5}, (3, None, None, None, None)),
        ({"prompt_tokens_details": [1], "completion_tokens_details": 5}, (None, None, None, None, None)),
    ],
)
def test_usage(openai, payload, expected):
    """The whole prompt, all that was generated, and what of it was cached or thinking, wherever a place says it."""
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
def test_usage_in_another_place(openai, place, chunk):
    """Usage is read where a row says, unless it stands in its usual place."""
    report = UsageReport({"prompt_tokens": 1})
    assert openai.decoded(chunk, facts={"usage_at": ["nowhere.0", place]}) == [[Finish("stop", "stop"), report]]
    assert openai.decoded(chunk) == [[Finish("stop", "stop")]]
    usual = {**chunk, "usage": {"prompt_tokens": 2}}
    assert openai.decoded(usual, facts={"usage_at": [place]})[0][-1] == UsageReport({"prompt_tokens": 2})


# Errors


ENVELOPE = {"error_at": "base", "error_statuses": {"1002": 429}}


@pytest.mark.parametrize("kind", ["part", "whole"])
def test_an_error_in_an_envelope_of_its_own(openai, kind):
    """A code that is not 0 is a failure, with the status that the row gives it."""
    chunk = {"choices": None, "base": {"status_code": 1002, "status_msg": "Too fast."}}
    ((failure,),) = openai.decoded(chunk, kind=kind, facts=ENVELOPE)
    assert (failure.message, failure.code, failure.status) == ("Too fast.", "1002", 429)
    assert openai.decoded(chunk, kind=kind) == [[]]


@pytest.mark.parametrize("base", [{"status_code": 0, "status_msg": "success"}, None, "odd", {}])
def test_an_envelope_without_an_error(openai, base):
    """The code 0, or no code, is no failure."""
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
def test_an_error_with_a_status(openai, facts, body, expected):
    """The envelope is read where a row names one; the usual shapes are left to core."""
    failure = openai.bound(facts=facts).decode_error(WireResponse(status=400, headers={}, body=body))
    assert (failure and failure.message) == expected


def test_a_choice_that_failed(openai):
    """An error inside a choice is a failure, not a finish."""
    chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "No.", "code": 502}}]}
    ((failure,),) = openai.decoded(chunk)
    assert isinstance(failure, Failure)
    assert (failure.message, failure.status) == ("No.", 502)


# Calls


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({"index": 0, "id": 7, "function": {"name": "a"}}, ToolCallDelta(0, "7", "a", "")),
        ({"index": "0", "id": "c", "function": {"name": "a"}}, ToolCallDelta(None, "c", "a", "")),
        (
            {"index": 0, "id": "c", "function": {"name": "a"}, "custom": {"name": "", "input": ""}},
            ToolCallDelta(0, "c", "a", ""),
        ),
        ({"index": 0, "id": "c", "function": "odd"}, ToolCallDelta(0, "c", None, "")),
    ],
)
def test_calls_of_odd_servers(openai, call, expected):
    """Ids that are numbers, indexes that are texts, and empty placeholders beside a call do no harm."""
    assert openai.decoded(delta(tool_calls=[call])) == [[expected]]


def test_a_call_that_is_signed(openai):
    """Where a place signs calls, the call keeps the signature."""
    call = {"index": 0, "id": "c", "function": {"name": "a"}, "extra": {"deep": {"seal": "s"}}}
    facts = {"call_signature": "extra.deep.seal"}
    assert openai.decoded(delta(tool_calls=[call]), facts=facts) == [[ToolCallDelta(0, "c", "a", "", signature="s")]]


def test_a_tool_that_the_place_ran_itself(openai):
    """Such a tool is no call to a tool of the user."""
    tool = {"type": "search", "arguments": "{}", "output": "…"}
    assert openai.decoded(delta(executed_tools=[tool])) == [[ServerToolEvent("search", tool)]]


# Sources


def test_sources_beside_the_choices(openai):
    """Each source is told once, though a place repeats the growing list, and a bare address becomes an object."""
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


# Media


def test_images(openai):
    """An image in the answer is its bytes; one that is only named stays what it is."""
    data = base64.b64encode(b"\x89PNG").decode()
    inside = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    outside = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    image = MediaDelta("image/png", b"\x89PNG")
    assert openai.decoded(delta(images=[inside, outside])) == [[image, ServerToolEvent("image_url", outside)]]
    assert openai.decoded(delta(content=[inside])) == [[image]]


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
def test_sounds(openai, data, mime_type):
    """The answer does not name the type of a sound, so its first bytes do."""
    audio = {"id": "a", "data": base64.b64encode(data).decode(), "transcript": "beep"}
    assert openai.decoded(delta(audio=audio)) == [[MediaDelta(mime_type, data)]]


def test_a_sound_that_cannot_be_read(openai):
    """Text that is no base64 is a sound without bytes, and no exception."""
    assert openai.decoded(delta(audio={"data": "a"})) == [[MediaDelta("audio/pcm", b"")]]


# Speed


def test_a_piece_of_text_takes_the_short_way(openai):
    """After the first chunk a piece of text is one event in a tuple, whatever empty fields stand beside it."""
    decode = openai.bound().decoder({})
    first = {**delta(role="assistant", content=""), "id": "1", "model": "m"}
    beside = {"role": "assistant", "reasoning": None, "tool_calls": [], "refusal": None, "reasoning_details": []}
    for said in ({"content": "a"}, {"content": "a", **beside}):
        decode(openai.chunk(first))
        assert decode(openai.chunk(delta(**said))) == (TextDelta("a"),)


# Going on


def test_a_finish_that_is_a_failure(openai):
    """A reason to finish that the place names for its own failures is an error with that status, and no answer."""
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
def test_a_model_writes_on_as_the_place_wants_it_said(openai, prefill, turn, fields):
    """The beginning of the answer is the last turn, with the marks that the place wants on it and beside it."""
    extra = {"top": 1} if fields else {}
    bound = openai.bound(facts={"prefill": prefill})
    request = InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), extra=extra)
    body = json.loads(bound.encode_prefill(request, "Once").body)
    assert body.pop("messages") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Once", **turn},
    ]
    assert body == {"model": "m", **fields}
