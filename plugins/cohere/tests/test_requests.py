"""Encoding of options, tools, formats, and messages."""

from __future__ import annotations

import pytest

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
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
    "top_p": (0.9, {"p": 0.9}),
    "top_k": (3, {"k": 3}),
    "stop": ("END", {"stop_sequences": ["END"]}),
    "seed": (7, {"seed": 7}),
    "presence_penalty": (0.1, {"presence_penalty": 0.1}),
    "frequency_penalty": (0.2, {"frequency_penalty": 0.2}),
    "logprobs": (True, {"logprobs": True}),
    "reasoning_budget": (100, {"thinking": {"type": "enabled", "token_budget": 100}}),
}
SAME = {"model": "garden-1", "stream": False, "messages": [{"role": "user", "content": "Hello"}]}
UNSUPPORTED = ["n", "top_logprobs", "reasoning_effort", "service_tier", "user", "metadata"]


@pytest.mark.parametrize("option", OPTIONS)
def test_option_fields(body, option):
    """Each option becomes its field, and nothing else changes."""
    given, said = OPTIONS[option]
    assert body(options={option: given}) == {**SAME, **said}


@pytest.mark.parametrize("option", UNSUPPORTED)
def test_unsupported_option(body, option):
    """The error names it; it is dropped if the request allows that."""
    with pytest.raises(RequestError, match=option):
        body(options={option: 2})
    assert body(options={option: 2}, unsupported="drop") == SAME


def test_zero_budget_disables_thinking(body):
    """A budget of 0 becomes a switch."""
    assert body(options={"reasoning_budget": 0})["thinking"] == {"type": "disabled"}


def test_url_key_and_stream_field(encode):
    """The response is complete at the end of its message; the driver adds no key."""
    wire = encode(stream=True, connection={"api_key": "test-key", "base_url": "https://garden.test/v2/"})
    assert (wire.url, wire.complete_on) == ("https://garden.test/v2/chat", "end")
    assert b'"stream":true' in wire.body
    assert "test-key" not in f"{wire.url}{wire.headers}{wire.body!r}"
    assert encode().url == "https://api.cohere.com/v2/chat"


@pytest.mark.parametrize(("choice", "said"), [("auto", {}), ("none", {"tool_choice": "NONE"}),
                                              ("required", {"tool_choice": "REQUIRED"})])  # fmt: skip
def test_tools_and_tool_choice(body, choice, said):
    """Tools are functions; one strict tool makes all of them strict; auto is the default."""
    found = body(tools=(Tool("sum", "Adds.", {"type": "object"}, strict=True), Tool("now")), tool_choice=choice)
    function = {"name": "sum", "parameters": {"type": "object"}, "description": "Adds."}
    assert found.pop("tools")[0] == {"type": "function", "function": function}
    assert found == {**SAME, **said, "strict_tools": True}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"tools": (Tool("sum"),), "tool_choice": "sum"}, "tool_choice 'sum'"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tools": (Tool("a", strict=True), Tool("b", strict=False))}, "only some are strict"),
        ({"messages": [Message(role="user", content="a", name="Ann")]}, "name of a speaker"),
        ({"messages": [Message(role="critic", content="a")]}, "the role 'critic'"),
        ({"messages": [Message(role="user", content=(Document(data=b"%PDF"),))]}, "Document"),
        ({"messages": [Message.tool_result("c", (Image(data=b"\x89PNG"),))]}, "an image"),
    ],
)
def test_unsupported_features(body, fields, what):
    """The error names the feature; a request may drop it."""
    with pytest.raises(RequestError, match=what):
        body(**fields)
    assert body(**fields, unsupported="drop")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("text", {"type": "text"}),
        ("json", {"type": "json_object"}),
        (JSONSchema({"type": "object"}, strict=True), {"type": "json_object", "schema": {"type": "object"}}),
    ],
)
def test_formats(body, shape, said):
    """Any text, any JSON, or JSON of a schema."""
    assert body(response_format=shape)["response_format"] == said


def test_conversation_with_thinking_plans_tool_calls_and_results(body):
    """Thinking and plan have fields of their own; results are joined to their tool calls, also without ids."""
    turns = [
        Message(role="developer", content="Be brief."),
        Message(role="user", content=(Image(url="https://a.test/i.png", detail="low"), RawPart({"type": "x"}))),
        Message(role="assistant", content=(
            Reasoning(text="Hm."), Reasoning(text="I add.", id="tool_plan"), Reasoning(redacted="x"),
            ToolCall(name="a"), ToolCall(name="b"),
        )),
        Message(role="tool", content=(ToolResult(id=None, name="b", content="2"),)),
        Message(role="tool", content=(ToolResult(id=None, content="no", error=True),)),
        Message.tool_result("c", (Text("See"), Document(data=b"T", mime_type="text/plain", name="d"))),
    ]  # fmt: skip
    system, user, assistant, second, first, third = body(turns)["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    image = {"type": "image_url", "image_url": {"url": "https://a.test/i.png", "detail": "low"}}
    assert user["content"] == [image, {"type": "x"}]
    assert assistant["content"] == [{"type": "thinking", "thinking": "Hm."}]
    assert assistant["tool_plan"] == "I add."
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_1", "call_2"]
    assert assistant["tool_calls"][0]["function"] == {"name": "a", "arguments": "{}"}
    assert second == {"role": "tool", "tool_call_id": "call_2", "content": "2"}
    assert first == {"role": "tool", "tool_call_id": "call_1", "content": "Error: no"}
    document = {"type": "document", "document": {"data": {"text": "T"}, "id": "d"}}
    assert third["content"] == [{"type": "text", "text": "See"}, document]
