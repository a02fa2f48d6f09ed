"""A turn goes back as it was received: block for block, streamed and plain, whole and interrupted."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import PolyglotError, RequestError
from polyglot_core.plugin import Message, RawPart, Reasoning, Text

WEB = {"type": "web_search_result_location", "url": "https://example.com/tides", "encrypted_index": "SURY"}
PAGE = {"type": "page_location", "document_index": 0, "start_page_number": 1, "end_page_number": 2}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "tides"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "title": "T"}],
}
RUN_BY_CODE = {"type": "code_execution_20260120", "tool_id": "srv_1"}

TURNS = {
    "text": [{"type": "text", "text": "Low tide."}],
    "texts in a row": [{"type": "text", "text": "Low "}, {"type": "text", "text": "tide."}],
    "text with citations": [
        {"type": "text", "text": "Twice a day", "citations": [WEB, PAGE]},
        {"type": "text", "text": "."},
        {"type": "text", "text": " Mostly.", "citations": []},
    ],
    "text with an unknown field": [{"type": "text", "text": "Low.", "added_tomorrow": {"x": [1, None]}}],
    "thinking": [{"type": "thinking", "thinking": "Moon.", "signature": "c2ln"}, {"type": "text", "text": "Low."}],
    "thinking that was withheld": [
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        {"type": "text", "text": "Low."},
    ],
    "thinking without a signature": [{"type": "thinking", "thinking": "Moon."}, {"type": "text", "text": "Low."}],
    "thinking with an unknown field": [
        {"type": "thinking", "thinking": "Moon.", "signature": "c2ln", "added_tomorrow": 1},
        {"type": "text", "text": "Low."},
    ],
    "encrypted thinking": [{"type": "redacted_thinking", "data": "ZW5j"}, {"type": "text", "text": "Low."}],
    "thinking between calls": [
        {"type": "thinking", "thinking": "A", "signature": "YQ=="},
        {"type": "text", "text": "1"},
        {"type": "thinking", "thinking": "B", "signature": "Yg=="},
        {"type": "redacted_thinking", "data": "Yw=="},
        {"type": "tool_use", "id": "toolu_1", "name": "tides", "input": {}},
    ],
    "tool call": [{"type": "tool_use", "id": "toolu_1", "name": "tides", "input": {"place": "Oslo", "days": [1, 2.5]}}],
    "tool call with a caller": [
        {"type": "tool_use", "id": "toolu_1", "name": "tides", "input": {"a": 1}, "caller": RUN_BY_CODE, "new": None}
    ],
    "tool calls in a row": [
        {"type": "tool_use", "id": "toolu_1", "name": "tides", "input": {}},
        {"type": "tool_use", "id": "toolu_2", "name": "tides", "input": {}},
    ],
    "server tool": [{"type": "text", "text": "I look."}, SEARCH, FOUND, {"type": "text", "text": "Low."}],
    "server tool without its result yet": [{"type": "text", "text": "I look."}, SEARCH],
    "server tool with a caller": [{**SEARCH, "caller": RUN_BY_CODE}, {**FOUND, "caller": RUN_BY_CODE}],
    "code": [
        {"type": "server_tool_use", "id": "srv_2", "name": "bash_code_execution", "input": {"command": "ls"}},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "srv_2", "content": {"stdout": "a"}},
    ],
    "mcp": [
        {"type": "mcp_tool_use", "id": "mcp_1", "name": "echo", "server_name": "s", "input": {"x": 1}},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "mcp_1",
            "is_error": False,
            "content": [{"type": "text", "text": "1"}],
        },
    ],
    "compaction": [{"type": "compaction", "content": "They spoke of tides."}, {"type": "text", "text": "Low."}],
    "compaction that failed": [{"type": "compaction", "content": None}, {"type": "text", "text": "Low."}],
    "container upload": [{"type": "container_upload", "file_id": "file_1"}, {"type": "text", "text": "Low."}],
    "fallback": [
        {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}},
        {"type": "text", "text": "Low."},
    ],
    "unknown block": [{"type": "added_tomorrow", "x": {"y": [1, None]}}, {"type": "text", "text": "Low."}],
}

DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}


def event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def halves(text):
    return [text[: len(text) // 2], text[len(text) // 2 :]]


def pieces_of(block):
    """Return the block as it is opened, and the deltas that complete it."""
    kind = block["type"]
    if kind == "text":
        citations = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        start = {**block, "text": "", **({"citations": []} if "citations" in block else {})}
        return start, [*({"type": "text_delta", "text": text} for text in halves(block["text"])), *citations]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": text} for text in halves(block["thinking"])]
        signed = [{"type": "signature_delta", "signature": block["signature"]}] if "signature" in block else []
        return {**block, "thinking": "", **({"signature": ""} if signed else {})}, [*deltas, *signed]
    if kind.endswith("tool_use"):
        texts = ["", *(halves(json.dumps(block["input"], separators=(",", ":"))) if block["input"] else [])]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text} for text in texts]
    if kind == "compaction":
        return {**block, "content": None}, [{"type": "compaction_delta", "content": block["content"]}]
    if kind == "added_tomorrow":
        return {"type": kind}, [{"type": "added_delta", "x": block["x"]}]
    return block, []


def stream_events(content, reason="end_turn", *, stops=True, indexes=True):
    """Return the events of a message with this content."""
    yield event("message_start", message={"id": "msg_1", "model": "claude-a", "content": [], "usage": {}})
    for index, block in enumerate(content):
        place = {"index": index} if indexes else {}
        start, deltas = pieces_of(block)
        yield event("content_block_start", content_block=start, **place)
        yield from (event("content_block_delta", delta=delta, **place) for delta in deltas)
        if stops:
            yield event("content_block_stop", **place)
    yield event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": 3})
    yield event("message_stop")


def plain(content, reason="end_turn", **fields):
    message = {"type": "message", "id": "msg_1", "model": "claude-a", "content": content, "stop_reason": reason}
    return json.dumps({**message, **fields}).encode()


WAYS = {
    "streamed": lambda content: (b"".join(stream_events(content)), True),
    "streamed without stops": lambda content: (b"".join(stream_events(content, stops=False)), True),
    "streamed without indexes": lambda content: (b"".join(stream_events(content, indexes=False)), True),
    "streamed with a done mark": lambda content: (
        b"".join([*list(stream_events(content, stops=False))[:-1], b"data: [DONE]\n\n"]),
        True,
    ),
    "at once in the start": lambda content: (
        event("message_start", message={"id": "msg_1", "content": content}) + event("message_stop"),
        True,
    ),
    "plain": lambda content: (plain(content), False),
}


def without_nulls(value):
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", TURNS)
def test_turn_goes_back_as_it_was_received(decode, body, kind, way):
    """Every block, every field, in order."""
    data, streamed = WAYS[way](TURNS[kind])
    decoded = decode(data, stream=streamed)
    assert decoded.error is None
    assert without_nulls(body(["Hi", decoded.response.message])["messages"][1]["content"]) == without_nulls(TURNS[kind])


@pytest.mark.parametrize("kind", TURNS)
def test_streamed_and_plain_response_are_equal(decode, kind):
    """In all but the usage."""
    both = [decode(*way(TURNS[kind])[:1], stream=way(TURNS[kind])[1]) for way in (WAYS["streamed"], WAYS["plain"])]
    first, second = (
        {name: value for name, value in each.response.to_dict().items() if name not in {"timing", "usage"}}
        for each in both
    )
    if kind == "text with an unknown field":  # it has no pieces
        assert without_nulls(first) == without_nulls(second)
    else:
        assert first == second


@pytest.mark.parametrize("kind", TURNS)
def test_turn_survives_storage(decode, body, kind):
    """A message that was written as JSON and read again is sent as before."""
    message = decode(plain(TURNS[kind]), stream=False).response.message
    stored = Message.from_dict(json.loads(json.dumps(message.to_dict())))
    assert body(["Hi", stored]) == body(["Hi", message])


@pytest.mark.parametrize("kind", TURNS)
def test_interrupted_turn_goes_back_in_whole_blocks(decode, body, kind):
    """Wherever it ends: whole blocks as they were received, text up to the end; no call without its result."""
    events = list(stream_events(TURNS[kind]))
    for length in range(len(events)):
        message = decode(b"".join(events[:length])).response.message
        assert not message.complete
        turns = body(["Hi", message])["messages"][1:]
        blocks = turns[0]["content"] if turns else []
        results = {block.get("tool_use_id") for block in blocks}
        for block in blocks:
            whole = any(without_nulls(block) == without_nulls(each) for each in TURNS[kind])
            text = block["type"] == "text" and any(block["text"] in each.get("text", "") for each in TURNS[kind])
            assert whole or text, (length, block)
            assert block["type"] not in {"server_tool_use", "mcp_tool_use"} or block["id"] in results
            assert block["type"] != "thinking" or "signature" in block


def test_empty_texts_are_left_out(decode, body):
    """The API sends them and rejects them."""
    content = [{"type": "text", "text": ""}, {"type": "text", "text": "Low."}, {"type": "text", "text": ""}]
    for data, streamed in (WAYS["streamed"](content), WAYS["plain"](content)):
        message = decode(data, stream=streamed).response.message
        assert body(["Hi", message])["messages"][1]["content"] == [content[1]]


def test_paused_turn_and_its_continuation_are_one_turn(decode, body):
    """The paused turn is sent back alone first, then with what followed it."""
    first = decode(b"".join(stream_events([SEARCH], "pause_turn"))).response
    assert (first.finish_reason, first.finish_reason_raw, first.notes) == ("other", "pause_turn", ())
    assert body(["Hi", first.message])["messages"][-1] == {"role": "assistant", "content": [SEARCH]}
    second = decode(plain([FOUND, {"type": "text", "text": "Low."}]), stream=False).response
    turns = body(["Hi", first.message, second.message, "Thanks"])["messages"]
    assert turns[1]["content"] == [SEARCH, FOUND, {"type": "text", "text": "Low."}]


def test_blocks_that_overlap_keep_the_order_in_which_they_began(decode, body):
    """A block takes its position when it opens, not when it closes."""
    opened = [event("content_block_start", index=i, content_block=block) for i, block in enumerate((SEARCH, FOUND))]
    text = event("content_block_start", index=2, content_block={"type": "text", "text": "Low."})
    closed = [event("content_block_stop", index=index) for index in (2, 1, 0)]
    start, *_, last = stream_events([])
    message = decode(b"".join([start, *opened, text, *closed, last])).response.message
    assert body(["Hi", message])["messages"][1]["content"] == [SEARCH, FOUND, {"type": "text", "text": "Low."}]


@pytest.mark.parametrize(
    ("start", "deltas", "whole"),
    [
        ({}, [{"x": "a"}, {"x": "b"}], {"x": "ab"}),
        ({"x": "a"}, [{"x": "b"}, {"x": "c"}], {"x": "abc"}),
        ({"x": None}, [{"x": "ab"}], {"x": "ab"}),
        ({"x": "ab"}, [{"x": "ab"}], {"x": "ab"}),
        ({"x": [1]}, [{"x": [2]}, {"x": [3]}], {"x": [1, 2, 3]}),
        ({"x": {"a": 1}}, [{"x": {"b": 2}}, {"y": 1}], {"x": {"a": 1, "b": 2}, "y": 1}),
        ({"x": 1}, [{"x": 2}], {"x": 2}),
        ({"text": ""}, [{"type": "text_delta", "text": "a"}, {"type": "text_delta", "text": "b"}], {"text": "ab"}),
        ({"input": {}}, [{"partial_json": '{"a":'}, {"partial_json": "1}"}], {"input": {"a": 1}}),
    ],
)
def test_deltas_are_merged_into_a_block_of_an_unknown_type(decode, body, start, deltas, whole):
    """Texts and lists are appended, objects are merged."""
    first, *_, last = stream_events([])
    said = [event("content_block_start", index=0, content_block={"type": "new", **start})]
    said += [event("content_block_delta", index=0, delta={"type": "new_delta", **delta}) for delta in deltas]
    decoded = decode(b"".join([first, *said, event("content_block_stop", index=0), last]))
    assert body(["Hi", decoded.response.message])["messages"][1]["content"] == [{"type": "new", **whole}]
    assert decoded.response.content == ""


@pytest.mark.parametrize("kind", ["text", "thinking", "tool_use"])
def test_deltas_of_unknown_types_are_merged_into_known_blocks(decode, body, kind):
    """Their fields go back with the block."""
    block = next(block for turn in TURNS.values() for block in turn if block["type"] == kind)
    start, deltas = pieces_of(block)
    first, *_, last = stream_events([])
    said = [event("content_block_start", index=0, content_block=start)]
    said += [event("content_block_delta", index=0, delta=delta) for delta in [*deltas, {"type": "new_delta", "x": [1]}]]
    for stop in ([event("content_block_stop", index=0)], []):
        text = [event("content_block_start", index=1, content_block={"type": "text", "text": "."})]
        message = decode(b"".join([first, *said, *stop, *text, last])).response.message
        assert body(["Hi", message])["messages"][1]["content"][0] == {**block, "x": [1]}


def test_broken_input_of_a_server_tool_goes_back_as_an_object(decode, body):
    """As that of a tool call."""
    first, *_, last = stream_events([])
    said = [
        event("content_block_start", index=0, content_block={**SEARCH, "input": {}}),
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"que'}),
    ]
    message = decode(b"".join([first, *said, last])).response.message
    assert body(["Hi", message])["messages"][1]["content"] == [{**SEARCH, "input": {"INVALID_JSON": '{"que'}}]


# Another provider's turn, and parts written by hand


@pytest.mark.parametrize("kind", ["image_url", "output_text", "web_search_call"])
def test_received_block_is_sent_whatever_its_type(body, kind):
    """Only a part written by hand can be meant for another dialect."""
    turn = Message(role="assistant", content=(RawPart({"type": kind, "x": 1}),), provider="anthropic")
    assert body(["Hi", turn])["messages"][1]["content"] == [{"type": kind, "x": 1}]


def test_turn_of_another_provider_is_reduced_to_its_content(body):
    """Signatures and further fields are that provider's."""
    parts = (Reasoning(text="Moon.", signature="s"), Text("Low.", extra={"annotations": [1]}))
    turn = Message(role="assistant", content=parts, provider="openai-responses")
    assert body(["Hi", turn])["messages"][1]["content"] == [{"type": "text", "text": "Low."}]
    raw = Message(role="assistant", content=(*parts, RawPart({"type": "web_search_call"})), provider="openai-responses")
    with pytest.raises(RequestError, match="web_search_call"):
        body(["Hi", raw])


