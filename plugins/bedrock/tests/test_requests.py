"""What the driver says: address, conversation, tools, options."""

from __future__ import annotations

import json

import pytest

from polyglot_bedrock.eventstream import EventStreamFramer
from polyglot_bedrock.presets import PRESETS
from polyglot_core.errors import ConfigError, RequestError
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

POINT = {"cachePoint": {"type": "default"}}
CLAUDE, NOVA, NOVA_2, OSS = (
    "us.anthropic.claude-x-v1:0",
    "amazon.nova-lite-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "openai.gpt-oss-20b-1:0",
)


def user(*parts):
    return Message(role="user", content=parts)


def blocks(kit, *parts, **fields):
    """The blocks that parts of a user's turn become."""
    turns = kit.body_of([user(*parts)], **fields)["messages"]
    return turns[0]["content"] if turns else []


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({}, "https://bedrock-runtime.us-east-1.amazonaws.com"),
        (
            {"base_url": PRESETS["bedrock"].base_url, "facts": {"region": "eu-west-3"}},
            "https://bedrock-runtime.eu-west-3.amazonaws.com",
        ),
        ({"facts": {"region": "cn-north-1"}}, "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ({"base_url": "https://garden.test/bedrock/", "facts": {"region": "eu-west-3"}}, "https://garden.test/bedrock"),
    ],
)
def test_the_address_is_that_of_the_region_or_the_connections_own(kit, connection, url):
    """Characters of the model that have a meaning in a path are escaped."""
    wire = kit.connect(**connection).encode(kit.request(model="arn:aws:x/leaf:0", stream=True))
    assert wire.url == f"{url}/model/arn%3Aaws%3Ax%2Fleaf%3A0/converse-stream"
    assert kit.connect(**connection).encode(kit.request(model="leaf")).url == f"{url}/model/leaf/converse"


@pytest.mark.parametrize("region", ["", "evil.test/", 3, "us-east"])
def test_a_region_is_a_name_of_one(kit, region):
    """Nothing else gets into an address."""
    with pytest.raises(ConfigError, match="region"):
        kit.connect(facts={"region": region}).encode(kit.request())


def test_turns_of_one_role_are_one_and_system_turns_stand_apart(kit):
    """Results belong to the user's turn, and empty turns are left out."""
    body = kit.body_of(
        [
            Message(role="system", content="Be brief."),
            Message(role="user", content="Rake."),
            Message(
                role="assistant", content=(Text("Yes."), ToolCall(name="rake", id="c/1", arguments_raw='{"bed":1}'))
            ),
            Message.tool_result("c/1", "done"),
            Message.tool_result(ToolCall(name="rake", id="c2"), "broken", error=True),
            Message(role="user", content="And?"),
            Message(role="assistant", content=""),
            Message(role="developer", content="Be kind."),
        ]
    )
    assert body["system"] == [{"text": "Be brief."}, {"text": "Be kind."}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "Rake."}]},
        {
            "role": "assistant",
            "content": [{"text": "Yes."}, {"toolUse": {"toolUseId": "c_1", "name": "rake", "input": {"bed": 1}}}],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c_1", "content": [{"text": "done"}]}},
                {"toolResult": {"toolUseId": "c2", "content": [{"text": "broken"}], "status": "error"}},
                {"text": "And?"},
            ],
        },
    ]


def test_calls_without_an_id_meet_their_results(kit):
    """The oldest call of the tool's name that has no result yet is answered."""
    calls = tuple(ToolCall(name=name) for name in ("rake", "dig"))
    results = tuple(ToolResult(id=None, content="x", name=name) for name in ("dig", "rake"))
    turns = kit.body_of([Message(role="assistant", content=calls), Message(role="tool", content=results)])["messages"]
    assert [block["toolUse"]["toolUseId"] for block in turns[0]["content"]] == ["call_1", "call_2"]
    assert [block["toolResult"]["toolUseId"] for block in turns[1]["content"]] == ["call_2", "call_1"]


