"""Encoding of contents, instruction, tools, formats and options, and features that the API does not have."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from polyglot_core.errors import RequestError
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

PIXEL, PIXEL_TEXT = b"\x89PNG", "iVBORw=="


def parts(body, *content, role="user"):
    return body([Message(role=role, content=content)])["contents"][0]["parts"]


def test_prompt_is_one_turn(body):
    """Nothing else is sent."""
    assert body("Hello") == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def test_system_messages_are_the_instruction(body):
    """A developer's message counts as one; one after the first turn is an error, or is moved."""
    turns = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
        Message(role="developer", content="Be kind."),
    ]
    with pytest.raises(RequestError, match="a system message after the first turn"):
        body(turns)
    asked = body(turns, unsupported="drop")
    assert asked["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert [turn["role"] for turn in asked["contents"]] == ["user"]


def test_files_are_inline_or_uris(body):
    """Bytes as base64, URLs and ids as URIs; a data URL is bytes."""
    made = parts(
        body,
        Image(data=PIXEL),
        Image(url="https://garden.example/rose.JPG?x=1"),
        Image(url="https://garden.example/rose", mime_type="image/webp"),
        Image(url=f"data:image/gif;base64,{PIXEL_TEXT}"),
        Audio(data=PIXEL, mime_type="audio/mp3"),
        Document(data=PIXEL, mime_type="application/pdf"),
        Document(url="gs://garden/soil.pdf"),
        Document(file_id="files/soil", mime_type="text/csv"),
    )
    files = "https://generativelanguage.googleapis.com/v1beta/files/soil"
    assert made == [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL_TEXT}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://garden.example/rose.JPG?x=1"}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://garden.example/rose"}},
        {"inlineData": {"mimeType": "image/gif", "data": PIXEL_TEXT}},
        {"inlineData": {"mimeType": "audio/mp3", "data": PIXEL_TEXT}},
        {"inlineData": {"mimeType": "application/pdf", "data": PIXEL_TEXT}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://garden/soil.pdf"}},
        {"fileData": {"mimeType": "text/csv", "fileUri": files}},
    ]


@pytest.mark.parametrize("detail", ["low", "medium", "high", "ultra_high"])
def test_detail_is_a_resolution(body, detail):
    """Each of Google's levels has its word, and its own name."""
    level = f"MEDIA_RESOLUTION_{detail.upper()}"
    for word in (detail, level):
        assert parts(body, Image(data=PIXEL, detail=word))[0]["mediaResolution"] == {"level": level}


@pytest.mark.parametrize("detail", ["auto", None])
def test_default_detail_is_not_sent(body, detail):
    """Google chooses the resolution."""
    assert "mediaResolution" not in parts(body, Image(data=PIXEL, detail=detail))[0]


def test_unknown_detail_is_named(body):
    """It is not dropped silently."""
    with pytest.raises(RequestError, match="'bogus'.*ultra_high"):
        parts(body, Image(data=PIXEL, detail="bogus"))


FILES = [
    Image(data=PIXEL, extra={"videoMetadata": {"fps": 2}}),
    Image(data=PIXEL, extra={"inlineData": {"displayName": "rose"}}),
    Audio(data=PIXEL, extra={"videoMetadata": {"fps": 2}}),
    Document(url="gs://garden/film.mp4", mime_type="video/mp4", extra={"videoMetadata": {"startOffset": "2s"}}),
    Text("south", extra={"partMetadata": {"bed": 1}}),
    ToolCall(name="soil", complete=True, extra={"functionCall": {"bed": 1}, "thought": True}),
]


@pytest.mark.parametrize("part", FILES, ids=lambda part: f"{type(part).__name__}-{'-'.join(part.extra)}")
def test_further_fields_of_a_part_are_sent(body, part):
    """They are laid over the part; those of an object are laid over the object."""
    role = "assistant" if isinstance(part, ToolCall) else "user"
    plain, sent = (parts(body, each, role=role)[0] for each in (replace(part, extra={}), part))
    for name, value in part.extra.items():
        assert sent[name] == ({**plain.get(name, {}), **value} if isinstance(value, dict) else value)
    assert {**sent, **plain, **part.extra}.keys() == sent.keys()


def test_thinking_is_sent_back_with_its_signatures(body):
    """A signature without text belongs to the text before it; without one it is a part of its own."""
    answer = (Reasoning(text="sun", signature="QQ=="), Text("South."), Reasoning(signature="Qg=="))
    assert parts(body, *answer, role="assistant") == [
        {"text": "sun", "thought": True, "thoughtSignature": "QQ=="},
        {"text": "South.", "thoughtSignature": "Qg=="},
    ]
    alone = parts(body, Reasoning(signature="Qw=="), role="assistant")
    assert alone == [{"text": "", "thoughtSignature": "Qw=="}]


@pytest.mark.parametrize("name", ["answer.sse", "answer.json", "calls.sse", "code.sse", "streamed_arguments.sse"])
def test_response_can_be_sent_back(body, replay_body, name):
    """With every signature at its part, and Google's own parts unchanged."""
    sent = body([Message(role="user", content="x"), replay_body(name).response.message])["contents"][1]
    assert sent["role"] == "model"
    signed = [part["thoughtSignature"] for part in sent["parts"] if "thoughtSignature" in part]
    assert signed == {"answer": ["c2VlZA=="], "calls": ["cm9vdA=="], "code": ["Y29kZQ=="]}.get(
        name.partition(".")[0], ["c3RlbQ=="]
    )
    if name == "code.sse":
        kinds = [next(iter(part)) for part in sent["parts"]]
        assert kinds == ["text", "executableCode", "codeExecutionResult", "text"]


def test_tool_calls_and_results_are_turns(body):
    """Results of one turn's tool calls are in one turn, named by their tools, as objects."""
    calls = [
        ToolCall(name="soil", id="w1", arguments_raw='{"bed": 3}', complete=True, signature="QQ=="),
        ToolCall(name="clock", complete=True),
    ]
    turns = [
        Message(role="user", content="How?"),
        Message(role="assistant", content=tuple(calls)),
        Message.tool_result("w1", '{"dry": true}'),
        Message.tool_result(calls[1], "noon"),
        Message(role="user", content="And?"),
    ]
    contents = body(turns)["contents"]
    assert contents[1]["parts"] == [
        {"functionCall": {"name": "soil", "args": {"bed": 3}, "id": "w1"}, "thoughtSignature": "QQ=="},
        {"functionCall": {"name": "clock", "args": {}}},
    ]
    assert contents[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "soil", "response": {"dry": True}, "id": "w1"}},
            {"functionResponse": {"name": "clock", "response": {"output": "noon"}}},
        ],
    }
    assert contents[3] == {"role": "user", "parts": [{"text": "And?"}]}