# Who generated the turn, what the sources support, and the facts beside the content


@pytest.mark.parametrize("way", ["streamed", "plain"])
def test_model_is_the_one_that_generated_the_response(decode, way):
    """Of several fallbacks the last one did; the id stays."""
    chain = [
        {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}},
        {"type": "fallback", "from": {"model": "claude-b"}, "to": {"model": "claude-c"}},
    ]
    data, streamed = WAYS[way]([*chain, {"type": "text", "text": "Low."}])
    response = decode(data, stream=streamed).response
    assert (response.id, response.model) == ("msg_1", "claude-c")


@pytest.mark.parametrize("way", ["streamed", "plain"])
def test_citations_name_the_part_that_they_support(decode, way):
    """A source supports the whole of its block."""
    content = [{"type": "text", "text": "A"}, {"type": "text", "text": "B", "citations": [WEB, PAGE]}]
    data, streamed = WAYS[way](content)
    choice = decode(data, stream=streamed).response.choices[0]
    assert choice.citations == (WEB, PAGE)
    assert [(cited.source, cited.part, cited.start, cited.end) for cited in choice.cited] == [
        (WEB, 1, None, None),
        (PAGE, 1, None, None),
    ]


FACTS = {
    "container": {"id": "container_1", "expires_at": "2030-01-01T00:00:00Z"},
    "stop_details": {"type": "refusal", "category": "cyber", "explanation": None},
    "stop_sequence": "END",
    "context_management": {"applied_edits": [{"type": "clear_tool_uses_20250919"}]},
    "added_tomorrow": {"x": 1},
}