def test_an_id_that_is_too_long_keeps_its_end_in_call_and_result(kit):
    """The API takes 64 characters; other providers' ids are longer, and call and result still meet."""
    turns = [Message(role="assistant", content=(ToolCall(name="rake", id="x" * 60 + "-" * 9 + "1"),))]
    turns.append(Message.tool_result("x" * 60 + "-" * 9 + "1", "done"))
    call, result = (turn["content"][0] for turn in kit.body_of(turns)["messages"])
    assert call["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"] == "x" * 54 + "-" * 9 + "1"


def test_a_text_to_cache_is_followed_by_a_mark(kit):
    """In a turn, in the system prompt, and behind a result that has it inside."""
    assert blocks(kit, Text("long", cache=True), Text("short")) == [{"text": "long"}, POINT, {"text": "short"}]
    system = Message(role="system", content=(Text("long", cache=True),))
    assert kit.body_of([system, user(Text("a"))])["system"] == [{"text": "long"}, POINT]
    result = blocks(kit, ToolResult(id="c", content=(Text("long", cache=True),)))
    assert result == [{"toolResult": {"toolUseId": "c", "content": [{"text": "long"}]}}, POINT]


def test_files_have_a_format_and_bytes_or_a_place_in_s3(kit):
    """Documents have names besides, each its own, of the characters that are allowed."""
    assert blocks(
        kit,
        Image(data=b"pixels", mime_type="image/jpg"),
        Image(url="s3://garden/oak.webp", mime_type="image/webp"),
        Audio(data=b"wind", mime_type="audio/mpeg"),
        Document(data=b"text", mime_type="text/plain; charset=utf-8", name="my_notes.txt"),
        Document(data=b"text", mime_type="text/markdown", name="my notes"),
        Document(url="s3://garden/oak.pdf"),
    ) == [
        {"image": {"format": "jpeg", "source": {"bytes": "cGl4ZWxz"}}},
        {"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://garden/oak.webp"}}}},
        {"audio": {"format": "mp3", "source": {"bytes": "d2luZA=="}}},
        {"document": {"format": "txt", "name": "my notes", "source": {"bytes": "dGV4dA=="}}},
        {"document": {"format": "md", "name": "my notes 2", "source": {"bytes": "dGV4dA=="}}},
        {"document": {"format": "pdf", "name": "document", "source": {"s3Location": {"uri": "s3://garden/oak.pdf"}}}},
    ]


def test_thinking_goes_back_with_its_signature_or_not_at_all(kit):
    """Thinking without a signature is of another provider or of a model that does not want it back."""
    turn = Message(
        role="assistant", content=(Reasoning(text="a", signature="s"), Reasoning(redacted="aGk="), Reasoning(text="b"))
    )
    assert kit.body_of([turn])["messages"][0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "aGk="}},
    ]


def test_tools_and_the_choice_of_one(kit):
    """Each choice has its object."""
    tools = (Tool("rake", "Rakes.", {"type": "object"}, strict=True), Tool("dig", parameters={}))
    config = kit.body_of(tools=tools, tool_choice="dig", parallel_tool_calls=True)["toolConfig"]
    assert config == {
        "tools": [
            {
                "toolSpec": {
                    "name": "rake",
                    "description": "Rakes.",
                    "inputSchema": {"json": {"type": "object"}},
                    "strict": True,
                }
            },
            {"toolSpec": {"name": "dig", "inputSchema": {"json": {}}}},
        ],
        "toolChoice": {"tool": {"name": "dig"}},
    }
    for choice, said in (("auto", {"auto": {}}), ("required", {"any": {}})):
        assert kit.body_of(tools=tools, tool_choice=choice)["toolConfig"]["toolChoice"] == said


