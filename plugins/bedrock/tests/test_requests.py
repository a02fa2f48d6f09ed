"""Encoding of URL, conversation, tools and options."""

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
    RawTool,
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
    """Return the blocks that parts of a user's turn become."""
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
def test_base_url_is_the_regions_or_the_connections_own(kit, connection, url):
    """Reserved characters of the model's name are escaped."""
    wire = kit.connect(**connection).encode(kit.request(model="arn:aws:x/leaf:0", stream=True))
    assert wire.url == f"{url}/model/arn%3Aaws%3Ax%2Fleaf%3A0/converse-stream"
    assert kit.connect(**connection).encode(kit.request(model="leaf")).url == f"{url}/model/leaf/converse"


@pytest.mark.parametrize("region", ["", "evil.test/", 3, "us-east"])
def test_invalid_region_is_rejected(kit, region):
    """Nothing else becomes a part of the host."""
    with pytest.raises(ConfigError, match="region"):
        kit.connect(facts={"region": region}).encode(kit.request())


def test_turns_of_one_role_are_merged_and_system_turns_are_separate(kit):
    """Results belong to the user's turn, and empty turns are dropped."""
    body = kit.body_of(
        [
            Message(role="system", content="Be brief."),
            Message(role="developer", content="Be kind."),
            Message(role="user", content="Rake."),
            Message(
                role="assistant", content=(Text("Yes."), ToolCall(name="rake", id="c/1", arguments_raw='{"bed":1}'))
            ),
            Message.tool_result("c/1", "done"),
            Message.tool_result(ToolCall(name="rake", id="c2"), "broken", error=True),
            Message(role="user", content="And?"),
            Message(role="assistant", content=""),
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


def test_tool_calls_without_an_id_are_joined_to_their_results(kit):
    """A result belongs to the oldest tool call of its tool that has no result yet."""
    calls = tuple(ToolCall(name=name) for name in ("rake", "dig"))
    results = tuple(ToolResult(id=None, content="x", name=name) for name in ("dig", "rake"))
    turns = kit.body_of([Message(role="assistant", content=calls), Message(role="tool", content=results)])["messages"]
    assert [block["toolUse"]["toolUseId"] for block in turns[0]["content"]] == ["call_1", "call_2"]
    assert [block["toolResult"]["toolUseId"] for block in turns[1]["content"]] == ["call_2", "call_1"]


def test_long_id_keeps_its_end(kit):
    """The API accepts 64 characters; longer ids are shortened alike in tool call and result."""
    turns = [Message(role="assistant", content=(ToolCall(name="rake", id="x" * 60 + "-" * 9 + "1"),))]
    turns.append(Message.tool_result("x" * 60 + "-" * 9 + "1", "done"))
    call, result = (turn["content"][0] for turn in kit.body_of(turns)["messages"])
    assert call["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"] == "x" * 54 + "-" * 9 + "1"


@pytest.mark.parametrize("cache", [True, "1h", "5m"])
def test_parts_to_cache_are_followed_by_a_marker(kit, cache):
    """In a turn, in the system prompt, and after a result that contains it. The lifetime is sent if it is specified."""
    point = POINT if cache is True else {"cachePoint": {"type": "default", "ttl": cache}}
    assert blocks(kit, Text("long", cache=cache), Text("short")) == [{"text": "long"}, point, {"text": "short"}]
    for part in (Image(data=b"GIF8", cache=cache), Document(data=b"a", cache=cache)):
        assert blocks(kit, part)[1:] == [point]
    system = Message(role="system", content=(Text("long", cache=cache),))
    assert kit.body_of([system, user(Text("a"))])["system"] == [{"text": "long"}, point]
    result = blocks(kit, ToolResult(id="c", content=(Text("long", cache=cache), Image(data=b"GIF8", cache=cache))))
    assert [next(iter(block)) for block in result] == ["toolResult", "cachePoint"]
    assert [next(iter(block)) for block in result[0]["toolResult"]["content"]] == ["text", "image"]
    assert result[1] == point


def test_further_fields_of_a_part_are_sent(kit):
    """They are fields of the block; a text has none."""
    assert blocks(
        kit,
        Image(data=b"a", mime_type="image/png", extra={"colour": "red"}),
        Audio(data=b"a", mime_type="audio/wav", extra={"colour": "red"}),
        Document(
            data=b"a",
            mime_type="application/pdf",
            name="a.pdf",
            extra={"citations": {"enabled": True}, "context": "A plan."},
        ),
        Reasoning(text="Hm.", signature="s", extra={"colour": "red"}),
        ToolCall(name="a", id="t", extra={"colour": "red"}),
    ) == [
        {"image": {"format": "png", "source": {"bytes": "YQ=="}, "colour": "red"}},
        {"audio": {"format": "wav", "source": {"bytes": "YQ=="}, "colour": "red"}},
        {
            "document": {
                "format": "pdf",
                "source": {"bytes": "YQ=="},
                "name": "a",
                "citations": {"enabled": True},
                "context": "A plan.",
            }
        },
        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s", "colour": "red"}}},
        {"toolUse": {"toolUseId": "t", "name": "a", "input": {}, "colour": "red"}},
    ]


@pytest.mark.parametrize("arguments", ["[", "[1]", '"Oslo"', "7"], ids=["cut", "list", "string", "number"])
def test_tool_call_with_invalid_arguments(kit, arguments):
    """The API accepts objects only, so the text goes into one."""
    (call,) = blocks(kit, ToolCall(name="a", id="t", arguments_raw=arguments))
    assert call["toolUse"]["input"] == {"INVALID_JSON": arguments}


def test_tool_call_without_a_name(kit):
    """The API rejects an empty name, and the result needs its tool call."""
    (call,) = blocks(kit, ToolCall(name="", id="t"))
    assert call["toolUse"]["name"] == "unnamed_tool"


def test_files_have_a_format_and_bytes_or_an_s3_location(kit):
    """Documents also have unique names of the allowed characters."""
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


def test_thinking_is_sent_back_with_its_signature_or_not_at_all(kit):
    """Unsigned thinking is another provider's, or of a model that rejects it."""
    turn = Message(
        role="assistant", content=(Reasoning(text="a", signature="s"), Reasoning(redacted="aGk="), Reasoning(text="b"))
    )
    assert kit.body_of([turn])["messages"][0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "aGk="}},
    ]


