"""Facts beside the content: feedback, messages, ratings, metadata and fields of tomorrow."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import ProviderError, Truncated
from polyglot_core.plugin import Details

RATINGS = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW", "blocked": True}]

OF_THE_RESPONSE = {
    "feedback": {"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No.", "safetyRatings": RATINGS}},
    "ratings of the prompt": {"promptFeedback": {"safetyRatings": RATINGS}},
    "time": {"createTime": "2026-01-01T00:00:00Z"},
    "status of the model": {"modelStatus": {"modelStage": "PREVIEW"}},
    "field of tomorrow": {"addedTomorrow": {"list": [1, None]}},
}

OF_A_CANDIDATE = {
    "message": {"finishMessage": "Malformed function call: soil(bed=1"},
    "ratings": {"safetyRatings": RATINGS},
    "average": {"avgLogprobs": -0.5},
    "number of tokens": {"tokenCount": 3},
    "pages": {"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": "https://roses.example"}]}},
    "search": {"groundingMetadata": {"webSearchQueries": ["rose"], "searchEntryPoint": {"renderedContent": "<p>"}}},
    "beside citations": {"citationMetadata": {"addedTomorrow": 1}},
    "beside the parts": {"content": {"role": "narrator", "addedTomorrow": 1}},
    "field of tomorrow": {"addedTomorrow": [1]},
}


def bodies(candidate, **beside):
    """Return the same response streamed, with the facts at the start, in the middle or at the end, and plain."""
    content = {"parts": [{"text": "x"}, {"text": "y"}], **candidate.get("content", {})}
    whole = {"candidates": [{"finishReason": "STOP", **candidate, "content": content}], **beside}
    yield json.dumps(whole).encode(), False
    for place in range(3):
        chunks = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("x", "y", "")]
        chunks[place]["candidates"][0] |= {
            **candidate,
            "content": {**content, "parts": [{"text": "xy "[place].strip()}]},
        }
        chunks[place] |= beside
        chunks[2]["candidates"][0]["finishReason"] = "STOP"
        yield b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks), True


@pytest.mark.parametrize("facts", OF_THE_RESPONSE.values(), ids=OF_THE_RESPONSE)
def test_facts_of_a_response(replay_body, facts):
    """Equal streamed and plain, unchanged, wherever they are."""
    for body, is_stream in bodies({}, **facts):
        assert replay_body(body, streamed=is_stream).response.details == facts


@pytest.mark.parametrize("facts", OF_A_CANDIDATE.values(), ids=OF_A_CANDIDATE)
def test_facts_of_a_candidate(replay_body, facts):
    """They are details of the choice, and with it those of the response."""
    for body, is_stream in bodies(facts):
        response = replay_body(body, streamed=is_stream).response
        assert (response.choices[0].details, response.details) == (facts, facts)


def test_facts_of_another_candidate(replay_body):
    """They are details of their choice only."""
    candidates = [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP", "index": index} for index in (0, 1)]
    candidates[1]["safetyRatings"] = RATINGS
    response = replay_body(json.dumps({"candidates": candidates}).encode(), streamed=False).response
    assert response.details == response.choices[0].details == {}
    assert response.choices[1].details == {"safetyRatings": RATINGS}


def test_pieces_of_text_have_no_details(events):
    """Nor does a fact that is repeated with each of them."""
    chunk = {"candidates": [{"content": {"parts": [{"text": "x"}]}}], "createTime": "now", "modelVersion": "m"}
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in [chunk] * 5)
    assert [event.payload for event in events(body) if isinstance(event, Details)] == [{"createTime": "now"}]


BLOCKED = {"promptFeedback": {"blockReason": "OTHER", "blockReasonMessage": "No."}}
FILTERED = {"candidates": [{"finishReason": "SAFETY", "finishMessage": "No."}]}
WITHOUT_WORDS = {"candidates": [{"finishReason": "SAFETY", "finishMessage": None}]}


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    ("payload", "refusal"),
    [(BLOCKED, "No."), (FILTERED, "No."), (WITHOUT_WORDS, None)],
    ids=["prompt", "response", "none"],
)
def test_words_of_a_filter_are_the_refusal(replay_body, payload, refusal, is_stream):
    """Whether the prompt or the response was blocked."""
    body = json.dumps(payload).encode()
    response = replay_body(b"data: %b\n\n" % body if is_stream else body, streamed=is_stream).response
    assert (response.finish_reason, response.refusal, response.message.parts) == ("content_filter", refusal, ())


@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "plain"])
def test_reason_of_a_malformed_call_can_be_read(replay_body, is_stream):
    """The response has no content."""
    candidate = {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "soil(bed=1"}
    body = json.dumps({"candidates": [candidate]}).encode()
    response = replay_body(b"data: %b\n\n" % body if is_stream else body, streamed=is_stream).response
    assert (response.finish_reason, response.details) == ("error", {"finishMessage": "soil(bed=1"})
    assert response.refusal is None


@pytest.mark.parametrize("reason", ["", None, 0, "BLOCK_REASON_UNSPECIFIED"])
def test_feedback_without_a_reason_does_not_finish(replay_body, reason):
    """The prompt was not blocked."""
    text = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}]}
    body = b"".join(
        b"data: %b\n\n" % json.dumps(each).encode() for each in ({"promptFeedback": {"blockReason": reason}}, text)
    )
    assert replay_body(body).response.finish_reason == "stop"


ERROR = {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}}
TEXT = {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}
END = {"candidates": [{"finishReason": "STOP"}]}


@pytest.mark.parametrize(
    "error", [ERROR, {"error": "Busy."}, {**END, **ERROR}], ids=["status", "text", "with a finish"]
)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "in the middle", "last"])
@pytest.mark.parametrize("shape", ["events", "lines", "array", "plain array"])
def test_error_anywhere_in_a_response(replay_body, error, place, shape):
    """The content before it is in the partial."""
    chunks = [TEXT, END]
    chunks.insert(place, error)
    texts = [json.dumps(chunk).encode() for chunk in chunks]
    body = {
        "events": b"".join(b"data: %b\r\n\r\n" % text for text in texts),
        "lines": b"".join(b"%b\n" % text for text in texts),
        "array": b"[%b]" % b"\n,\r\n".join(texts),
        "plain array": b"[%b]" % b",".join(texts),
    }[shape]
    failed = replay_body(body, streamed=shape != "plain array").error
    assert isinstance(failed, ProviderError)
    assert failed.message == "Busy."
    assert failed.partial.content == ("x" if place else "")


def test_plain_response_may_be_an_array(replay_body):
    """The chunks of a stream that was not requested."""
    response = replay_body(json.dumps([TEXT, TEXT, END]).encode(), streamed=False).response
    assert (response.content, response.finish_reason, response.outcome) == ("xx", "stop", "finished")


@pytest.mark.parametrize("event", ["progress", "added_tomorrow", "keep_alive"])
def test_events_of_others_change_nothing(replay_body, event):
    """A gateway may send events of its own."""
    others = b'event: %b\ndata: {"step": 1, "type": "note"}\n\n' % event.encode()
    body = others.join(b"data: %b\n\n" % json.dumps(each).encode() for each in (TEXT, END))
    response = replay_body(others + body).response
    assert (response.content, response.finish_reason, response.details) == ("x", "stop", {})


@pytest.mark.parametrize("chunks", [[], [TEXT]], ids=["alone", "after text"])
def test_end_mark_of_a_gateway_is_no_finish(replay_body, chunks):
    """Google has none; the reason proves that the response is whole."""
    before = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in chunks)
    mark, end = b"data: [DONE]\n\n", b"data: %b\n\n" % json.dumps(END).encode()
    assert isinstance(replay_body(before + mark).error, Truncated)
    assert replay_body(before + end + mark).response.outcome == "finished"