def test_a_schema_is_the_format_of_the_text(kit):
    """It is sent as a text of JSON."""
    asked = kit.body_of(response_format=JSONSchema({"type": "object"}, "leaf", description="A leaf."))
    definition = asked["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(definition.pop("schema")) == {"type": "object"}
    assert definition == {"name": "leaf", "description": "A leaf."}


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (
            "m",
            {"max_tokens": 5, "temperature": 0, "top_p": 0.5, "stop": "."},
            {"inferenceConfig": {"maxTokens": 5, "temperature": 0, "topP": 0.5, "stopSequences": ["."]}},
        ),
        ("m", {"stop": ["a", "b"], "seed": None}, {"inferenceConfig": {"stopSequences": ["a", "b"]}}),
        (
            "m",
            {"service_tier": "flex", "metadata": {"bed": "1"}},
            {"serviceTier": {"type": "flex"}, "requestMetadata": {"bed": "1"}},
        ),
        (CLAUDE, {"top_k": 3}, {"additionalModelRequestFields": {"top_k": 3}}),
        (NOVA, {"top_k": 3}, {"additionalModelRequestFields": {"inferenceConfig": {"topK": 3}}}),
        (
            CLAUDE,
            {"reasoning_budget": 1024},
            {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}},
        ),
        (CLAUDE, {"reasoning_budget": 0}, {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}}),
        (NOVA_2, {"reasoning_budget": 0}, {"additionalModelRequestFields": {"reasoningConfig": {"type": "disabled"}}}),
        (
            NOVA_2,
            {"reasoning_effort": "low"},
            {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}},
        ),
        (OSS, {"reasoning_effort": "high"}, {"additionalModelRequestFields": {"reasoning_effort": "high"}}),
    ],
)
def test_an_option_has_its_place(kit, model, options, said):
    """Some belong to the model, and stand where that model wants them."""
    body = kit.body_of(model=model, options=options)
    del body["messages"]
    assert body == said


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"options": {name: 2}}
            for name in ("seed", "n", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "user")
        ),
        {"options": {"top_k": 1}},
        {"options": {"reasoning_budget": 5}, "model": NOVA_2},
        {"options": {"reasoning_effort": "minimal"}, "model": OSS},
        {"options": {"reasoning_effort": "low"}, "model": CLAUDE},
        {"options": {"metadata": {"a": 1}}},
        {"options": {"metadata": 3}},
        {"tools": (Tool("a"),), "tool_choice": "none"},
        {"tools": (Tool("a"),), "parallel_tool_calls": False},
        {"response_format": "json"},
        {"messages": [user(Image(url="https://garden.test/a.png"))]},
        {"messages": [user(Image(data=b"a", mime_type="image/bmp"))]},
        {"messages": [user(Document(file_id="f"))]},
        {"messages": [user(RawPart({"type": "leaf"}))]},
        {"messages": [user(RawPart({}))]},
        {"messages": [Message(role="system", content=(Image(data=b"a"),))]},
        {"messages": [Message(role="gardener", content="a")]},
        {"messages": [Message(role="user", content="a", name="Ann")]},
        {"messages": [Message(role="user", content="a", extra={"leaf": 1})]},
        {"messages": [Message(role="assistant", content=(ToolCall(name="a", arguments_raw="["),))]},
    ],
)
def test_what_cannot_be_said_is_an_error_unless_it_may_be_dropped(kit, fields):
    """Nothing is left out in silence."""
    with pytest.raises(RequestError, match="cannot express"):
        kit.body_of(**fields)
    kit.body_of(unsupported="drop", **fields)


def test_own_blocks_and_fields_go_as_they_are(kit):
    """Blocks of the API's own, and `extra` over the body."""
    guarded = {"guardContent": {"text": {"text": "a"}}}
    body = kit.body_of([user(RawPart(guarded))], extra={"guardrailConfig": {"trace": "enabled"}})
    assert body["messages"][0]["content"] == [guarded]
    assert body["guardrailConfig"] == {"trace": "enabled"}


def test_a_stream_is_asked_for_in_the_path_alone(kit):
    """The body is the same, and holds no key."""
    plain, streamed = (kit.connect().encode(kit.request(stream=stream)) for stream in (False, True))
    assert plain.body == streamed.body
    assert (plain.framing, streamed.framing) == ("whole", EventStreamFramer)
    assert b"test-key" not in plain.body
    assert "test-key" not in plain.url
