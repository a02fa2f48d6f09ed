"""The turn that goes back is the turn that was received: part for part, streamed and plain, of either endpoint."""

from __future__ import annotations

import json

import pytest

from polyglot_core.errors import RequestError, Truncated
from polyglot_core.plugin import Image, Message, RawPart, Reasoning, Text, ToolCall

IMAGE = {"mimeType": "image/png", "data": "cm9zZQ=="}
SOUND = {"mimeType": "audio/L16;rate=24000", "data": "c291bmQ="}
CODE = {"executableCode": {"language": "PYTHON", "code": "print(6*7)", "id": "e1"}}
RESULT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n", "id": "e1"}}
USE = {"toolCall": {"toolType": "GOOGLE_SEARCH", "id": "t1", "args": {"queries": ["rose"]}}, "thoughtSignature": "QQ=="}
FOUND = {"toolResponse": {"toolType": "GOOGLE_SEARCH", "id": "t1", "response": {"hits": [1.5, None, "x"]}}}

TURNS = {
    "text": [{"text": "Plant."}],
    "signed text": [{"text": "Plant.", "thoughtSignature": "QQ=="}],
    "text, then a signed text": [{"text": "Plant."}, {"text": " Water.", "thoughtSignature": "QQ=="}],
    "signed text, then a text": [{"text": "Plant.", "thoughtSignature": "QQ=="}, {"text": " Water."}],
    "two signed texts": [{"text": "a", "thoughtSignature": "QQ=="}, {"text": "b", "thoughtSignature": "Qg=="}],
    "text, then a signature": [{"text": "Plant."}, {"text": "", "thoughtSignature": "QQ=="}],
    "text, then a signature without a text": [{"text": "Plant."}, {"thoughtSignature": "QQ=="}],
    "signature alone": [{"text": "", "thoughtSignature": "QQ=="}],
    "two texts": [{"text": "Plant."}, {"text": " Water."}],
    "text with video metadata": [{"text": "Plant.", "videoMetadata": {"fps": 1}}],
    "text with a field of tomorrow": [{"text": "Plant.", "mood": ["glad", None, 0.5]}, {"text": "x"}],
    "thought": [{"text": "Sun?", "thought": True}, {"text": "Plant."}],
    "two thoughts": [{"text": "Sun?", "thought": True}, {"text": " Yes.", "thought": True}, {"text": "Plant."}],
    "signed thought": [{"text": "Sun?", "thought": True, "thoughtSignature": "QQ=="}, {"text": "Plant."}],
    "empty signed thought": [{"text": "", "thought": True, "thoughtSignature": "QQ=="}, {"text": "Plant."}],
    "thought after a text": [{"text": "Plant."}, {"text": "Sun?", "thought": True}, {"text": "Water."}],
    "thought with a field of tomorrow": [{"text": "Sun?", "thought": True, "mood": 1}],
    "image": [{"inlineData": IMAGE}],
    "signed image": [{"text": "Here:"}, {"inlineData": IMAGE, "thoughtSignature": "QQ=="}, {"text": "A rose."}],
    "image with further fields": [{"inlineData": {**IMAGE, "displayName": "rose"}, "mediaResolution": {"level": "x"}}],
    "two images": [{"inlineData": IMAGE}, {"inlineData": IMAGE}],
    "image drawn while thinking": [{"inlineData": IMAGE, "thought": True}, {"inlineData": IMAGE}],
    "image in base64 of another spelling": [{"inlineData": {"mimeType": "image/png", "data": "-_-_cg"}}],
    "image without a type": [{"inlineData": {"data": "cm9zZQ=="}}],
    "image that is no base64": [{"inlineData": {"mimeType": "image/png", "data": "%"}}],
    "image without data": [{"inlineData": {"mimeType": "image/png"}}],
    "sound": [{"inlineData": SOUND}],
    "signed sound": [{"inlineData": SOUND, "thoughtSignature": "QQ=="}],
    "film": [{"inlineData": {"mimeType": "video/mp4", "data": "ZmlsbQ=="}, "videoMetadata": {"fps": 2}}],
    "paper": [{"inlineData": {"mimeType": "application/pdf", "data": "cGFwZXI="}}],
    "file": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://garden/rose.png"}, "thoughtSignature": "QQ=="}],
    "call": [{"functionCall": {"name": "soil", "args": {"bed": 3}, "id": "w1"}, "thoughtSignature": "QQ=="}],
    "call without arguments": [{"functionCall": {"name": "soil"}}],
    "call with empty arguments": [{"functionCall": {"name": "soil", "args": {}}}],
    "call with exact numbers": [{"functionCall": {"name": "soil", "args": {"n": 12345678901234567890123, "x": 0.1}}}],
    "call with further fields": [{"functionCall": {"name": "soil", "args": {}, "mood": {"a": 1}}, "bed": 2}],
    "calls with one id": [{"functionCall": {"name": "soil", "id": "soil", "args": {"bed": bed}}} for bed in (1, 1, 2)],
    "calls around a text": [{"functionCall": {"name": "soil"}}, {"text": "And"}, {"functionCall": {"name": "clock"}}],
    "code and its result": [{"text": "I count."}, {**CODE, "thoughtSignature": "QQ=="}, RESULT, {"text": "42."}],
    "tool of Google's": [USE, FOUND, {"text": "Found."}],
    "part of tomorrow": [{"text": "Look:"}, {"hologram": {"depth": 3}, "thoughtSignature": "QQ=="}, {"text": "There."}],
    "part of tomorrow alone": [{"hologram": 7}],
    "attributes alone": [{"videoMetadata": {"fps": 1}}],
    "known field of another type": [{"functionCall": "soil"}, {"inlineData": [1]}, {"text": {"a": 1}}],
}


