"""Turns between all dialects: what is sent of a response that was interrupted, is empty, or is another provider's."""

from __future__ import annotations

import json

import pytest

from polyglot_core import Inference, Message
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Audio, Document, Image, JSONSchema, RawPart, Reasoning, Text, ToolCall, ToolResult
from polyglot_simulator import Reply, Simulator

for package in ("polyglot_mistral", "polyglot_bedrock"):
    pytest.importorskip(package, reason="the drivers are no requirements of the simulator")

DRIVERS = (
    "anthropic",
    "azure-openai",
    "bedrock",
    "cohere",
    "gemini",
    "mistral",
    "ollama",
    "openai",
    "openai-responses",
    "vertex",
)
WITHOUT_FILES = ("anthropic", "azure-openai", "bedrock", "cohere", "openai", "openai-responses")
"""Drivers of APIs that accept no file in a turn of the assistant."""


EXPLAINED = ("anthropic", "gemini", "vertex")
"""Drivers of APIs that explain a refusal beside the content; the explanation is no part of the turn."""
WITHOUT_REFUSALS = ("bedrock", "cohere", "mistral", "ollama")
"""Drivers of APIs that have no field for a refusal, so that it is text."""


def turn(*parts, provider="another", complete=True):
    return Message(role="assistant", content=parts, provider=provider, complete=complete)


def body(driver, *messages, **fields):
    """Return the body of the request."""
    with Simulator("ok") as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        inference.create(["Hi", *messages], **fields).response()
        return simulator.requests[-1].body


def sent(driver, *messages, **fields):
    """Return what the request has of the conversation."""
    written = body(driver, *messages, **fields)
    return next(written[name] for name in ("messages", "contents", "input") if name in written)


def found(value, *names):
    """Return the values of all fields with these names, in order."""
    if isinstance(value, list):
        return [each for item in value for each in found(item, *names)]
    if not isinstance(value, dict):
        return []
    own = [value[name] for name in names if isinstance(value.get(name), str)]
    return own + [each for item in value.values() for each in found(item, *names)]


CALL_IDS = {
    "anthropic": ("id", "tool_use_id"),
    "bedrock": ("toolUseId",),
    "openai-responses": ("call_id",),
}


@pytest.mark.parametrize("driver", DRIVERS)
def test_calls_of_another_provider_get_ids_of_their_own(driver):
    """Check that calls with one id, also in several turns, are sent with several, and each result with that of its own."""
    calls = [ToolCall(name="soil", id="s 1", arguments_raw=f'{{"bed":{bed}}}', complete=True) for bed in range(3)]
    results = [Message.tool_result(call, "dry") for call in calls]
    messages = sent(driver, turn(*calls[:2]), *results[:2], turn(calls[2]), results[2])
    ids = found(messages, *CALL_IDS.get(driver, ("id", "tool_call_id")))
    first, second, *answered, third, last = ids
    assert [first, second] == answered
    assert third == last
    assert len({first, second, third}) == 3


@pytest.mark.parametrize("driver", DRIVERS)
def test_call_without_a_name_gets_one(driver):
    """Check that it can be sent, and its result too: APIs refuse an empty name."""
    call = ToolCall(name="", arguments_raw="{", complete=True)
    text = json.dumps(sent(driver, turn(call), Message.tool_result(call, "There is no such tool.", error=True)))
    assert "unnamed_tool" in text
    assert '"name": ""' not in text


@pytest.mark.parametrize("driver", DRIVERS)
def test_ids_that_the_dialect_makes_equal_are_told_apart(driver):
    """Check ids that differ only in characters which some dialects replace."""
    calls = [ToolCall(name="soil", id=f"s{sign}1", complete=True) for sign in ":/"]
    results = [Message.tool_result(call, "dry") for call in calls]
    first, second, *answered = found(
        sent(driver, turn(*calls), *results), *CALL_IDS.get(driver, ("id", "tool_call_id"))
    )
    assert first != second
    assert answered == [first, second]


