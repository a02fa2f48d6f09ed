"""Decoding of texts, thoughts, tool calls, sources, files, finish reasons and counts."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import Malformed, ProviderError, Truncated
from polyglot_core.plugin import Citation, Logprobs, ReasoningDelta, ServerToolEvent, TextDelta, UsageReport


def chunk(candidate, **beside):
    return b"data: %b\n\n" % json.dumps({"candidates": [candidate], **beside}).encode()


def candidate(*parts, **fields):
    return chunk({"content": {"parts": list(parts)}, **fields})


@pytest.mark.parametrize("body", ["answer.sse", "answer.json"])
def test_response_has_text_thinking_reason_and_names(replay_body, body):
    """Streamed and plain, a response has everything that was sent."""
    response = replay_body(body).response
    assert response.outcome == "finished"
    assert response.content == "Plant them facing south – always."
    assert response.reasoning_content == "Roses need sun."
    assert (response.finish_reason, response.finish_reason_raw) == ("stop", "STOP")
    assert (response.model, response.id) == ("gemini-garden-1", "garden-7")


def test_streamed_and_plain_fixtures_of_one_response_agree(replay_body):
    """The same content is the same response, streamed and plain. A signature at the end is a part of its own."""
    for name in ("answer", "calls", "blocked"):
        streamed, plain = (replay_body(f"{name}.{kind}").response.to_dict() for kind in ("sse", "json"))
        for told in (streamed, plain):
            told.pop("timing")
            for choice in told["choices"]:
                choice["parts"] = len(choice["parts"]) - (name == "answer" and told is streamed)
        assert streamed == plain


def test_thinking_is_never_in_the_text(replay_body):
    """No partial shows thinking as content."""
    partials = replay_body("answer.sse").partials
    assert [partial.reasoning_delta for partial in partials][:2] == ["Roses need ", "sun."]
    assert not any("Roses" in partial.content for partial in partials)


@pytest.mark.parametrize("body", ["answer.sse", "answer.json"])
def test_signature_of_a_text_is_kept_with_it(replay_body, body):
    """A signature that must be sent back with a text is in the `extra` of the text."""
    thought, *texts = replay_body(body).response.choices[0].parts
    assert (thought.text, thought.signature) == ("Roses need sun.", None)
    assert "".join(text.text for text in texts) == "Plant them facing south – always."
    assert texts[-1].extra == {"thoughtSignature": "c2VlZA=="}


def test_each_signature_ends_its_stretch_of_thinking(replay_body):
    """Two signatures are never joined."""
    thoughts = [{"text": text, "thought": True, "thoughtSignature": text} for text in ("QQ==", "Qg==")]
    body = (
        candidate(thoughts[0]) + candidate(thoughts[1]) + candidate({"thoughtSignature": "Qw=="}, finishReason="STOP")
    )
    thinking = replay_body(body).response.choices[0].reasoning
    assert [part.signature for part in thinking] == ["QQ==", "Qg==", "Qw=="]


@pytest.mark.parametrize("body", ["calls.sse", "calls.json"])
def test_tool_calls_are_whole_and_separate(replay_body, body):
    """Each functionCall is a tool call, with or without id and arguments, and keeps its signature."""
    response = replay_body(body).response
    calls = [(call.id, call.name, call.arguments, call.signature, call.ready) for call in response.tool_calls]
    assert calls == [
        ("w1", "soil", {"bed": 3, "deep": True}, "cm9vdA==", True),
        ("w2", "soil", {"bed": 4}, None, True),
        (None, "clock", {}, None, True),
    ]
    assert response.content == "I look it up."
    assert response.finish_reason == "tool_calls"


def test_equal_tool_calls_without_ids_stay_two(replay_body):
    """Only their order distinguishes them."""
    call = {"functionCall": {"name": "water", "args": {"bed": 1}}}
    assert len(replay_body(candidate(call) + candidate(call, finishReason="STOP")).response.tool_calls) == 2


def test_numbers_in_arguments_are_unchanged(replay_body):
    """A number that no float holds is not rounded, and no digit is lost."""
    body = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"x":0.1000000000000000000001 }}}]},"finishReason":"STOP"}]}\n\n'
    assert replay_body(body).response.tool_calls[0].arguments_raw == '{"x":0.1000000000000000000001}'
    body = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{ "n": 12345678901234567890123 }}}]},"finishReason":"STOP"}]}\n\n'
    assert replay_body(body).response.tool_calls[0].arguments_raw == '{"n":12345678901234567890123}'


def test_arguments_in_pieces_are_one_json_text(replay_body):
    """Values received by path give the JSON that the model wrote."""
    response = replay_body("streamed_arguments.sse").response
    plan, clock, water = response.tool_calls
    assert plan.arguments == {
        "beds": [
            {"name": 'north "A"\nline', "size": 2.5, "sunny": False},
            {"first plant": "rose", "tags": ["a", None]},
        ],
        "count": 2,
    }
    assert (plan.id, plan.signature) == ("p1", "c3RlbQ==")
    assert (clock.name, clock.arguments) == ("clock", {})
    assert (water.name, water.arguments) == ("water", {"liters": 10})
    assert all(call.ready for call in response.tool_calls)


def test_arguments_grow_with_each_piece(replay_body):
    """Partials show the arguments received so far, and which tool call is open."""
    partials = replay_body("streamed_arguments.sse").partials
    first = [partial.tool_calls[0] for partial in partials[:4]]
    assert [call.arguments_raw for call in first] == [
        "",
        '{"beds":[{"name":"north \\"A\\"',
        '{"beds":[{"name":"north \\"A\\"\\nline',
        '{"beds":[{"name":"north \\"A\\"\\nline"',
    ]
    assert not any(call.complete for call in first)


def test_truncated_tool_call_is_not_ready(replay_body):
    """Only the reason STOP closes a tool call that is still open."""
    opened = {"functionCall": {"name": "water", "willContinue": True}}
    piece = {"partialArgs": [{"jsonPath": "$.text", "stringValue": "cut", "willContinue": True}], "willContinue": True}
    body = candidate(opened) + candidate({"functionCall": piece}) + candidate({"text": ""}, finishReason="MAX_TOKENS")
    response = replay_body(body).response
    assert response.tool_calls[0].arguments_raw == '{"text":"cut'
    assert not response.tool_calls[0].ready
    assert response.finish_reason == "length"


def test_stream_truncated_in_a_tool_call(replay_body):
    """The arguments received so far are in the error's partial."""
    opened = {"functionCall": {"name": "water", "willContinue": True}}
    piece = {"partialArgs": [{"jsonPath": "$.liters", "numberValue": 3}], "willContinue": True}
    result = replay_body(candidate(opened) + candidate({"functionCall": piece}))
    assert isinstance(result.error, Truncated)
    assert result.error.partial.tool_calls[0].arguments_raw == '{"liters":3'


