"""What an answer means: texts, thoughts, calls, sources, files, reasons and counts."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import Malformed, Truncated
from polyglot_core.plugin import Citation, Logprobs, ReasoningDelta, ServerToolEvent, UsageReport


def chunk(candidate, **beside):
    return b"data: %b\n\n" % json.dumps({"candidates": [candidate], **beside}).encode()


def said(*parts, **fields):
    return chunk({"content": {"parts": list(parts)}, **fields})


@pytest.mark.parametrize("body", ["answer.sse", "answer.json"])
def test_an_answer_has_its_text_its_thinking_its_reason_and_its_names(heard, body):
    """Streamed and plain, an answer gives all that it says."""
    response = heard(body).response
    assert response.outcome == "finished"
    assert response.content == "Plant them facing south – always."
    assert response.reasoning_content == "Roses need sun."
    assert (response.finish_reason, response.finish_reason_raw) == ("stop", "STOP")
    assert (response.model, response.id) == ("gemini-garden-1", "garden-7")


def test_streamed_and_plain_fixtures_of_one_answer_agree(heard):
    """The same answer is the same response, whichever way it was asked for."""
    for name in ("answer", "calls", "blocked"):
        streamed, plain = (heard(f"{name}.{kind}").response.to_dict() for kind in ("sse", "json"))
        for told in (streamed, plain):
            told.pop("timing")
        assert streamed == plain


def test_thinking_never_stands_in_the_text(heard):
    """No partial shows a thought as content."""
    partials = heard("answer.sse").partials
    assert [partial.reasoning_delta for partial in partials][:2] == ["Roses need ", "sun."]
    assert not any("Roses" in partial.content for partial in partials)


@pytest.mark.parametrize("body", ["answer.sse", "answer.json"])
def test_the_signature_of_a_text_is_kept_beside_the_thinking(heard, body):
    """What Google wants back with a text is a stretch of thinking of its own."""
    thinking = heard(body).response.choices[0].reasoning
    assert [(part.text, part.signature) for part in thinking] == [("Roses need sun.", None), ("", "c2VlZA==")]


def test_each_signature_ends_its_own_stretch_of_thinking(heard):
    """Two signatures are never run together."""
    thoughts = [{"text": text, "thought": True, "thoughtSignature": text} for text in ("QQ==", "Qg==")]
    body = said(thoughts[0]) + said(thoughts[1]) + said({"thoughtSignature": "Qw=="}, finishReason="STOP")
    thinking = heard(body).response.choices[0].reasoning
    assert [part.signature for part in thinking] == ["QQ==", "Qg==", "Qw=="]


@pytest.mark.parametrize("body", ["calls.sse", "calls.json"])
def test_calls_are_whole_and_apart(heard, body):
    """Each functionCall is a call, with or without id and arguments, and keeps its signature."""
    response = heard(body).response
    calls = [(call.id, call.name, call.arguments, call.signature, call.ready) for call in response.tool_calls]
    assert calls == [
        ("w1", "soil", {"bed": 3, "deep": True}, "cm9vdA==", True),
        ("w2", "soil", {"bed": 4}, None, True),
        (None, "clock", {}, None, True),
    ]
    assert response.content == "I look it up."
    assert response.finish_reason == "tool_calls"


def test_equal_calls_without_ids_stay_two(heard):
    """Nothing but its place tells them apart, and that is enough."""
    call = {"functionCall": {"name": "water", "args": {"bed": 1}}}
    assert len(heard(said(call) + said(call, finishReason="STOP")).response.tool_calls) == 2


def test_arguments_keep_numbers_as_they_were_written(heard):
    """A number that no float holds is not rounded on its way."""
    body = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{ "n": 12345678901234567890123 }}}]},"finishReason":"STOP"}]}\n\n'
    assert heard(body).response.tool_calls[0].arguments_raw == '{"n":12345678901234567890123}'


def test_arguments_in_pieces_are_one_json_text(heard):
    """Values that come by path give the JSON that the model wrote."""
    response = heard("streamed_arguments.sse").response
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


def test_arguments_grow_with_each_piece(heard):
    """A caller sees arguments as they come, and which call is still open."""
    partials = heard("streamed_arguments.sse").partials
    first = [partial.tool_calls[0] for partial in partials[:4]]
    assert [call.arguments_raw for call in first] == [
        "",
        '{"beds":[{"name":"north \\"A\\"',
        '{"beds":[{"name":"north \\"A\\"\\nline',
        '{"beds":[{"name":"north \\"A\\"\\nline"',
    ]
    assert not any(call.complete for call in first)


def test_a_call_that_the_token_limit_cut_off_is_not_ready(heard):
    """Only a proper stop closes a call that is still open."""
    opened = {"functionCall": {"name": "water", "willContinue": True}}
    piece = {"partialArgs": [{"jsonPath": "$.text", "stringValue": "cut", "willContinue": True}], "willContinue": True}
    body = said(opened) + said({"functionCall": piece}) + said({"text": ""}, finishReason="MAX_TOKENS")
    response = heard(body).response
    assert response.tool_calls[0].arguments_raw == '{"text":"cut'
    assert not response.tool_calls[0].ready
    assert response.finish_reason == "length"


def test_a_stream_that_breaks_off_in_a_call_keeps_what_came(heard):
    """The arguments so far stand in the error's partial."""
    opened = {"functionCall": {"name": "water", "willContinue": True}}
    piece = {"partialArgs": [{"jsonPath": "$.liters", "numberValue": 3}], "willContinue": True}
    result = heard(said(opened) + said({"functionCall": piece}))
    assert isinstance(result.error, Truncated)
    assert result.error.partial.tool_calls[0].arguments_raw == '{"liters":3'