def whole(*candidates, **beside):
    given = [
        {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": n} for n, parts in candidates
    ]
    return json.dumps({"candidates": given, **beside}).encode()


def streamed(*chunks):
    """Return a stream with one chunk for each list of parts, and a last one with the reason."""
    said = [{"candidates": [{"content": {"parts": parts, "role": "model"}}]} for parts in chunks]
    end = {"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP"}]}
    return b"".join(b"data: %b\r\n\r\n" % json.dumps(each).encode() for each in [*said, end])


def sent(body, message, driver="gemini", **fields):
    asked = body([Message(role="user", content="x"), message], connection={"driver": driver, "facts": {}}, **fields)
    return asked["contents"][1]["parts"]


@pytest.mark.parametrize("driver", ["gemini", "vertex"])
@pytest.mark.parametrize("parts", TURNS.values(), ids=TURNS)
def test_plain_turn_goes_back(body, replay_body, parts, driver):
    """Part for part."""
    response = replay_body(whole((0, parts)), streamed=False, driver=driver).response
    assert sent(body, response.message, driver) == parts


@pytest.mark.parametrize("parts", TURNS.values(), ids=TURNS)
def test_streamed_turn_goes_back(body, replay_body, parts):
    """All parts in one chunk, and a chunk for each; there the pieces of one text or thought are joined."""
    assert sent(body, replay_body(streamed(parts)).response.message) == parts
    assert sent(body, replay_body(streamed(*([part] for part in parts))).response.message) == joined(parts)


def joined(parts):
    """Return the parts with consecutive ones joined that are nothing but text, or nothing but thinking."""
    made = []
    for part in parts:
        before = made[-1] if made else {}
        kinds = {frozenset(part), frozenset(before)}
        if kinds in ({frozenset({"text"})}, {frozenset({"text", "thought"})}) and isinstance(part["text"], str):
            made[-1] = {**before, "text": before["text"] + part["text"]}
        else:
            made.append(part)
    return made


@pytest.mark.parametrize("parts", TURNS.values(), ids=TURNS)
def test_turn_that_was_stored_goes_back(body, replay_body, parts):
    """As JSON, in between."""
    message = replay_body(streamed(parts)).response.message
    restored = Message.from_dict(json.loads(json.dumps(message.to_dict())))
    assert sent(body, restored) == parts


@pytest.mark.parametrize(("first", "second"), [("gemini", "vertex"), ("vertex", "gemini")])
def test_both_endpoints_take_each_others_turns(body, replay_body, first, second):
    """They have one dialect."""
    parts = TURNS["tool of Google's"] + TURNS["signed image"]
    response = replay_body(whole((0, parts)), streamed=False, driver=first).response
    assert sent(body, response.message, second) == parts


def test_turn_of_another_dialect_is_reduced(body):
    """Its own blocks are reported, and its signatures left out."""
    parts = (Reasoning(text="Sun?", signature="QQ=="), Text("Plant.", extra={"citations": []}), RawPart({"type": "x"}))
    message = Message(role="assistant", content=parts, provider="anthropic")
    with pytest.raises(RequestError, match="anthropic"):
        sent(body, message)
    assert sent(body, message, unsupported="drop") == [{"text": "Sun?", "thought": True}, {"text": "Plant."}]


