"""Encoding of options, tools, formats, and messages."""

from __future__ import annotations

import base64
import re

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    JSONSchema,
    Message,
    RawPart,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

OPTIONS = {
    "max_tokens": (5, {"max_tokens": 5}),
    "temperature": (0.5, {"temperature": 0.5}),
    "top_p": (0.9, {"top_p": 0.9}),
    "stop": ("END", {"stop": "END"}),
    "seed": (7, {"random_seed": 7}),
    "presence_penalty": (0.1, {"presence_penalty": 0.1}),
    "frequency_penalty": (0.2, {"frequency_penalty": 0.2}),
    "n": (2, {"n": 2}),
    "reasoning_effort": ("high", {"reasoning_effort": "high"}),
    "reasoning_budget": (0, {"reasoning_effort": "none"}),
    "metadata": ({"a": "b"}, {"metadata": {"a": "b"}}),
}
SAME = {"model": "garden-1", "messages": [{"role": "user", "content": "Hello"}], "stream": False}


@pytest.mark.parametrize("option", OPTIONS)
def test_option_fields(body, option):
    """Each option becomes its field, and nothing else changes."""
    given, said = OPTIONS[option]
    assert body(options={option: given}) == {**SAME, **said}


@pytest.mark.parametrize(
    ("option", "given"),
    [("top_k", 3), ("logprobs", True), ("top_logprobs", 2), ("service_tier", "flex"), ("user", "u"),
     ("reasoning_budget", 100)],
)  # fmt: skip
def test_unsupported_option(body, option, given):
    """The error names it; it is dropped if the request allows that."""
    with pytest.raises(RequestError, match=option):
        body(options={option: given})
    assert body(options={option: given}, unsupported="drop") == SAME


def test_url_key_and_stream_field(encode):
    """A stream has no `stream_options`, which the API rejects; the driver adds no key."""
    wire = encode(stream=True, connection={"api_key": "test-key", "base_url": "https://garden.test/v1/"})
    assert wire.url == "https://garden.test/v1/chat/completions"
    assert b'"stream":true' in wire.body
    assert b"stream_options" not in wire.body
    assert wire.flush_at_eof
    assert "test-key" not in f"{wire.url}{wire.headers}{wire.body!r}"
    assert encode().url == "https://api.mistral.ai/v1/chat/completions"


def test_agent_has_its_own_path_and_model(encode, body):
    """The model of the request is omitted."""
    extra = {"agent_id": "ag_1"}
    assert encode(extra=extra).url.endswith("/v1/agents/completions")
    assert body(extra=extra) == {"messages": SAME["messages"], "stream": False, **extra}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "any"),
        ("sum", {"type": "function", "function": {"name": "sum"}}),
    ],
)
def test_tools_and_tool_choice(body, choice, said):
    """Tools are functions; a choice is a word or a name."""
    found = body(tools=(Tool("sum", "Adds.", {"type": "object"}, strict=True),), tool_choice=choice,
                 parallel_tool_calls=False)  # fmt: skip
    function = {"name": "sum", "parameters": {"type": "object"}, "description": "Adds.", "strict": True}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert (found["tool_choice"], found["parallel_tool_calls"]) == (said, False)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("text", {"type": "text"}),
        ("json", {"type": "json_object"}),
        (
            JSONSchema({"type": "object"}, "a", strict=True, description="d"),
            {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True, "description": "d"},
            },
        ),
    ],
)
def test_formats(body, shape, said):
    """Any text, any JSON, or JSON of a schema."""
    assert body(response_format=shape)["response_format"] == said


def test_user_parts(body):
    """Text, images, audio and documents are in one list, in their order."""
    parts = [
        Text("See:"), Image(url="https://a.test/i.png", detail="low"), Audio(data=b"RIFF", mime_type="audio/mpeg"),
        Document(url="https://a.test/d.pdf", name="d.pdf"), Document(file_id="f1"), RawPart({"type": "reference"}),
    ]  # fmt: skip
    assert body([Message(role="user", content=parts)])["messages"][0]["content"] == [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "https://a.test/i.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "mp3"}},
        {"type": "document_url", "document_url": "https://a.test/d.pdf", "document_name": "d.pdf"},
        {"type": "file", "file_id": "f1"},
        {"type": "reference"},
    ]


def test_conversation_with_thinking_tool_calls_and_results(body):
    """Thinking is sent back at its position; results find their tool calls, also without ids."""
    turns = [
        Message(role="developer", content="Be brief."),
        Message(role="assistant", content=(
            Reasoning(text="Hm."), Reasoning(redacted="x"), Text("Well."), ToolCall(name="a"), ToolCall(name="b"),
        )),
        Message(role="tool", content=(ToolResult(id=None, name="b", content="2"),)),
        Message(role="tool", content=(ToolResult(id=None, content="no", error=True),)),
        Message(role="tool", content=(ToolResult(id="x", content=(Image(url="https://a.test/"),), error=True),)),
    ]  # fmt: skip
    system, assistant, second, first, third = body(turns)["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert assistant["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": True},
        {"type": "text", "text": "Well."},
    ]
    assert [call["id"] for call in assistant["tool_calls"]] == ["call00001", "call00002"]
    assert assistant["tool_calls"][0]["function"] == {"name": "a", "arguments": "{}"}
    assert second == {"role": "tool", "tool_call_id": "call00002", "name": "b", "content": "2"}
    assert first == {"role": "tool", "tool_call_id": "call00001", "content": "Error: no"}
    assert third["content"][0] == {"type": "text", "text": "Error:"}


@pytest.mark.parametrize("turn", [Message(role="user", content="a", name="Ann"), Message(role="critic", content="a")])
def test_names_and_other_roles_are_unsupported(body, turn):
    """The dialect has neither."""
    with pytest.raises(RequestError, match="cannot express"):
        body([turn])


def test_ids_of_other_providers_are_replaced(body):
    """A tool call and its result keep equal ids; an id of nine letters and digits is unchanged."""
    own, foreign = "a1B2c3D4e", "call_0123456789"
    calls = [ToolCall(name="a", id=call_id, arguments_raw="{}") for call_id in (own, foreign)]
    results = [ToolResult(id=call_id, content=(Text("1"),)) for call_id in (own, foreign)]
    turns = [Message(role="assistant", content=calls), *[Message(role="tool", content=[each]) for each in results]]
    said = body(messages=tuple(turns))["messages"]
    first, second = (call["id"] for call in said[0]["tool_calls"])
    assert [turn["tool_call_id"] for turn in said[1:]] == [first, second]
    assert first == own
    assert re.fullmatch("[a-zA-Z0-9]{9}", second)
