"""A turn goes back as it was received: block for block, streamed and plain, whole and interrupted."""

from __future__ import annotations

import base64
import json

import pytest

from polyglot_core.errors import PolyglotError
from polyglot_core.plugin import MediaDelta, Message, RawPart, Reasoning, Text

WEB = {"location": {"web": {"url": "https://garden.test", "domain": "garden.test"}}}
PAGE = {"title": "T", "sourceContent": [{"text": "x"}], "location": {"documentPage": {"documentIndex": 0, "start": 1}}}
PIXELS = base64.b64encode(b"pixels").decode()
SEARCH = {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use", "input": {"q": "oak"}}}
FOUND = {
    "toolResult": {"toolUseId": "s", "type": "nova_grounding_result", "status": "success", "content": [{"text": "a"}]}
}

TURNS = {
    "text": [{"text": "Oak."}],
    "texts in a row": [{"text": "An "}, {"text": "oak."}],
    "text with citations": [
        {"citationsContent": {"content": [{"text": "Oak."}], "citations": [WEB, PAGE]}},
        {"text": " Ash."},
        {"citationsContent": {"content": [{"text": "Elm."}], "citations": [PAGE]}},
    ],
    "citations without a text": [{"text": "Oak."}, {"citationsContent": {"citations": [WEB]}}],
    "thinking": [{"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}}, {"text": "Oak."}],
    "thinking that was withheld": [
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "c2ln"}}},
        {"text": "a"},
    ],
    "thinking without a signature": [{"reasoningContent": {"reasoningText": {"text": "Hm."}}}, {"text": "Oak."}],
    "thinking with an unknown field": [
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln", "added": {"x": 1}}}},
        {"text": "Oak."},
    ],
    "encrypted thinking": [{"reasoningContent": {"redactedContent": "aGlkZGVu"}}, {"text": "Oak."}],
    "thinking between calls": [
        {"reasoningContent": {"reasoningText": {"text": "A", "signature": "YQ=="}}},
        {"text": "1"},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"reasoningContent": {"reasoningText": {"text": "B", "signature": "Yg=="}}},
        {"toolUse": {"toolUseId": "c", "name": "rake", "input": {}}},
    ],
    "tool call": [{"toolUse": {"toolUseId": "c", "name": "rake", "input": {"beds": [1, 2.5], "place": "front"}}}],
    "tool call with an unknown field": [
        {"toolUse": {"toolUseId": "c", "name": "rake", "input": {"a": 1}, "added": [1]}}
    ],
    "tool calls in a row": [{"toolUse": {"toolUseId": each, "name": "rake", "input": {}}} for each in "cd"],
    "server tool": [{"text": "I look."}, SEARCH, FOUND, {"text": "Oak."}],
    "server tool without its result yet": [{"text": "I look."}, SEARCH],
    "server tool without input": [{"toolUse": {**SEARCH["toolUse"], "input": {}}}, FOUND],
    "image": [{"text": "Here:"}, {"image": {"format": "webp", "source": {"bytes": PIXELS}}}, {"text": "An oak."}],
    "image of an unknown format": [{"image": {"format": "avif", "source": {"bytes": PIXELS}}}],
    "image elsewhere": [{"image": {"format": "png", "source": {"s3Location": {"uri": "s3://garden/a.png"}}}}],
    "image that failed": [{"image": {"format": "png", "error": {"message": "Too dark."}}}, {"text": "No."}],
    "unknown block": [{"addedTomorrow": {"x": {"y": [1, None]}, "text": "ab"}}, {"text": "Oak."}],
}
PLAIN_ONLY = {
    "cited text in pieces": [
        {"citationsContent": {"content": [{"text": "An "}, {"text": "oak."}], "citations": [WEB]}}
    ],
    "cited text without content": [{"citationsContent": {"content": [], "citations": [WEB]}}, {"text": "a"}],
    "text with empty citations": [{"citationsContent": {"content": [{"text": "a"}], "citations": []}}],
    "audio": [{"audio": {"format": "mp3", "source": {"bytes": PIXELS}}}],
    "document": [{"document": {"format": "pdf", "name": "a", "source": {"bytes": PIXELS}, "context": "c"}}],
    "document of text": [{"document": {"name": "a", "source": {"text": "b"}}}],
    "video": [{"video": {"format": "mp4", "source": {"bytes": PIXELS}}}],
    "search result": [{"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}}],
    "guarded": [{"guardContent": {"text": {"text": "x"}}}],
    "image that is no base64": [{"image": {"format": "png", "source": {"bytes": "?"}}}],
    "unknown thinking": [{"reasoningContent": {"addedTomorrow": {"x": 1}}}, {"text": "a"}],
    "unknown value": [{"addedTomorrow": 5}, {"text": "a"}],
}


def halves(text):
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def texts_of(fields, name):
    """Return the fields with the text of one of them in two pieces, one field an object."""
    return [{name: text} for text in halves(fields[name])] + [{each: fields[each]} for each in fields if each != name]


def thinking_pieces(value):
    pieces = texts_of(value["reasoningText"], "text") if "reasoningText" in value else [value]
    return [{"reasoningContent": piece} for piece in pieces]


def input_pieces(value):
    texts = halves(json.dumps(value["input"], separators=(",", ":"))) if value["input"] else []
    return [{"toolUse": {"input": text}} for text in texts]


DELTAS = {
    "text": lambda value: [{"text": text} for text in halves(value)],
    "citationsContent": lambda value: [*value.get("content", ()), *({"citation": each} for each in value["citations"])],
    "reasoningContent": thinking_pieces,
    "toolUse": input_pieces,
    "toolResult": lambda value: [{"toolResult": value["content"]}],
    "image": lambda value: [{"image": {name: value[name]}} for name in value if name != "format"],
    "addedTomorrow": lambda value: [{"addedTomorrow": piece} for piece in texts_of(value, "text")],
}
STARTS = {
    "toolUse": lambda value: {name: each for name, each in value.items() if name != "input"},
    "toolResult": lambda value: {name: each for name, each in value.items() if name != "content"},
    "image": lambda value: {"format": value["format"]},
    "addedTomorrow": lambda _value: {},
}


def stream_events(content, reason="end_turn", *, stops=True):
    """Return the events of a message with this content."""
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(content):
        place = {"contentBlockIndex": index}
        ((kind, value),) = block.items()
        if kind in STARTS:
            yield "contentBlockStart", {"start": {kind: STARTS[kind](value)}, **place}
        for delta in DELTAS[kind](value):
            yield "contentBlockDelta", {"delta": delta, **place}
        if stops:
            yield "contentBlockStop", place
    yield "messageStop", {"stopReason": reason}
    yield "metadata", {"usage": {"inputTokens": 1, "outputTokens": 2}}


@pytest.fixture
def received(kit):
    """Return a function that returns the response with a content, in one of three ways."""

    def receive(content, way="plain"):
        if way == "plain":
            body = kit.plain(*content, inputTokens=1, outputTokens=2)
        else:
            body = kit.stream(*stream_events(content, stops=way == "streamed"))
        response, _, _events, error = kit.replay_body(body, streamed=way != "plain")
        assert error is None
        return response

    return receive


def sent(kit, *turns, **fields):
    """Return the blocks of the last turn of a request."""
    return kit.body_of([Message(role="user", content="Hi"), *turns], **fields)["messages"][-1]["content"]


@pytest.mark.parametrize("way", ["streamed", "streamed without stops", "plain"])
@pytest.mark.parametrize("kind", TURNS)
def test_turn_goes_back_as_it_was_received(kit, received, kind, way):
    """Every block, every field, in order."""
    assert sent(kit, received(TURNS[kind], way).message) == TURNS[kind]


@pytest.mark.parametrize("kind", PLAIN_ONLY)
def test_plain_turn_goes_back_as_it_was_received(kit, received, kind):
    """Blocks that a stream does not have."""
    assert sent(kit, received(PLAIN_ONLY[kind]).message) == PLAIN_ONLY[kind]


@pytest.mark.parametrize("kind", TURNS)
def test_streamed_and_plain_response_are_equal(received, kind):
    """In all but the times and the metrics."""
    first, second = (
        {
            name: value
            for name, value in received(TURNS[kind], way).to_dict().items()
            if name not in {"timing", "details"}
        }
        for way in ("streamed", "plain")
    )
    assert first == second


@pytest.mark.parametrize("kind", TURNS)
def test_turn_survives_storage(kit, received, kind):
    """A message that was written as JSON and read again is sent as before."""
    message = received(TURNS[kind]).message
    stored = Message.from_dict(json.loads(json.dumps(message.to_dict())))
    assert sent(kit, stored) == sent(kit, message)


@pytest.mark.parametrize("kind", TURNS)
def test_interrupted_turn_goes_back_in_whole_blocks(kit, kind):
    """Wherever it ends: whole blocks as they were received, text up to the end; no call without its result."""
    events = list(stream_events(TURNS[kind]))
    last = next(number for number, (name, _) in enumerate(events) if name == "messageStop")
    texts = [block["text"] for block in TURNS[kind] if "text" in block]
    texts += [piece["text"] for block in TURNS[kind] for piece in block.get("citationsContent", {}).get("content", ())]
    for length in range(1, last + 1):
        message = kit.replay_body(kit.stream(*events[:length])).response.message
        assert not message.complete
        turns = kit.body_of([Message(role="user", content="Hi"), message])["messages"][1:]
        blocks = turns[0]["content"] if turns else []
        results = {block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block}
        for block in blocks:
            assert block in TURNS[kind] or any(block.get("text", "?") in text for text in texts), (length, block)
            call = block.get("toolUse", {})
            assert call.get("type") != "server_tool_use" or call["toolUseId"] in results
            assert "signature" in str(block) or "reasoningText" not in str(block)


def test_empty_texts_are_left_out(kit, received):
    """The API rejects them."""
    for way in ("streamed", "plain"):
        assert sent(kit, received([{"text": ""}, {"text": "Oak."}, {"text": ""}], way).message) == [{"text": "Oak."}]


def test_cited_text_that_was_changed(kit, received):
    """The sources stay, with the new text."""
    content = [{"citationsContent": {"content": [{"text": "An "}, {"text": "oak."}], "citations": [WEB]}}]
    (part,) = received(content).message.parts
    changed = Message(role="assistant", content=(Text("Elm.", extra=part.extra),), provider="bedrock")
    assert sent(kit, changed) == [{"citationsContent": {"content": [{"text": "Elm."}], "citations": [WEB]}}]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["aGk="], "aGk="),
        ([base64.b64encode(each).decode() for each in (b"a", b"bc", b"def", b"ghij")], "YWJjZGVmZ2hpag=="),
        (["no base64!"], "no base64!"),
        (["no ", "base64!"], "no base64!"),
    ],
    ids=["one", "each padded for itself", "no base64", "pieces that are no base64"],
)
@pytest.mark.parametrize("stop", [True, False], ids=["with stop", "without stop"])
def test_pieces_of_encrypted_thinking_are_joined_as_bytes(kit, pieces, whole, stop):
    """And keep the position in which they began."""
    body = kit.stream(
        *(kit.delta(0, reasoningContent={"redactedContent": piece}) for piece in pieces),
        *([kit.stop(0)] if stop else []),
        kit.delta(1, text="Oak."),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    message = kit.replay_body(body).response.message
    assert sent(kit, message) == [{"reasoningContent": {"redactedContent": whole}}, {"text": "Oak."}]


def test_pieces_of_an_image_are_joined_as_bytes(kit):
    """Each of them is base64 for itself."""
    pieces = [base64.b64encode(each).decode() for each in (b"pix", b"el", b"s")]
    body = kit.stream(
        kit.start(0, image={"format": "png"}),
        *(kit.delta(0, image={"source": {"bytes": piece}}) for piece in pieces),
        kit.delta(0, image={"error": {"message": "Half of it."}}),
        kit.stop(0),
        ("messageStop", {"stopReason": "end_turn"}),
    )
    response = kit.replay_body(body).response
    assert [(media.mime_type, media.data) for media in response.choices[0].media] == [("image/png", b"pixels")]
    image = {"format": "png", "source": {"bytes": PIXELS}, "error": {"message": "Half of it."}}
    assert sent(kit, response.message) == [{"image": image}]


@pytest.mark.parametrize("kind", ["image", "audio", "document", "video"])
def test_files_of_the_response_are_media(kit, kind):
    """Once each."""
    value = {"format": "mp4", "name": "a", "source": {"bytes": PIXELS}}
    events = kit.events(kit.plain({kind: value}), streamed=False)
    assert [event.data for event in events if isinstance(event, MediaDelta)] == [b"pixels"]


def test_whole_input_in_the_start_of_a_call(kit):
    """Pieces, if some follow, replace it."""
    call = {"toolUseId": "c", "name": "rake", "input": {"a": 1}}
    for deltas, arguments in (([], {"a": 1}), ([kit.delta(0, toolUse={"input": '{"b":2}'})], {"b": 2})):
        body = kit.stream(kit.start(0, toolUse=call), *deltas, kit.stop(0), ("messageStop", {"stopReason": "tool_use"}))
        (found,) = kit.replay_body(body).response.tool_calls
        assert (found.arguments, found.ready) == (arguments, True)


def test_models_that_reject_thinking_do_not_get_it_back(kit, received):
    """They sign none."""
    message = received(TURNS["thinking without a signature"]).message
    assert sent(kit, message, model="us.deepseek.r1-v1:0") == [{"text": "Oak."}]


def test_turn_of_another_provider_is_reduced_to_its_content(kit):
    """Signatures and further fields are that provider's."""
    parts = (Reasoning(text="Hm.", signature="s"), Text("Oak.", extra={"annotations": [1]}))
    assert sent(kit, Message(role="assistant", content=parts, provider="anthropic")) == [{"text": "Oak."}]


@pytest.mark.parametrize("block", [{"addedTomorrow": {}}, {"cachePoint": {"type": "default"}}, {"type": "x"}])
def test_received_block_is_sent_whatever_its_kind(kit, block):
    """Only a part written by hand can be meant for another dialect."""
    assert sent(kit, Message(role="assistant", content=(RawPart(block),), provider="bedrock")) == [block]


# What the sources support, and the facts beside the content


@pytest.mark.parametrize("way", ["streamed", "plain"])
def test_citations_name_the_part_that_they_support(received, way):
    """A source supports the whole of its block."""
    choice = received([{"text": "A"}, *TURNS["text with citations"]], way).choices[0]
    assert [(cited.source, cited.part, cited.start) for cited in choice.cited] == [
        (WEB, 1, None),
        (PAGE, 1, None),
        (PAGE, 3, None),
    ]


FACTS = {
    "trace": {"guardrail": {"actionReason": "Guarded."}},
    "metrics": {"latencyMs": 12},
    "performanceConfig": {"latency": "optimized"},
    "serviceTier": {"type": "flex"},
    "additionalModelResponseFields": {"stop_sequence": "END"},
    "addedTomorrow": {"x": 1},
}


@pytest.mark.parametrize("place", ["messageStart", "messageStop", "metadata", "plain"])
@pytest.mark.parametrize("name", FACTS)
def test_facts_beside_the_content_are_details(kit, name, place):
    """Wherever they are; fields without a value, and the padding of frames, are none."""
    fact = {name: FACTS[name]}
    if place == "plain":
        whole = {"output": {"message": {"role": "assistant", "content": []}}, "stopReason": "end_turn"}
        body = json.dumps({**dict.fromkeys(FACTS), **whole, **fact}).encode()
    else:
        fields = {"messageStart": {"role": "assistant"}, "messageStop": {"stopReason": "end_turn"}, "metadata": {}}
        body = kit.stream(
            *((each, {**given, "p": "abc", **(fact if each == place else {})}) for each, given in fields.items())
        )
    assert kit.replay_body(body, streamed=place != "plain").response.details == fact


# Values that are not as the API reference has them


def test_values_of_other_types_are_converted(kit):
    """Nothing is lost for an index that is text, a null in place of an object, or a text that is a number."""
    body = kit.stream(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": "0", "delta": {"text": "Oak"}}),
        ("contentBlockDelta", {"contentBlockIndex": 0.0, "delta": {"text": 5}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": None, "citation": None}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": []}),
        ("contentBlockDelta", []),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": []}),
        ("contentBlockStop", {}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": [], "metrics": None}),
    )
    response, _, _events, error = kit.replay_body(body)
    assert (error, response.content) == (None, "Oak5")


def _thrown(kit, name, payload, **headers):
    return kit.frame(payload, **{"message_type": "event", **headers, "event_type": name})


@pytest.mark.parametrize(
    "spelled",
    [
        lambda kit: kit.thrown("throttlingException", {"message": "Storm."}),
        lambda kit: kit.frame({"message": "Storm."}, exception_type="throttlingException"),
        lambda kit: kit.frame("", message_type="error", error_code="Storm", error_message="Storm."),
        lambda kit: _thrown(kit, "throttlingException", {"message": "Storm."}),
        lambda kit: _thrown(kit, "error", {"Message": "Storm."}),
        lambda kit: _thrown(kit, "chunk", {"throttlingException": {"message": "Storm."}}),
        lambda kit: _thrown(kit, "chunk", {"__type": "garden#Storm", "message": "Storm."}),
        lambda kit: _thrown(kit, "chunk", {"error": {"message": "Storm."}}),
    ],
    ids=["exception", "exception without a type", "error", "event", "event error", "wrapped", "typed", "object"],
)
def test_error_inside_of_a_stream_in_any_spelling(kit, spelled):
    """It fails the response, whatever follows; the content before it is kept."""
    rest = kit.stream(("messageStop", {"stopReason": "end_turn"}))
    response, _, _events, error = kit.replay_body(kit.stream(kit.delta(0, text="Oak")) + spelled(kit) + rest)
    assert isinstance(error, PolyglotError)
    assert "Storm." in str(error)
    assert response.content == "Oak"


@pytest.mark.parametrize("payload", [[], None, "x", 7, {}])
def test_plain_response_without_a_message_fails(kit, payload):
    """It is neither a response nor an error of AWS."""
    assert isinstance(kit.replay_body(json.dumps(payload).encode(), streamed=False).error, PolyglotError)