@pytest.mark.parametrize(
    "part", [Image(data=b"GIF8"), Audio(data=b"fLaC"), Document(data=b"d")], ids=["image", "audio", "document"]
)
@pytest.mark.parametrize("driver", WITHOUT_FILES)
def test_file_of_another_provider_is_reported(driver, part):
    """Check that the file is named, as the API takes files from the user alone, and that the text is sent without it."""
    received = turn(Text("Here:"), part)
    with pytest.raises(RequestError, match="assistant|in a turn from 'another'|a part of type"):
        sent(driver, received, "And?")
    said = found(sent(driver, received, "And?", unsupported="drop"), "content", "text")
    assert said == ["Hi", "Here:", "And?"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_interrupted_turn_without_anything_is_omitted(driver, own):
    """Check that no turn without content is sent, which some APIs of each dialect refuse."""
    received = turn(provider=driver if own else "another", complete=False)
    said = found(sent(driver, received, "And?"), "content", "text")
    assert said == ["Hi", "And?"]


CUT_OFF = {
    "anthropic": {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
    "bedrock": {"toolUse": {"toolUseId": "srv_1", "name": "web", "type": "server_tool_use", "input": {}}},
    "openai-responses": {"type": "local_shell_call", "id": "ls_1", "call_id": "c", "action": {}},
}


@pytest.mark.parametrize("end", [(), (Text("\n\n"),)], ids=["alone", "and blank text"])
@pytest.mark.parametrize("driver", ["anthropic", "bedrock"])
def test_thinking_before_a_call_that_is_cut_off_is_left_out(driver, end):
    """Check that a turn does not end with thinking, nor with blank text, which both APIs refuse."""
    thinking = Reasoning(text="Hm.", signature="c2ln")
    received = turn(Text("I look."), thinking, RawPart(CUT_OFF[driver]), *end, provider=driver, complete=False)
    assert found(sent(driver, received, "And?"), "text", "thinking") == ["Hi", "I look.", "And?"]


def test_thinking_before_a_call_without_output_is_left_out():
    """Check that no thinking precedes another item than its own."""
    thinking = Reasoning(text="Hm.", id="rs_1")
    received = turn(
        thinking, RawPart(CUT_OFF["openai-responses"]), Text("Found."), complete=False, provider="openai-responses"
    )
    assert [item["type"] for item in sent("openai-responses", received, "And?")] == ["message"] * 3


@pytest.mark.parametrize("driver", DRIVERS)
def test_block_that_cannot_be_sent_is_named(driver):
    """Check that the error has the type of the block, or its field if the dialect has no types."""
    for payload, name in (({"type": "hologram"}, "hologram"), ({"executableCode": {}}, "executableCode")):
        with pytest.raises(RequestError, match=f"a block '{name}' of a turn from 'another'"):
            sent(driver, turn(Text("a"), RawPart(payload)))


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("parts", [(), (Reasoning(text=""),)], ids=["nothing", "empty thinking"])
def test_empty_turn_of_another_provider_is_omitted(driver, parts):
    """Check that a whole response without content is not sent to another provider, which may refuse it."""
    assert found(sent(driver, turn(*parts), "And?"), "content", "text") == ["Hi", "And?"]


@pytest.mark.parametrize("driver", ["openai", "azure-openai", "ollama"])
def test_whole_response_without_content_goes_back(driver):
    """Check that the provider that sent an empty turn gets it back as it was."""
    assert found(sent(driver, turn(provider=driver), "And?"), "content", "text") == ["Hi", "", "And?"]


@pytest.mark.parametrize("driver", ["openai", "azure-openai", "ollama"])
def test_turn_without_content_of_the_user_is_sent(driver):
    """Check that an empty turn that the user wrote is kept, and one of a response that has fields of its own."""
    for message in (
        Message(role="assistant"),
        Message(role="assistant", provider=driver, extra={"garden": "rose"}),
    ):
        assert [turn["role"] for turn in sent(driver, message, "And?")] == ["user", "assistant", "user"]


# Names

SCHEMA = {"type": "object", "properties": {}}


@pytest.mark.parametrize("driver", DRIVERS)
def test_name_and_description_of_a_format_are_sent(driver):
    """Check that both are in the body, and that the schema is unchanged if neither is set."""
    wanted = JSONSchema(SCHEMA, "bed_of_roses", description="What grows there.")
    text = json.dumps(body(driver, response_format=wanted)).replace('\\"', '"')
    assert "bed_of_roses" in text
    assert "What grows there." in text
    plain = json.dumps(body(driver, response_format=JSONSchema(SCHEMA))).replace('\\"', '"')
    assert "title" not in plain


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize("driver", ["anthropic", "cohere", "gemini", "ollama", "vertex"])
def test_name_of_a_format_beside_that_of_the_schema_is_reported(driver, field):
    """Check that the schema is sent unchanged then, and that an equal one is no problem."""
    schema = {**SCHEMA, "title": "Bed", "description": "A bed."}
    equal = JSONSchema(schema, "Bed", description="A bed.")
    assert "A bed." in json.dumps(body(driver, response_format=equal))
    other = JSONSchema(schema, **{"name": "Bed", "description": "A bed.", field: "another"})
    with pytest.raises(RequestError, match=f"the {field} of a response format whose schema has another"):
        body(driver, response_format=other)
    assert body(driver, response_format=other, unsupported="drop") == body(driver, response_format=equal)


DOCUMENTS = {
    "inline": Document(data=b"%PDF", name="roses.pdf"),
    "by its id": Document(file_id="file-1", name="roses.pdf"),
    "by its URL": Document(url="https://example.com/a.pdf", name="roses.pdf"),
}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_name_of_a_document_is_sent_or_reported(driver, document):
    """Check that no driver drops it silently."""
    try:
        text = json.dumps(sent(driver, Message(role="user", content=[document])))
    except RequestError as error:
        assert "name of a document" in error.message or "document" in error.message.lower() or "file" in error.message
    else:
        assert "roses" in text


CALL = ToolCall(name="soil", id="s1", arguments_raw="{}", complete=True)
HAVE_NAMES = ("gemini", "mistral", "ollama", "vertex")
"""Drivers of dialects in which a result has the name of its tool."""


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "message",
    [
        Message(role="tool", name="soil", content=[ToolResult(id="s1", content="dry")]),
        Message(role="tool", content=[ToolResult(id="s1", content="dry", name="soil")]),
        {"role": "tool", "name": "soil", "tool_call_id": "s1", "content": "dry"},
    ],
    ids=["of the message", "of the result", "of a dict"],
)
def test_name_of_a_tool_message_is_that_of_its_tool(driver, message):
    """Check that it is sent where a result has a name, and is no problem elsewhere, as the call has it."""
    text = json.dumps(sent(driver, turn(CALL), message))
    assert text.count('"soil"') == (2 if driver in HAVE_NAMES else 1)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "message",
    [
        Message(role="tool", name="weather", content=[ToolResult(id="s1", content="dry")]),
        {"role": "tool", "name": "weather", "tool_call_id": "s1", "content": "dry"},
    ],
    ids=["of the message", "of a dict"],
)
def test_another_name_of_a_tool_message_is_sent_or_reported(driver, message):
    """Check that a name that is not that of the call is not dropped silently."""
    if driver in HAVE_NAMES:
        assert "weather" in json.dumps(sent(driver, turn(CALL), message))
    else:
        with pytest.raises(RequestError, match="the name 'weather' of a tool result, whose call names 'soil'"):
            sent(driver, turn(CALL), message)


