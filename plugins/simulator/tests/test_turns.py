"""Turns between all dialects: what is sent of a response that was interrupted, is empty, or is another provider's."""

from __future__ import annotations

import json

import pytest

from polyglot_core import Inference, Message
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Audio, Document, Image, RawPart, Reasoning, Text, ToolCall
from polyglot_simulator import Simulator

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


def turn(*parts, provider="another", complete=True):
    return Message(role="assistant", content=parts, provider=provider, complete=complete)


def sent(driver, *messages, **fields):
    """Return what the request has of the conversation."""
    with Simulator("ok") as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        inference.create(["Hi", *messages], **fields).response()
        body = simulator.requests[-1].body
    return next(body[name] for name in ("messages", "contents", "input") if name in body)


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
    "part", [Image(data=b"i"), Audio(data=b"a"), Document(data=b"d")], ids=["image", "audio", "document"]
)
@pytest.mark.parametrize("driver", WITHOUT_FILES)
def test_file_of_another_provider_is_reported(driver, part):
    """Check that the file is named, as the API takes files from the user alone, and that the text is sent without it."""
    received = turn(Text("Here:"), part)
    with pytest.raises(RequestError, match="assistant|in a turn from 'another'|a part of type"):
        sent(driver, received, "And?")
    said = found(sent(driver, received, "And?", unsupported="drop"), "content", "text")
    assert said == ["Hi", "Here:", "And?"]


@pytest.mark.parametrize(
    "driver", ["anthropic", "bedrock", "cohere", "gemini", "mistral", "openai-responses", "vertex"]
)
@pytest.mark.parametrize("own", [True, False], ids=["own", "foreign"])
def test_interrupted_turn_without_anything_is_omitted(driver, own):
    """Check that no turn without content is sent, which these APIs refuse."""
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