@pytest.mark.parametrize("place", ["start", "delta", "beside the delta", "plain"])
@pytest.mark.parametrize("name", FACTS)
def test_facts_beside_the_content_are_details(decode, name, place):
    """Wherever they are; fields without a value are none."""
    fact, empty = {name: FACTS[name]}, dict.fromkeys(FACTS)
    start = event("message_start", message={"id": "m", **empty, **(fact if place == "start" else {})})
    change = {"stop_reason": "end_turn", **empty, **(fact if place == "delta" else {})}
    beside = fact if place == "beside the delta" else {}
    stream = start + event("message_delta", delta=change, **beside) + event("message_stop")
    whole = plain([], **{**empty, **fact})
    response = (decode(whole, stream=False) if place == "plain" else decode(stream)).response
    assert response.details == fact


# Values that are not as the API reference has them


def test_values_of_other_types_are_converted(decode):
    """Nothing is lost for an index that is text, a null in place of an object, or a content that is text."""
    stream = [
        event("message_start", message={"id": 7, "model": "m", "content": None, "usage": None}),
        event("content_block_start", index="0", content_block={"type": "text", "text": ""}),
        event("content_block_delta", index="0", delta={"type": "text_delta", "text": "Low"}),
        event("content_block_delta", index=0, delta=None),
        event("content_block_delta", index=0.0, delta={"type": "text_delta", "text": " tide"}),
        event("content_block_delta", index=0, delta={"text": " at"}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": 5}),
        event("content_block_stop", index="0"),
        *(f"data: {value}\n\n".encode() for value in ("null", '""', "[]", "7")),
        event("message_delta", delta=[], usage=[]),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        event("message_stop"),
    ]
    decoded = decode(b"".join(stream))
    assert (decoded.error, decoded.response.content, decoded.response.id) == (None, "Low tide at5", "7")
    for content in ("Low", ["Low"], [{"text": "Low"}]):
        assert decode(plain(content), stream=False).response.content == "Low"


@pytest.mark.parametrize(
    "odd",
    [
        b"event: ping\ndata: 2030-01-01 00:00:00\n\n",
        b"event: vendor.progress\ndata: half\n\n",
        b'event: vendor.progress\ndata: {"status": "searching", "message": "Please wait"}\n\n',
        event("added_tomorrow", index=0, delta={"type": "text_delta", "text": "no"}),
    ],
)
def test_events_of_others_are_ignored(decode, odd):
    """Named events that are not the API's own mean nothing."""
    first, *rest = stream_events([{"type": "text", "text": "Low."}])
    decoded = decode(odd + first + odd + b"".join(rest))
    assert (decoded.error, decoded.response.content) == (None, "Low.")


@pytest.mark.parametrize(
    "spelled",
    [
        b'event: error\ndata: {"type": "error", "error": {"type": "api_error", "message": "Storm."}}\n\n',
        b'event: error\ndata: {"error": {"message": "Storm."}}\n\n',
        b'event: error\ndata: {"code": "E1", "message": "Storm."}\n\n',
        b'event: error\ndata: {"type": "message_stop", "message": "Storm."}\n\n',
        b'event: error\ndata: "Storm."\n\n',
        b"event: error\ndata: Storm.\n\n",
        b'data: {"type": "error", "error": {"message": "Storm."}}\n\n',
        b'data: {"error": {"message": "Storm."}}\n\n',
        b'data: {"error": "Storm."}\n\n',
        b'data: {"message": "Storm.", "code": 500}\n\n',
        b'data: {"detail": "Storm."}\n\n',
        b'event: message\ndata: {"error": "Storm."}\n\n',
        b'event: message\ndata: {"message": "Storm."}\n\n',
        b'data: "{\\"error\\": \\"Storm.\\"}"\n\n',
        b'event: message\ndata: {"type": "response.failed", "error": {"message": "Storm."}}\n\n',
    ],
)
def test_error_inside_of_a_stream_in_any_spelling(decode, spelled):
    """It fails the response, whatever follows; the content before it is kept."""
    first, *rest = stream_events([{"type": "text", "text": "Low tide."}])
    decoded = decode(first + b"".join(rest[:2]) + spelled + b"".join(rest[2:]))
    assert isinstance(decoded.error, PolyglotError)
    assert "Storm." in str(decoded.error)
    assert decoded.error.partial.content == "Low "


@pytest.mark.parametrize("payload", [{"message": "Forbidden"}, {"detail": "Forbidden"}, {"error": "Forbidden"}])
def test_plain_response_that_is_an_error_fails(decode, payload):
    """It is no empty response."""
    assert "Forbidden" in str(decode(json.dumps(payload).encode(), stream=False).error)