def test_candidates_have_turns_of_their_own(replay_body):
    """Interleaved, and without an index, by their places."""
    chunk = {"candidates": [{"content": {"parts": [{"text": text}]}} for text in ("a", "b")]}
    end = {"candidates": [{"finishReason": "STOP", "index": index} for index in (0, "1")]}
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in (chunk, chunk, end))
    choices = replay_body(body).response.choices
    assert [choice.parts for choice in choices] == [(Text("aa"),), (Text("bb"),)]


@pytest.mark.parametrize("rest", [[], [{"text": " is"}]], ids=["at the end", "before a text"])
@pytest.mark.parametrize("use", [USE, CODE], ids=["tool", "code"])
def test_use_of_a_tool_without_its_result(body, replay_body, use, rest):
    """It goes back with a whole turn only, as the result must follow."""
    parts = [{"text": "It"}, use, *rest]
    finished = replay_body(streamed(parts)).response.message
    assert sent(body, finished) == parts
    cut = replay_body(streamed(parts).rpartition(b"data:")[0]).error
    assert isinstance(cut, Truncated)
    assert sent(body, cut.partial.message) == [{"text": "It"}, *rest]


def test_use_of_a_tool_with_its_result(body, replay_body):
    """It goes back with an interrupted turn too."""
    parts = [USE, FOUND, CODE, RESULT, {"text": "It"}]
    cut = replay_body(streamed(parts).rpartition(b"data:")[0]).error
    assert sent(body, cut.partial.message) == parts


def test_pieces_of_a_sound_are_one_file(body, replay_body):
    """As they are in the media of the response; a sound in the same chunk is another one."""
    response = replay_body(streamed(*([{"inlineData": SOUND}],) * 3)).response
    assert [file.data for file in response.choices[0].media] == [b"sound" * 3]
    assert sent(body, response.message) == [{"inlineData": {**SOUND, "data": "c291bmRzb3VuZHNvdW5k"}}]


def test_signature_of_an_image_can_be_read(replay_body):
    """In the part of the turn."""
    image = replay_body(whole((0, TURNS["signed image"])), streamed=False).response.choices[0].parts[1]
    assert image == Image(data=b"rose", mime_type="image/png", extra={"thoughtSignature": "QQ=="})


ODD = {
    "parts are null": {"content": {"parts": None, "role": "model"}},
    "content is null": {"content": None},
    "content is a list": {"content": []},
    "parts are a text": {"content": {"parts": "x"}},
    "part is null": {"content": {"parts": [None, {"text": "x"}]}},
    "part is an object": {"content": {"parts": {"text": "x"}}},
    "no role": {"content": {"parts": [{"text": "x"}]}},
    "another role": {"content": {"parts": [{"text": "x"}], "role": "user"}},
    "index as a text": {"content": {"parts": [{"text": "x"}]}, "index": "0"},
    "index is null": {"content": {"parts": [{"text": "x"}]}, "index": None},
    "text is a number": {"content": {"parts": [{"text": 7}]}},
    "null fields": {
        "content": {"parts": [{"text": "x", "thought": None, "inlineData": None}]},
        "groundingMetadata": None,
    },
    "odd metadata": {"content": {"parts": [{"text": "x"}]}, "groundingMetadata": [1], "citationMetadata": "x"},
    "odd sources": {
        "content": {"parts": [{"text": "x"}]},
        "groundingMetadata": {"groundingSupports": [{"segment": 1}]},
    },
}


CONVERTED = {
    "content is a text": {"content": "xy"},
    "content is a list of parts": {"content": [{"text": "x"}, {"text": "y"}]},
    "parts are a text": {"content": {"parts": "xy"}},
    "parts are texts": {"content": {"parts": ["x", "y"]}},
    "part among nulls": {"content": {"parts": [None, {"text": "xy"}, None]}},
    "reason in a list": {"content": {"parts": [{"text": "xy"}]}, "finishReason": ["STOP"]},
    "reason as a number in text": {"content": {"parts": [{"text": "xy"}]}, "finishReason": "1"},
}


@pytest.mark.parametrize("candidate", CONVERTED.values(), ids=CONVERTED)
@pytest.mark.parametrize("listed", [True, False], ids=["in a list", "alone"])
def test_values_of_another_type_are_converted(replay_body, candidate, listed):
    """Where they can mean only one thing."""
    given = {"finishReason": "STOP", **candidate}
    body = json.dumps({"candidates": [given] if listed else given}).encode()
    for text, is_stream in ((body, False), (b"data: %b\n\n" % body, True)):
        response = replay_body(text, streamed=is_stream).response
        assert (response.content, response.finish_reason, response.notes) == ("xy", "stop", ())