def test_results_may_be_failures_and_files(body):
    """A failure has its own field; images are next to the text."""
    failed = ToolResult(id=None, content="no water", error=True, name="soil")
    seen = ToolResult(id=None, content=(Text("a bed"), Image(data=PIXEL)), name="look")
    first, second = (part["functionResponse"] for part in parts(body, failed, seen, role="tool"))
    assert first["response"] == {"error": "no water"}
    assert second["response"] == {"output": "a bed"}
    assert second["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PIXEL_TEXT}}]


def test_raw_parts_are_sent_unchanged(body):
    """With names in camel case or in snake case."""
    for own in ({"executableCode": {"code": "1"}}, {"file_data": {"file_uri": "gs://x"}}):
        assert parts(body, RawPart(own)) == [own]


CANNOT = [
    (Message(role="user", content=(RawPart({"type": "input_text"}),)), "a part with the fields"),
    (Message(role="user", content=(RawPart({"oddity": 1}),)), "a part with the fields"),
    (Message(role="user", content="x", name="Ann"), "name of a speaker"),
    (Message(role="user", content="x", extra={"mood": 1}), "mood"),
    (Message(role="narrator", content="x"), "narrator"),
    (Message(role="assistant", content=(Reasoning(redacted="x"),)), "redacted thinking"),
    *(
        (Message(role="user", content=(part,)), "the cache mark of .*cachedContent")
        for cache in (True, "1h")
        for part in (Text("x", cache=cache), Image(data=PIXEL, cache=cache), Document(data=PIXEL, cache=cache))
    ),
    (
        Message(role="tool", content=(ToolResult(id=None, content=(Text("x", cache=True),), name="f"),)),
        "the cache mark of",
    ),
    (Message(role="tool", content=(ToolResult(id=None, content=(Text("x", extra={"bed": 1}),), name="f"),)), "'bed'"),
]


@pytest.mark.parametrize(("turn", "what"), CANNOT)
def test_unsupported_features(body, turn, what):
    """Nothing is dropped silently."""
    with pytest.raises(RequestError, match=what):
        body([turn])
    assert "contents" in body([turn], unsupported="drop")


@pytest.mark.parametrize("raw", ['{"bed": 1', "[1]", "7", "bed"])
def test_arguments_that_are_no_object_are_sent_as_one(body, raw):
    """The API accepts objects only."""
    (sent,) = parts(body, ToolCall(name="soil", arguments_raw=raw, complete=True), role="assistant")
    assert sent == {"functionCall": {"name": "soil", "args": {"INVALID_JSON": raw}}}


def test_result_of_an_unknown_tool(body):
    """It is an error whatever the request allows, as nothing could be sent."""
    with pytest.raises(RequestError, match="needs the tool's name"):
        parts(body, ToolResult(id="w9", content="x"), role="tool")


SETTINGS = [
    ("max_tokens", 5, {"maxOutputTokens": 5}),
    ("temperature", 0.0, {"temperature": 0.0}),
    ("top_p", 0.5, {"topP": 0.5}),
    ("top_k", 3, {"topK": 3}),
    ("stop", "end", {"stopSequences": ["end"]}),
    ("stop", ["a", "b"], {"stopSequences": ["a", "b"]}),
    ("seed", 7, {"seed": 7}),
    ("presence_penalty", 0.1, {"presencePenalty": 0.1}),
    ("frequency_penalty", 0.2, {"frequencyPenalty": 0.2}),
    ("n", 2, {"candidateCount": 2}),
    ("logprobs", True, {"responseLogprobs": True}),
    ("top_logprobs", 3, {"logprobs": 3, "responseLogprobs": True}),
    ("reasoning_budget", 512, {"thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True}}),
    ("reasoning_budget", 0, {"thinkingConfig": {"thinkingBudget": 0}}),
    ("reasoning_effort", "low", {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}),
    ("reasoning_effort", "none", {"thinkingConfig": {"thinkingBudget": 0}}),
]


@pytest.mark.parametrize(("option", "value", "expected"), SETTINGS)
def test_option_names(body, option, value, expected):
    """The options table."""
    assert body("x", options={option: value})["generationConfig"] == expected


def test_options_outside_the_settings(body):
    """Two options are fields of the request itself."""
    asked = body("x", options={"service_tier": "flex", "metadata": {"team": "roses"}})
    assert (asked["serviceTier"], asked["labels"]) == ("flex", {"team": "roses"})
    assert "generationConfig" not in asked


@pytest.mark.parametrize(("effort", "budget"), [("minimal", 1024), ("low", 1024), ("medium", 8192), ("high", 24576)])
def test_effort_becomes_a_budget_for_older_models(body, effort, budget):
    """Gemini 2.5 accepts tokens only."""
    asked = body("x", model="gemini-2.5-flash", options={"reasoning_effort": effort})
    assert asked["generationConfig"]["thinkingConfig"] == {"thinkingBudget": budget, "includeThoughts": True}


UNSUPPORTED = [
    ({"options": {"user": "ann"}}, "option 'user'.*labels"),
    ({"options": {"reasoning_effort": "utmost"}}, "utmost"),
    ({"options": {"reasoning_effort": "xhigh"}, "model": "gemini-2.5-pro"}, "xhigh"),
    ({"options": {"reasoning_effort": "low", "reasoning_budget": 5}}, "together"),
    ({"parallel_tool_calls": False}, "parallel_tool_calls"),
    ({"tools": (Tool("clock", cache=True),)}, "cache mark of a tool"),
]


@pytest.mark.parametrize(("fields", "what"), UNSUPPORTED)
def test_unsupported_options(body, fields, what):
    """They raise, warn or are dropped, as the request states."""
    with pytest.raises(RequestError, match=what):
        body("x", **fields)
    with pytest.warns(UserWarning, match=what):
        body("x", unsupported="warn", **fields)
    assert "user" not in body("x", unsupported="drop", **fields)


def test_tools_are_declared_with_unchanged_schemas(body):
    """JSON Schema is accepted as it is; an empty description is omitted."""
    schema = {"type": "object", "properties": {"bed": {"$ref": "#/$defs/bed"}}, "additionalProperties": False}
    declared = body("x", tools=(Tool("soil", "Looks.", schema), Tool("clock")))["tools"][0]["functionDeclarations"]
    assert declared[0] == {"name": "soil", "description": "Looks.", "parametersJsonSchema": schema}
    assert "description" not in declared[1]


@pytest.mark.parametrize(
    ("choice", "strict", "expected"),
    [
        ("auto", None, {"mode": "AUTO"}),
        ("required", None, {"mode": "ANY"}),
        ("none", None, {"mode": "NONE"}),
        ("clock", None, {"mode": "ANY", "allowedFunctionNames": ["clock"]}),
        (None, True, {"mode": "VALIDATED"}),
        ("auto", True, {"mode": "VALIDATED"}),
        ("required", True, {"mode": "ANY"}),
    ],
)
def test_tool_choices_are_modes(body, choice, strict, expected):
    """A name requires that tool, and strict tools are validated."""
    asked = body("x", tools=(Tool("clock", strict=strict),), tool_choice=choice)
    assert asked["toolConfig"] == {"functionCallingConfig": expected}


@pytest.mark.parametrize("payload", [{"googleSearch": {}}, {"functionDeclarations": [{"name": "own"}]}], ids=list)
def test_raw_tools_are_sent_unchanged(body, payload):
    """After the functions, or alone."""
    sent = body("x", tools=(RawTool(payload), Tool("clock", strict=True)))
    functions, own = sent["tools"]
    assert [function["name"] for function in functions["functionDeclarations"]] == ["clock"]
    assert own == payload
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert body("x", tools=(RawTool(payload),))["tools"] == [payload]


def test_further_fields_of_a_tool_are_sent(body):
    """In its declaration."""
    tool = Tool("clock", extra={"behavior": "NON_BLOCKING", "response": {"type": "object"}})
    (declared,) = body("x", tools=(tool,))["tools"][0]["functionDeclarations"]
    assert declared == {"name": "clock", "parametersJsonSchema": tool.parameters, **tool.extra}


def test_cached_content_is_sent(body):
    """A field of the request that has no option."""
    assert body("x", extra={"cachedContent": "cachedContents/garden"})["cachedContent"] == "cachedContents/garden"


def test_missing_choice_is_not_sent(body):
    """Google's own default applies."""
    assert "toolConfig" not in body("x", tools=(Tool("clock"),))


def test_formats_are_a_media_type_and_a_schema(body):
    """Text needs neither."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert "generationConfig" not in body("x", response_format="text")
    assert body("x", response_format="json")["generationConfig"] == {"responseMimeType": "application/json"}
    assert body("x", response_format=JSONSchema(schema))["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }


def test_extra_is_merged_into_the_body(body):
    """Settings field by field, so that no option is lost; tools are appended to the functions."""
    extra = {
        "generationConfig": {"responseModalities": ["AUDIO"], "temperature": 1},
        "tools": [{"googleSearch": {}}],
        "safetySettings": [],
    }
    asked = body("x", options={"temperature": 0, "seed": 1}, tools=(Tool("clock"),), extra=extra)
    assert asked["generationConfig"] == {"temperature": 1, "seed": 1, "responseModalities": ["AUDIO"]}
    assert [next(iter(tool)) for tool in asked["tools"]] == ["functionDeclarations", "googleSearch"]
    assert asked["safetySettings"] == []


def test_extra_may_be_in_snake_case(body):
    """As the API accepts it: a field has one spelling in the request, so that neither value is lost."""
    extra = {
        "generation_config": {"top_k": 3, "topP": 0.5, "thinking_config": {"include_thoughts": False}},
        "tool_config": {"function_calling_config": {"a": 1}, "retrieval_config": {}},
        "safety_settings": [],
        "generationConfig": {"seed": 7},
    }
    options = {"temperature": 0, "top_k": 5, "reasoning_budget": 9}
    asked = body("x", options=options, tools=(Tool("clock"),), tool_choice="required", extra=extra)
    assert asked["generationConfig"] == {
        "temperature": 0,
        "topK": 3,
        "topP": 0.5,
        "seed": 7,
        "thinkingConfig": {"thinkingBudget": 9, "includeThoughts": False},
    }
    assert asked["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "a": 1}, "retrieval_config": {}}
    assert set(asked) - {"contents", "tools"} == {"generationConfig", "toolConfig", "safety_settings"}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-flash-latest", "models/gemini-flash-latest"),
        ("models/gemini-x", "models/gemini-x"),
        ("tunedModels/roses-1", "tunedModels/roses-1"),
        ("a/../b?c#d", "models/a%2F..%2Fb%3Fc%23d"),
    ],
)
def test_model_is_escaped_in_the_path(encode, model, path):
    """No name leads to another path."""
    base = "https://generativelanguage.googleapis.com/v1beta/"
    assert encode("x", model=model).url == f"{base}{path}:generateContent"
    assert encode("x", model=model, stream=True).url == f"{base}{path}:streamGenerateContent?alt=sse"


def test_key_is_not_in_the_encoded_request(encode):
    """Core adds it as a header, as the preset states."""
    wire = encode("x", stream=True)
    assert "test-key" not in wire.url + wire.body.decode() + repr(wire.headers)