def test_arguments_without_a_tool_call_are_malformed(replay_body):
    """They are not dropped silently."""
    piece = {"partialArgs": [{"jsonPath": "$.liters", "numberValue": 3}]}
    assert isinstance(replay_body(candidate({"functionCall": piece})).error, Malformed)


def test_server_tools_are_not_tool_calls(replay_body):
    """Code and its results are reported unchanged, so that they can be sent back."""
    response = replay_body("code.sse").response
    assert response.choices[0].server_tools == (
        {
            "type": "executableCode",
            "executableCode": {"language": "PYTHON", "code": "print(6*7)\n"},
            "thoughtSignature": "Y29kZQ==",
        },
        {"type": "codeExecutionResult", "codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
    )
    assert response.tool_calls == ()


def test_text_after_a_first_stop_is_text(replay_body):
    """A STOP before the result of an execution is not the end."""
    response = replay_body("code.sse").response
    assert response.content == "I count. There are 42."
    assert response.finish_reason == "stop"


def test_sources_have_the_text_that_they_support(events):
    """Each source is a citation; the rest of a search is an event of its own."""
    seen = events("grounded.sse")
    recited, *grounded = [event for event in seen if isinstance(event, Citation)]
    assert (recited.payload["uri"], recited.start, recited.end) == ("https://recited.example", 0, 15)
    supported = [(each.payload["web"]["title"], each.payload["groundingSupports"]) for each in grounded]
    assert [(title, [one["segment"]["text"] for one in supports]) for title, supports in supported] == [
        ("Roses", ["Roses like sun."]),
        ("Roses", ["Ferns do not."]),
        ("Ferns", ["Ferns do not."]),
    ]
    assert [(each.start, each.end) for each in grounded] == [(0, 15), (16, 29), (16, 29)]
    others = {event.type: event.payload for event in seen if isinstance(event, ServerToolEvent)}
    assert others["groundingMetadata"]["webSearchQueries"] == ["roses sun"]
    assert others["urlContextMetadata"]["urlMetadata"][0]["retrievedUrl"] == "https://roses.example"


def test_older_name_of_citations(events):
    """The first version of the API called them sources."""
    seen = events(candidate({"text": "x"}, citationMetadata={"citationSources": [{"uri": "https://old.example"}]}))
    assert [event.payload for event in seen if isinstance(event, Citation)] == [{"uri": "https://old.example"}]


def test_images_are_files_and_pieces_of_audio_are_one(replay_body):
    """Two images in a row are two; a draft made while thinking is not media."""
    response = replay_body("media.sse").response
    media = [(file.mime_type, file.data) for file in response.choices[0].media]
    assert media == [("image/png", b"one"), ("image/png", b"two"), ("audio/L16;rate=24000", b"sound")]
    draft = response.choices[0].server_tools[0]
    assert (draft["type"], draft["inlineData"]["data"]) == ("inlineData", "ZHJhZnQ=")


def test_candidates_are_choices(replay_body):
    """Each candidate has its text and its reason."""
    choices = replay_body("candidates.sse").response.choices
    assert [(choice.content, choice.finish_reason) for choice in choices] == [("Rose.", "stop"), ("Fern!", "length")]


def test_candidate_without_its_reason_is_truncated(replay_body):
    """A second candidate that has begun, with or without text, has to end too."""
    body = candidate({"text": "Rose."}, finishReason="STOP") + chunk({"index": 1})
    assert isinstance(replay_body(body).error, Truncated)


@pytest.mark.parametrize("body", ["blocked.sse", "blocked.json"])
def test_blocked_prompt_has_the_content_filter_reason(replay_body, body):
    """There is no candidate, but the block reason is the raw reason."""
    result = replay_body(body)
    assert result.error is None
    assert result.response.outcome == "finished"
    assert (result.response.finish_reason, result.response.finish_reason_raw) == (
        "content_filter",
        "PROHIBITED_CONTENT",
    )
    assert result.response.content == ""


@pytest.mark.parametrize(
    ("raw", "reason", "kept"),
    [
        ("STOP", "stop", "STOP"),
        ("MAX_TOKENS", "length", "MAX_TOKENS"),
        ("CONTINUATION", "length", "CONTINUATION"),
        *(
            (word, "content_filter", word)
            for word in (
                *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
                *("ESCALATION", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"),
            )
        ),
        *(
            (word, "error", word)
            for word in (
                *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"),
                *("MISSING_THOUGHT_SIGNATURE", "PUP_LIMITED_DISABLED"),
            )
        ),
        *((word, "other", word) for word in ("OTHER", "NO_IMAGE", "IMAGE_OTHER", "ADDED_TOMORROW")),
        (1, "stop", "STOP"),
        (2, "length", "MAX_TOKENS"),
        (3, "content_filter", "SAFETY"),
        (4, "content_filter", "RECITATION"),
        (5, "other", "OTHER"),
        (7, "content_filter", "7"),
        (99, "other", "99"),
        ("8", "content_filter", "8"),
        # in the words of other dialects, behind a gateway
        ("stop", "stop", "stop"),
        ("max_tokens", "length", "max_tokens"),
        ("end_turn", "stop", "end_turn"),
        ("model_context_window_exceeded", "length", "model_context_window_exceeded"),
        ("content-filter", "content_filter", "content-filter"),
    ],
)
def test_finish_reasons(replay_body, raw, reason, kept):
    """The finish table: Google's name or number, the finish reason, and the raw value."""
    response = replay_body(candidate({"text": "x"}, finishReason=raw)).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, kept)


@pytest.mark.parametrize("raw", ["ERROR", "CANCELLED", "overloaded", "network_error"])
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_failure_as_a_reason(replay_body, raw, streamed):
    """The model did not finish."""
    body = candidate({"text": "x"}, finishReason=raw)
    failed = replay_body(body if streamed else body.removeprefix(b"data: "), streamed=streamed).error
    assert isinstance(failed, ProviderError)
    assert (failed.code, failed.partial.content) == (raw, "x")


@pytest.mark.parametrize("raw", ["", "FINISH_REASON_UNSPECIFIED", 0, None, "null", "None", [], {}])
def test_unspecified_reason_does_not_finish(replay_body, raw):
    """The stream is then truncated."""
    assert isinstance(replay_body(candidate({"text": "x"}, finishReason=raw)).error, Truncated)


def test_last_reason_counts(replay_body):
    """The reason of the last chunk replaces the STOP of every chunk."""
    body = candidate({"text": "a"}, finishReason="STOP") + candidate({"text": "b"}, finishReason="STOP")
    response = replay_body(body + chunk({"finishReason": "RECITATION"})).response
    assert (response.finish_reason, response.content) == ("content_filter", "ab")


def test_plain_response_without_a_reason_is_complete(replay_body):
    """A whole body is a whole response, even an empty one."""
    result = replay_body(b'{"candidates":[{"content":{},"index":0}]}', streamed=False)
    assert result.error is None
    assert result.response.finish_reason == "unknown"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}, (5, 7, None, None)),
        ({"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 3}, (5, 10, None, 3)),
        ({"promptTokenCount": 5, "thoughtsTokenCount": 3}, (5, 3, None, 3)),
        ({"promptTokenCount": 5, "toolUsePromptTokenCount": 20, "candidatesTokenCount": 1}, (25, 1, None, None)),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 4, "candidatesTokenCount": 0}, (5, 0, 4, None)),
        ({"promptTokenCount": 5, "totalTokenCount": 5}, (5, 0, None, None)),
        ({"promptTokenCount": 5}, (5, None, None, None)),
        ({"trafficType": "ON_DEMAND"}, (None, None, None, None)),
        # thinking counted among the candidates' tokens, as the total proves
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 6, "totalTokenCount": 14},
            (5, 9, None, 6),
        ),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 6, "totalTokenCount": 20},
            (5, 15, None, 6),
        ),
        (
            {
                "promptTokenCount": 5,
                "toolUsePromptTokenCount": 4,
                "candidatesTokenCount": 9,
                "thoughtsTokenCount": 6,
                "totalTokenCount": 18,
            },
            (9, 9, None, 6),
        ),
        (
            {
                "promptTokenCount": 5,
                "toolUsePromptTokenCount": 6,
                "candidatesTokenCount": 9,
                "thoughtsTokenCount": 6,
                "totalTokenCount": 20,
            },
            (11, 15, None, 6),
        ),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 0, "totalTokenCount": 14},
            (5, 9, None, 0),
        ),
        (
            {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 6, "totalTokenCount": 7},
            (5, 8, None, 6),
        ),
        ({"promptTokenCount": "5", "candidatesTokenCount": "9", "totalTokenCount": 14.0}, (5, 9, None, None)),
        ({"promptTokenCount": "five", "candidatesTokenCount": None, "totalTokenCount": [14]}, (None, None, None, None)),
    ],
)
def test_usage(replay_body, counts, expected):
    """The usage table: input with tool prompts, output with thinking, and unknown is not zero."""
    usage = replay_body(
        candidate({"text": "x"}, finishReason="STOP") + b"data: %b\n\n" % json.dumps({"usageMetadata": counts}).encode()
    ).response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens) == expected
    assert usage.cache_write_tokens is None
    assert usage.raw == counts


