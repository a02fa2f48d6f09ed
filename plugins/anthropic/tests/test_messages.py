"""Encoding of a conversation as turns and blocks."""

from __future__ import annotations

import base64
import json

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    Message,
    RawPart,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)

PIXEL = b"\x89PNG pixel"


def user(*parts):
    return Message(role="user", content=parts)


def assistant(*parts):
    return Message(role="assistant", content=parts)


def test_text_is_a_turn_of_one_block(body):
    """A prompt becomes one user turn."""
    assert body("Hello")["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def test_system_and_developer_turns_become_the_system_prompt(body):
    """In their order; one after the first turn is an error, or is moved if the request allows that."""
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "developer", "content": "Be kind."},
    ]
    with pytest.raises(RequestError, match="a system message after the first turn"):
        body(turns)
    said = body(turns, unsupported="drop")
    assert said["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    assert [turn["role"] for turn in said["messages"]] == ["user"]
    assert "system" not in body("Hi")


def test_system_turn_holds_text_only(body):
    """An image in a system turn is an error, or is dropped if the request allows that."""
    turns = [Message(role="system", content=(Text("Look."), Image(data=PIXEL))), Message(role="user", content="Hi")]
    with pytest.raises(RequestError, match="part of type 'image' in a system turn"):
        body(turns)
    assert body(turns, unsupported="drop")["system"] == [{"type": "text", "text": "Look."}]


def test_consecutive_turns_of_one_role_are_merged(body):
    """Users' turns and tool results both have the user's role."""
    said = body(
        [
            user(Text("One")),
            user(Text("Two")),
            assistant(ToolCall(name="a", id="t1"), ToolCall(name="b", id="t2")),
            Message.tool_result("t1", "first"),
            Message.tool_result("t2", "second"),
            user(Text("Three")),
        ]
    )
    assert [(turn["role"], len(turn["content"])) for turn in said["messages"]] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 3),
    ]


def test_empty_turns_and_texts_are_omitted(body):
    """The API rejects both, and they hold nothing."""
    said = body([user(Text("Hi"), Text("")), assistant(), user(Text("Ho"))])
    assert said["messages"] == [{"role": "user", "content": [{"type": "text", "text": t} for t in ("Hi", "Ho")]}]


MARKS = {
    "default": (True, {"type": "ephemeral"}),
    "an hour": ("1h", {"type": "ephemeral", "ttl": "1h"}),
    "five minutes": ("5m", {"type": "ephemeral", "ttl": "5m"}),
}
MARKED = {
    "text": lambda cache: user(Text("x", cache=cache)),
    "image": lambda cache: user(Image(url="https://example.com/a.png", cache=cache)),
    "document": lambda cache: user(Document(data=b"%PDF", cache=cache)),
    "result": lambda cache: Message(role="tool", content=(ToolResult(id="t", content=(Text("x", cache=cache),)),)),
}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("kind", MARKED)
def test_cache_markers(body, kind, mark):
    """The lifetime is sent only if it is specified. Blocks inside of a result cannot be marked themselves."""
    cache, expected = MARKS[mark]
    (block,) = body([MARKED[kind](cache)])["messages"][0]["content"]
    assert block.pop("cache_control") == expected
    assert [block] == body([MARKED[kind](False)])["messages"][0]["content"]


def test_cache_marker_of_the_system_prompt(body):
    """Only the marked text has it."""
    texts = (Text("Long.", cache="1h"), Text("Short."))
    assert body([Message(role="system", content=texts), user(Text("Hi"))])["system"] == [
        {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "Short."},
    ]


def test_longest_cache_marker_of_a_result_counts(body):
    """A result has one marker."""
    result = ToolResult(id="t", content=(Text("a", cache=True), Text("b", cache="1h"), Text("c", cache="5m")))
    (block,) = body([Message(role="tool", content=(result,))])["messages"][0]["content"]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert block["content"] == [{"type": "text", "text": text} for text in "abc"]