def test_arguments_without_a_call_are_malformed(heard):
    """What belongs to nothing is not dropped silently."""
    piece = {"partialArgs": [{"jsonPath": "$.liters", "numberValue": 3}]}
    assert isinstance(heard(said({"functionCall": piece})).error, Malformed)


def test_what_google_runs_itself_is_no_call(heard):
    """Code and its results are reported as events of Google's own, in its own shape, so that they can be sent back."""
    response = heard("code.sse").response
    assert response.choices[0].server_tools == (
        {
            "type": "executableCode",
            "executableCode": {"language": "PYTHON", "code": "print(6*7)\n"},
            "thoughtSignature": "Y29kZQ==",
        },
        {"type": "codeExecutionResult", "codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}},
    )
    assert response.tool_calls == ()


def test_text_after_a_first_stop_is_text(heard):
    """A STOP before the result of a run is not the end."""
    response = heard("code.sse").response
    assert response.content == "I count. There are 42."
    assert response.finish_reason == "stop"


def test_sources_come_with_the_text_that_they_support(events):
    """Each source is a citation; what else belongs to a search is an event of its own."""
    seen = events("grounded.sse")
    recited, roses, ferns = [event.payload for event in seen if isinstance(event, Citation)]
    assert recited["uri"] == "https://recited.example"
    assert roses["web"]["uri"] == "https://roses.example"
    assert [support["segment"]["text"] for support in roses["groundingSupports"]] == [
        "Roses like sun.",
        "Ferns do not.",
    ]
    assert [support["segment"]["text"] for support in ferns["groundingSupports"]] == ["Ferns do not."]
    others = {event.type: event.payload for event in seen if isinstance(event, ServerToolEvent)}
    assert others["groundingMetadata"]["webSearchQueries"] == ["roses sun"]
    assert others["urlContextMetadata"]["urlMetadata"][0]["retrievedUrl"] == "https://roses.example"


def test_the_older_name_of_citations_is_read(events):
    """The first version of the API called them sources."""
    seen = events(said({"text": "x"}, citationMetadata={"citationSources": [{"uri": "https://old.example"}]}))
    assert [event.payload for event in seen if isinstance(event, Citation)] == [{"uri": "https://old.example"}]


def test_images_are_files_and_pieces_of_a_sound_are_one(heard):
    """Two images in a row are two; a draft that the model thought with is none of them."""
    response = heard("media.sse").response
    media = [(file.mime_type, file.data) for file in response.choices[0].media]
    assert media == [("image/png", b"one"), ("image/png", b"two"), ("audio/L16;rate=24000", b"sound")]
    draft = response.choices[0].server_tools[0]
    assert (draft["type"], draft["inlineData"]["data"]) == ("inlineData", "ZHJhZnQ=")


def test_candidates_are_choices(heard):
    """Each candidate has its text and its reason."""
    choices = heard("candidates.sse").response.choices
    assert [(choice.content, choice.finish_reason) for choice in choices] == [("Rose.", "stop"), ("Fern!", "length")]


def test_a_candidate_without_its_reason_is_truncated(heard):
    """A second candidate that has begun, with or without a text, has to end too."""
    body = said({"text": "Rose."}, finishReason="STOP") + chunk({"index": 1})
    assert isinstance(heard(body).error, Truncated)


@pytest.mark.parametrize("body", ["blocked.sse", "blocked.json"])
def test_a_blocked_prompt_is_an_answer_that_a_filter_finished(heard, body):
    """There is no candidate, but there is an ending, and it says why."""
    result = heard(body)
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
    ],
)
def test_every_reason_has_a_word(heard, raw, reason, kept):
    """The finish table: Google's word or number, ours, and the word that is kept."""
    response = heard(said({"text": "x"}, finishReason=raw)).response
    assert (response.finish_reason, response.finish_reason_raw) == (reason, kept)