def test_last_count_replaces_the_others(replay_body):
    """Each report is complete; they are neither added up nor merged."""
    usage = replay_body("code.sse").response.usage
    assert (usage.input_tokens, usage.output_tokens) == (43, 14)
    assert "thoughtsTokenCount" not in usage.raw


def test_log_probabilities_are_passed_on(events):
    """As Google's own object."""
    result = {"chosenCandidates": [{"token": "x", "logProbability": -0.5}]}
    assert [
        event.payload
        for event in events(candidate({"text": "x"}, logprobsResult=result))
        if isinstance(event, Logprobs)
    ] == [result]


def test_names_are_emitted_until_both_are_known(events):
    """An id that is sent late is not missed."""
    body = candidate({"text": "a"}) + chunk({"content": {"parts": [{"text": "b"}]}}, responseId="r", modelVersion="m")
    started = [event for event in events(body + candidate({"text": "c"})) if type(event).__name__ == "ResponseStarted"]
    assert [(event.id, event.model) for event in started] == [("r", "m")]


def test_null_and_unread_fields_are_ignored(replay_body):
    """A null counts as missing, and a field that is not read may have any type."""
    part = {"text": "x", "thought": None, "thoughtSignature": None, "functionCall": None, "videoMetadata": 7}
    fields = {"finishReason": "STOP", "safetyRatings": "none", "citationMetadata": None, "groundingMetadata": None}
    result = replay_body(candidate(part, {"addedTomorrow": {}}, **fields))
    assert (result.response.content, result.error) == ("x", None)