@pytest.mark.parametrize(
    "part",
    [
        Text("x", extra={"cache_control": {"type": "ephemeral"}}),
        Image(url="https://example.com/a.png", extra={"colour": "red"}),
        Document(data=b"%PDF", extra={"citations": {"enabled": True}, "context": "A plan."}),
        Reasoning(text="Hm.", signature="s", extra={"colour": "red"}),
        Reasoning(redacted="x", extra={"colour": "red"}),
        ToolCall(name="a", id="t", extra={"caller": {"type": "direct"}}),
    ],
    ids=lambda part: type(part).__name__,
)
def test_further_fields_of_a_part_are_sent(body, part):
    """They are fields of the block."""
    (block,) = body([user(part)])["messages"][0]["content"]
    assert {name: block[name] for name in part.extra} == part.extra


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (Image(url="https://example.com/a.png"), {"type": "url", "url": "https://example.com/a.png"}),
        (Image(url="data:image/gif;base64,R0lG"), {"type": "base64", "media_type": "image/gif", "data": "R0lG"}),
        (
            Image(data=PIXEL, mime_type="image/webp"),
            {"type": "base64", "media_type": "image/webp", "data": base64.b64encode(PIXEL).decode()},
        ),
        (Document(url="https://example.com/a.pdf"), {"type": "url", "url": "https://example.com/a.pdf"}),
        (Document(file_id="file_1"), {"type": "file", "file_id": "file_1"}),
        (Document(data=b"%PDF"), {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}),
        (
            Document(data="Öl".encode(), mime_type="text/plain"),
            {"type": "text", "media_type": "text/plain", "data": "Öl"},
        ),
        (
            Document(data=b"# Oil", mime_type="text/markdown"),
            {"type": "text", "media_type": "text/plain", "data": "# Oil"},
        ),
    ],
)
def test_sources_of_images_and_documents(body, part, source):
    """A URL, a file of the provider, or inline bytes; text is not encoded."""
    kind = type(part).__name__.lower()
    assert body([user(part)])["messages"][0]["content"] == [{"type": kind, "source": source}]


def test_document_name_becomes_its_title(body):
    """The model is shown the title."""
    assert body([user(Document(data=b"%PDF", name="plan.pdf"))])["messages"][0]["content"][0]["title"] == "plan.pdf"


def test_thinking_is_sent_back_unchanged(body):
    """With its signature, with an empty text if the text was withheld, or encrypted."""
    turn = assistant(
        Reasoning(text="Hm.", signature="s1"), Reasoning(text="", signature="s2"), Reasoning(redacted="xyz")
    )
    assert body(["Hi", turn])["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
        {"type": "thinking", "thinking": "", "signature": "s2"},
        {"type": "redacted_thinking", "data": "xyz"},
    ]


def test_unsigned_thinking(body):
    """Thinking of another provider's model is dropped; an endpoint that sends unsigned thinking gets it back."""
    turns = ["Hi", assistant(Reasoning(text="Hm."), Text("Yes."))]
    assert body(turns)["messages"][1]["content"] == [{"type": "text", "text": "Yes."}]
    there = body(turns, connection={"facts": {"unsigned_thinking": True}})
    assert there["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm."}


def test_tool_call_arguments_are_an_object(body):
    """Arguments are parsed; missing ones are sent as an empty object."""
    turn = assistant(
        ToolCall(name="weather", id="t1", arguments_raw='{"city": "Oslo"}'), ToolCall(name="time", id="t2")
    )
    assert body(["Hi", turn])["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "t2", "name": "time", "input": {}},
    ]


@pytest.mark.parametrize("arguments", ['{"ci', "[1]", '"Oslo"', "7"], ids=["cut", "list", "string", "number"])
def test_tool_call_with_invalid_arguments(body, arguments):
    """The API accepts objects only, so the text goes into one."""
    turns = ["Hi", assistant(ToolCall(name="weather", id="t", arguments_raw=arguments))]
    assert body(turns)["messages"][1]["content"][0]["input"] == {"INVALID_JSON": arguments}


def test_tool_call_without_a_name(body):
    """The API rejects an empty name, and the result needs its tool call."""
    said = body(["Hi", assistant(ToolCall(name="", id="t")), Message.tool_result("t", "no tool", error=True)])
    assert said["messages"][1]["content"][0]["name"] == "unnamed_tool"