@pytest.mark.parametrize("driver", DRIVERS)
def test_name_beside_that_of_the_result_is_reported(driver):
    """Check a message with a name, and a result with another."""
    result = ToolResult(id="s1", content="dry", name="soil")
    with pytest.raises(RequestError, match="the name of a message whose tool result has another"):
        sent(driver, turn(CALL), Message(role="tool", name="Ann", content=[result]))


STRICT = tuple(driver for driver in DRIVERS if driver != "ollama")
NAMES = {"a space": "garden soil", "a sign": "garden/soil", "letters": "gärten", "length": "s" * 200}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("driver", STRICT)
def test_tool_name_of_another_provider_is_converted(driver, name):
    """Check that the call, and its result where that has a name, are sent with one that the API accepts."""
    calls = [ToolCall(name=name, id=f"s{number}", arguments_raw="{}", complete=True) for number in range(2)]
    messages = [turn(*calls), *(Message.tool_result(call, "dry") for call in calls)]
    with pytest.raises(RequestError, match="of a tool in a turn from 'another'"):
        sent(driver, *messages)
    with pytest.warns(UserWarning, match="of a tool in a turn from 'another'"):
        written = sent(driver, *messages, unsupported="warn")
    assert written == sent(driver, *messages, unsupported="drop")
    assert name not in json.dumps(written, ensure_ascii=False)
    made = [each for each in found(written, "name", "tool_name") if each not in {"user", "tool"}]
    assert len(made) == (4 if driver in HAVE_NAMES else 2)
    assert len(set(made)) == 1
    assert made[0].isascii()


@pytest.mark.parametrize("driver", STRICT)
def test_converted_tool_names_differ(driver):
    """Check that names that would become equal, or that of one of the request's tools, do not."""
    calls = [ToolCall(name=f"soil{sign}1", id=f"s{number}", complete=True) for number, sign in enumerate("/ ")]
    tool = {"type": "function", "function": {"name": "soil_1"}}
    written = body(driver, turn(*calls), tools=[tool], unsupported="drop")
    names = found(next(written[name] for name in ("messages", "contents", "input") if name in written), "name")
    assert names == ["soil_1_2", "soil_1_3"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_own_tool_names_are_sent_unchanged(driver):
    """Check that a call goes back to its own provider, and from the user to any, with the name that it has."""
    call = ToolCall(name="garden soil", id="s1", arguments_raw="{}", complete=True)
    for provider in (driver, None):
        assert "garden soil" in found(sent(driver, turn(call, provider=provider)), "name")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_refusal_is_in_one_attribute(driver, stream):
    """Check that `refusal` has it for every API with a place for it, and that a turn has what the model itself wrote."""
    with Simulator(Reply(refusal="I cannot help.")) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        response = inference.create("Hi", stream=stream).response()
    expected = (None, "I cannot help.") if driver in WITHOUT_REFUSALS else ("I cannot help.", "")
    assert (response.refusal, response.content) == expected
    assert ("I cannot help." in repr(response.message.parts)) is (driver not in EXPLAINED)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_reasoning_is_in_one_attribute(driver, stream):
    """Check that every driver reads it, apart from the text, in deltas and at the end."""
    with Simulator(Reply("Three.", reasoning="Let me count them.")) as simulator:
        pending = Inference.from_connection(simulator.connection_for(driver)).create("Hi", stream=stream)
        deltas = [(partial.reasoning_delta, partial.content_delta) for partial in pending.stream()]
        response = pending.response()
    assert ["".join(each) for each in zip(*deltas, strict=True)] == ["Let me count them.", "Three."]
    assert (response.reasoning_content, response.content) == ("Let me count them.", "Three.")