@pytest.mark.parametrize("value", [[1], True], ids=str)
def test_what_is_no_part_is_noted(replay_body, value):
    """It is not dropped silently."""
    body = json.dumps({"candidates": [{"content": {"parts": [value, {"text": "x"}]}, "finishReason": "STOP"}, [2]]})
    response = replay_body(body.encode(), streamed=False).response
    assert response.content == "x"
    assert [note.partition(" of ")[0] for note in response.notes] == ["A part", "A candidate"]


@pytest.mark.parametrize("candidate", ODD.values(), ids=ODD)
@pytest.mark.parametrize("is_stream", [True, False], ids=["streamed", "plain"])
def test_odd_values_lose_nothing_else(replay_body, candidate, is_stream):
    """A value of another type than the reference states does not cost the response."""
    payload = json.dumps({"candidates": [{**candidate, "finishReason": "STOP"}]}).encode()
    result = replay_body(b"data: %b\n\n" % payload if is_stream else payload, streamed=is_stream)
    assert result.error is None
    assert result.response.finish_reason == "stop"
    assert result.response.content in {"x", "7", ""}


CALLS = {
    "without a name": ([{"args": {"bed": 1}, "id": "w1"}], [("w1", "", {"bed": 1}, False)]),
    "name on every piece": (
        [
            {"name": "soil", "partialArgs": [{"jsonPath": "$.bed", "numberValue": 1}], "willContinue": True},
            {"name": "soil", "partialArgs": [{"jsonPath": "$.deep", "boolValue": True}], "willContinue": True},
            {},
        ],
        [(None, "soil", {"bed": 1, "deep": True}, True)],
    ),
    "another id begins another call": (
        [
            {"name": "soil", "id": "a", "partialArgs": [{"jsonPath": "$.bed", "numberValue": 1}], "willContinue": True},
            {"name": "soil", "id": "b", "partialArgs": [{"jsonPath": "$.bed", "numberValue": 2}], "willContinue": True},
            {},
        ],
        [("a", "soil", {"bed": 1}, True), ("b", "soil", {"bed": 2}, True)],
    ),
    "all arguments once more at the end": (
        [
            {"name": "soil", "partialArgs": [{"jsonPath": "$.bed", "numberValue": 1}], "willContinue": True},
            {"args": {"bed": 1}},
        ],
        [(None, "soil", {"bed": 1}, True)],
    ),
    "all arguments at the end only": (
        [{"name": "soil", "willContinue": True}, {"args": {"bed": 1}}],
        [(None, "soil", {"bed": 1}, True)],
    ),
    "an end without a call": ([{"name": "clock"}, {}], [(None, "clock", {}, True)]),
    "arguments as a text": ([{"name": "soil", "args": '{"bed": 1}'}], [(None, "soil", {"bed": 1}, True)]),
    "arguments that are no object": ([{"name": "soil", "args": "bed"}], [(None, "soil", None, False)]),
}


@pytest.mark.parametrize(("calls", "expected"), CALLS.values(), ids=CALLS)
def test_tool_calls_in_pieces(replay_body, calls, expected):
    """Each call is one call, and ready only if it is whole."""
    response = replay_body(streamed(*([{"functionCall": call}] for call in calls))).response
    assert [(call.id, call.name, call.arguments, call.ready) for call in response.tool_calls] == expected


def test_reason_with_every_chunk_does_not_end_a_tool_call(replay_body):
    """A STOP is sent before the model is done."""
    pieces = [{"jsonPath": f"$.bed{n}", "numberValue": n} for n in (1, 2)]
    calls = [
        {"name": "soil", "willContinue": True},
        *({"partialArgs": [piece], "willContinue": True} for piece in pieces),
    ]
    chunks = [{"content": {"parts": [{"functionCall": call}]}, "finishReason": "STOP"} for call in [*calls, {}]]
    body = b"".join(b"data: %b\n\n" % json.dumps({"candidates": [chunk]}).encode() for chunk in chunks)
    (call,) = replay_body(body).response.tool_calls
    assert (call.arguments, call.ready) == ({"bed1": 1, "bed2": 2}, True)


def test_broken_call_is_sent_as_an_object(body, replay_body):
    """The API refuses any other arguments in a later turn."""
    call = replay_body(streamed([{"functionCall": {"name": "soil", "args": "bed"}}])).response.message
    assert isinstance(call.parts[0], ToolCall)
    assert sent(body, call) == [{"functionCall": {"name": "soil", "args": {"INVALID_JSON": "bed"}}}]