def test_thinking_events_have_blocks(events):
    """Pieces of one stretch have one block; what follows has others."""
    kinds = (ReasoningDelta, TextDelta)
    blocks = [(event.block, event.text) for event in events("answer.sse") if isinstance(event, kinds)]
    thinking, text = [(0, "Roses need "), (0, "sun.")], [(1, "Plant them"), (1, " facing south – always."), (2, "")]
    assert blocks == [(0, ""), *thinking, *text]


def test_usage_is_emitted_with_every_chunk_that_has_it(events):
    """So a partial shows the tokens used so far."""
    assert sum(isinstance(event, UsageReport) for event in events("answer.sse")) == 5


def test_counts_with_damaged_bytes_are_repaired(replay_body):
    """A usage object is decoded later, but bytes that are no UTF-8 are noticed at once, as in any other field."""
    first = chunk({"content": {"parts": [{"text": "Roses "}]}}, responseId="1", modelVersion="m")
    counts = {"promptTokenCount": 3, "k": "x"}
    damaged = chunk({"content": {"parts": [{"text": "need"}]}}, usageMetadata=counts).replace(b'"x"', b'"\xff"')
    played = replay_body(first + damaged)
    assert played.response.content == "Roses need"
    assert [partial.usage and partial.usage.input_tokens for partial in played.partials] == [None, 3]
    assert any("repaired" in note for note in played.response.notes)