def test_failed_tool_result(body):
    """`is_error` is sent only for a failure; an empty result is a result."""
    said = body([Message.tool_result("t1", "no network", error=True), Message.tool_result("t2", "")])
    assert said["messages"][0]["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "no network", "is_error": True},
        {"type": "tool_result", "tool_use_id": "t2", "content": ""},
    ]


def test_result_with_images(body):
    """Parts of a result are blocks inside of its block."""
    said = body([Message.tool_result("t", (Text("Here:"), Image(url="https://example.com/a.png")))])
    assert said["messages"][0]["content"][0]["content"] == [
        {"type": "text", "text": "Here:"},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]


def test_ids_of_other_providers_are_normalized(body):
    """The API accepts letters, digits, - and _ only; tool call and result are changed alike."""
    said = body([assistant(ToolCall(name="a", id="functions.a:0")), Message.tool_result("functions.a:0", "x")])
    call, result = said["messages"][0]["content"][0], said["messages"][1]["content"][0]
    assert call["id"] == result["tool_use_id"] == "functions_a_0"


def test_missing_ids_are_numbered(body):
    """Each result gets the id of a tool call: of its tool's name if it has one, else of the oldest."""
    said = body(
        [
            assistant(ToolCall(name="a"), ToolCall(name="b"), ToolCall(name="b")),
            Message(
                role="tool", content=(ToolResult(id=None, content="1", name="b"), ToolResult(id=None, content="2"))
            ),
            Message.tool_result(None, "3"),
        ]
    )
    calls, results = (turn["content"] for turn in said["messages"])
    assert [call["id"] for call in calls] == ["call_1", "call_2", "call_3"]
    assert [result["tool_use_id"] for result in results] == ["call_2", "call_1", "call_3"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {"type": "fallback", "from": {"model": "claude-a"}, "to": {"model": "claude-b"}},
        {"type": "compaction", "content": "So far."},
        {"type": "added_tomorrow", "x": 1},
    ],
    ids=lambda block: block["type"],
)
def test_raw_blocks_pass_unchanged(body, block):
    """A dict that is one of the dialect's blocks, of whatever type, is not changed."""
    assert body([{"role": "user", "content": [block]}])["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (Audio(data=b"RIFF"), "Audio"),
        *(
            (RawPart({"type": kind}), f"'{kind}'")
            for kind in ("image_url", "input_audio", "input_video", "output_text", "file", "function_call", "refusal")
        ),
        (RawPart({"inlineData": {}}), "'None'"),
        (Document(data=b"PK", mime_type="application/zip"), "a document of type application/zip"),
    ],
)
def test_unsupported_parts(body, part, named):
    """The error names the part; `drop` drops it, and `warn` reports it."""
    with pytest.raises(RequestError, match=named):
        body([user(Text("Hi"), part)])
    left = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert body([user(Text("Hi"), part)], unsupported="drop")["messages"] == left
    with pytest.warns(UserWarning, match=named):
        assert body([user(Text("Hi"), part)], unsupported="warn")["messages"] == left


@pytest.mark.parametrize(
    ("turn", "named"),
    [
        ({"role": "user", "content": "Hi", "name": "Ada"}, "name of a speaker"),
        ({"role": "user", "content": "Hi", "mood": "good"}, "field 'mood'"),
        ({"role": "narrator", "content": "Hi"}, "role 'narrator'"),
    ],
)
def test_unsupported_fields_of_a_turn(body, turn, named):
    """Turns have a role and content, and nothing else."""
    with pytest.raises(RequestError, match=named):
        body([turn])


def test_empty_fields_of_foreign_messages_are_ignored(body):
    """Dumps of other providers' clients have fields that hold nothing."""
    dumped = {"role": "assistant", "content": "Yes.", "refusal": None, "annotations": [], "tool_calls": None}
    assert body(["Hi", dumped])["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Yes."}],
    }


def test_response_can_be_sent_back(body, decode, bodies):
    """`response.message` holds what the API expects: thinking with signatures, text and tool calls."""
    plain = json.loads((bodies / "tools.json").read_text("utf-8"))
    message = decode("tools.sse").response.message
    assert body(["Hi", message])["messages"][1]["content"] == plain["content"]