@pytest.mark.parametrize("raw", ["", "FINISH_REASON_UNSPECIFIED", 0, None])
def test_no_reason_is_no_ending(heard, raw):
    """What is left open does not finish a stream."""
    assert isinstance(heard(said({"text": "x"}, finishReason=raw)).error, Truncated)


def test_the_last_reason_counts(heard):
    """STOP on every chunk gives way to what the last one says."""
    body = said({"text": "a"}, finishReason="STOP") + said({"text": "b"}, finishReason="STOP")
    response = heard(body + chunk({"finishReason": "RECITATION"})).response
    assert (response.finish_reason, response.content) == ("content_filter", "ab")


def test_a_plain_answer_without_a_reason_is_complete(heard):
    """A whole body is a whole answer, even one that says nothing."""
    result = heard(b'{"candidates":[{"content":{},"index":0}]}', streamed=False)
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
    ],
)
def test_counts_are_read_whole(heard, counts, expected):
    """The usage table: input with what tools added, output with what was thought, and unknown is not zero."""
    usage = heard(
        said({"text": "x"}, finishReason="STOP") + b"data: %b\n\n" % json.dumps({"usageMetadata": counts}).encode()
    ).response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.reasoning_tokens) == expected
    assert usage.cache_write_tokens is None
    assert usage.raw == counts


def test_the_last_count_stands_for_all(heard):
    """Each report is a whole one; they are neither added up nor laid over each other."""
    usage = heard("code.sse").response.usage
    assert (usage.input_tokens, usage.output_tokens) == (43, 14)
    assert "thoughtsTokenCount" not in usage.raw


def test_log_probabilities_are_passed_on(events):
    """As Google's own object."""
    result = {"chosenCandidates": [{"token": "x", "logProbability": -0.5}]}
    assert [
        event.payload for event in events(said({"text": "x"}, logprobsResult=result)) if isinstance(event, Logprobs)
    ] == [result]


def test_names_are_given_until_both_are_known(events):
    """An id that comes late is not missed."""
    body = said({"text": "a"}) + chunk({"content": {"parts": [{"text": "b"}]}}, responseId="r", modelVersion="m")
    started = [event for event in events(body + said({"text": "c"})) if type(event).__name__ == "ResponseStarted"]
    assert [(event.id, event.model) for event in started] == [("r", "m")]


def test_fields_that_are_null_or_of_no_use_do_not_matter(heard):
    """A null is nothing, and a field that is not read may be anything."""
    part = {"text": "x", "thought": None, "thoughtSignature": None, "functionCall": None, "videoMetadata": 7}
    fields = {"finishReason": "STOP", "safetyRatings": "none", "citationMetadata": None, "groundingMetadata": None}
    result = heard(said(part, {"addedTomorrow": {}}, **fields))
    assert (result.response.content, result.error) == ("x", None)


def test_events_of_a_thought_have_blocks(events):
    """A signature on a text is no part of the thinking before it."""
    blocks = [(event.block, event.text) for event in events("answer.sse") if isinstance(event, ReasoningDelta)]
    assert blocks == [(0, "Roses need "), (0, "sun."), (1, "")]


def test_usage_comes_with_every_chunk_that_has_it(events):
    """So that a partial can tell what has been used so far."""
    assert sum(isinstance(event, UsageReport) for event in events("answer.sse")) == 5