def test_tools_and_tool_choice(kit):
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


def test_tools_of_the_api_and_further_fields_of_tools(kit):
    """A raw tool is sent as it is; a cache marker follows its tool."""
    system_tool = {"systemTool": {"name": "nova_grounding"}}
    tools = (
        RawTool(system_tool),
        Tool("dig", parameters={}, cache="1h", extra={"colour": "red"}),
        Tool("rake", parameters={}),
    )
    assert kit.body_of(tools=tools)["toolConfig"]["tools"] == [
        system_tool,
        {"toolSpec": {"name": "dig", "inputSchema": {"json": {}}, "colour": "red"}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"toolSpec": {"name": "rake", "inputSchema": {"json": {}}}},
    ]


@pytest.mark.parametrize(
    ("fields", "extra", "name", "expected"),
    [
        (
            {"options": {"temperature": 0}},
            {"inferenceConfig": {"topP": 0.5}},
            "inferenceConfig",
            {"temperature": 0, "topP": 0.5},
        ),
        (
            {"options": {"top_k": 3}, "model": CLAUDE},
            {"additionalModelRequestFields": {"anthropic_beta": ["x"]}},
            "additionalModelRequestFields",
            {"top_k": 3, "anthropic_beta": ["x"]},
        ),
        (
            {"options": {"metadata": {"a": "1"}}},
            {"requestMetadata": {"b": "2"}},
            "requestMetadata",
            {"a": "1", "b": "2"},
        ),
    ],
    ids=["inferenceConfig", "additionalModelRequestFields", "requestMetadata"],
)
def test_extra_fields_of_an_object_keep_the_others(kit, fields, extra, name, expected):
    """Objects are merged field by field."""
    assert kit.body_of(extra=extra, **fields)[name] == expected


@pytest.mark.parametrize("model", ["", ".", "..", "a\udc80"])
def test_model_that_cannot_be_in_a_path_is_rejected(kit, model):
    """It would select another path."""
    with pytest.raises(RequestError, match="model"):
        kit.connect().encode(kit.request(model=model))


@pytest.mark.parametrize(
    ("model", "segment"),
    [("a/../b", "a%2F..%2Fb"), ("a?b#c", "a%3Fb%23c"), ("a b\r\n", "a%20b%0D%0A"), ("a%2e", "a%252e")],
)
def test_model_stays_one_segment_of_the_path(kit, model, segment):
    """Whatever characters it has."""
    assert kit.connect().encode(kit.request(model=model)).url.endswith(f".com/model/{segment}/converse")


def test_schema_is_the_text_format(kit):
    """It is sent as a JSON string."""
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
def test_option_fields(kit, model, options, said):
    """Some belong to the model, and are sent in the fields of that model."""
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
        *(
            {"messages": [user(RawPart({kind: {}}))]}
            for kind in ("inlineData", "functionCall", "functionResponse", "fileData")
        ),
        {"messages": [user(Text("a", extra={"cache_control": {"type": "ephemeral"}}))]},
    ],
)
def test_unsupported_features(kit, fields):
    """They raise an error unless they may be dropped; nothing is dropped silently."""
    with pytest.raises(RequestError, match="cannot express"):
        kit.body_of(**fields)
    kit.body_of(unsupported="drop", **fields)


def test_raw_blocks_and_extra_fields_are_unchanged(kit):
    """Blocks of the API's own, and `extra` merged into the body."""
    guarded = {"guardContent": {"text": {"text": "a"}}}
    body = kit.body_of([user(RawPart(guarded))], extra={"guardrailConfig": {"trace": "enabled"}})
    assert body["messages"][0]["content"] == [guarded]
    assert body["guardrailConfig"] == {"trace": "enabled"}


def test_stream_is_requested_in_the_path_only(kit):
    """The body is the same, and holds no key."""
    plain, streamed = (kit.connect().encode(kit.request(stream=stream)) for stream in (False, True))
    assert plain.body == streamed.body
    assert (plain.framing, streamed.framing) == ("whole", EventStreamFramer)
    assert b"test-key" not in plain.body
    assert "test-key" not in plain.url
