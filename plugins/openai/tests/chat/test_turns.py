"""A response goes back as the turn that it was, streamed and plain."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec.structs import replace

from polyglot_core.plugin import Image, Message, Reasoning, Text, ToolCall
from polyglot_openai.chat.presets import PRESETS

PICTURE = base64.b64encode(b"\x89PNG..").decode()
SOUND = base64.b64encode(b"RIFF....").decode()
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://a.test/", "start_index": 0, "end_index": 2}}


def picture(**fields):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}, **fields}


def called(name="sum", arguments='{"a":1}', id_="c1", **fields):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def begun(index, **fields):
    return {"index": index, **called(arguments="", **fields)}


def thought(text, **fields):
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}], **fields}


def block(text=None, **fields):
    return {"type": "reasoning.text", "index": 0, **({} if text is None else {"text": text}), **fields}


TEXT = {"type": "text", "text": "Hi there."}

# name → the message of a plain response, and the same as deltas of a stream
TURNS = {
    "a text": ({"content": "Hi there."}, [{"content": "Hi"}, {"content": " there."}]),
    "a refusal": ({"content": None, "refusal": "I do not."}, [{"refusal": "I do"}, {"refusal": " not."}]),
    "a text and a refusal": (
        {"content": "Hi.", "refusal": "I do not."},
        [{"content": "Hi."}, {"refusal": "I do"}, {"refusal": " not."}],
    ),
    "calls": (
        {"tool_calls": [called(), called("mul", '{"b":2}', "c2")]},
        [
            {"tool_calls": [begun(0)]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
            {"tool_calls": [begun(1, name="mul", id_="c2")]},
            {"tool_calls": [{"index": 1, "function": {"arguments": '{"b":2}'}}]},
        ],
    ),
    "a text around a call": (
        {"content": "Hi there.", "tool_calls": [called()]},
        [{"content": "Hi"}, {"tool_calls": [{"index": 0, **called()}]}, {"content": " there."}],
    ),
    "a call with further fields": (
        {"tool_calls": [called(extra_content={"a": {"b": 1}}, namespace="n")]},
        [
            {"tool_calls": [begun(0, extra_content={"a": {"b": 1}}, namespace="n")]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
        ],
    ),
    "a call with a further field in its function": (
        {"tool_calls": [{**called(), "function": {"name": "sum", "arguments": '{"a":1}', "namespace": "n"}}]},
        [{"tool_calls": [{"index": 0, **called(), "function": {"name": "sum", "arguments": "", "namespace": "n"}}]},
         {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}],
    ),
    "a custom call": (
        {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}]},
        [
            {"tool_calls": [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sql", "input": ""}}]},
            {"tool_calls": [{"index": 0, "custom": {"input": "SELECT"}}]},
            {"tool_calls": [{"index": 0, "custom": {"input": " 1"}}]},
        ],
    ),
    "content in parts": (
        {"content": [thought("Hm. So.", closed=True), TEXT]},
        [
            {"content": [thought("Hm.")]},
            {"content": [thought(" So.", closed=True)]},
            {"content": "Hi"},
            {"content": " there."},
        ],
    ),
    "parts of unknown types": (
        {"content": [{**TEXT, "text": "A"}, {"type": "new", "of": [1]}, {**TEXT, "text": "B"}, {"type": "reference"}]},
        [
            {"content": "A"},
            {"content": [{"type": "new", "of": [1]}]},
            {"content": [{**TEXT, "text": "B"}]},
            {"content": [{"type": "reference"}]},
        ],
    ),
    "text, a source and text": (
        {"content": [{**TEXT, "text": "AB"}, {"type": "reference", "reference_ids": [1]}, {**TEXT, "text": "CD"}]},
        [
            {"content": "A"},
            {"content": "B"},
            {"content": [{"type": "reference", "reference_ids": [1]}]},
            {"content": "C"},
            {"content": "D"},
        ],
    ),
    "a text with further fields": (
        {"content": [{**TEXT, "mark": {"a": 1}}]},
        [{"content": [{**TEXT, "text": "Hi", "mark": {"a": 1}}]}, {"content": [{**TEXT, "text": " there."}]}],
    ),
    "a refusal in the content": (
        {"content": [{"type": "refusal", "refusal": "I do not."}]},
        [{"content": [{"type": "refusal", "refusal": text}]} for text in ("I do", " not.")],
    ),
    "signed thinking in the content": (
        {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, TEXT]},
        [{"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]}, {"content": "Hi there."}],
    ),
    "a summary in the content": (
        {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm.", "signature": "s"}]}, TEXT]},
        [
            {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "H"}]}]},
            {"content": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "m.", "signature": "s"}]}]},
            {"content": [TEXT]},
        ],
    ),
    "a picture in the content": ({"content": [TEXT, picture()]}, [{"content": "Hi there."}, {"content": [picture()]}]),
    "pictures beside the content": (
        {"content": "Hi there.", "images": [picture(index=0), picture(index=1)]},
        [{"content": "Hi"}, {"images": [picture(index=0)]}, {"content": " there."}, {"images": [picture(index=1)]}],
    ),
    "a link to a picture beside the content": (
        {"content": None, "images": [{"type": "image_url", "image_url": {"url": "https://a.test/p"}}]},
        [{"images": [{"type": "image_url", "image_url": {"url": "https://a.test/p"}}]}],
    ),
}  # fmt: skip


def received(openai, message, deltas, *, streamed, facts=None, finish="stop"):
    """Return the response to a message, plain or streamed as deltas."""
    names = {"id": "r1", "model": "m1"}
    if streamed:
        chunks = [{**names, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}]
        chunks += [{**names, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        chunks += [{**names, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, b"[DONE]"]
        return openai.read(openai.stream(*chunks), facts=facts)[1]
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return openai.read(openai.data({**names, "choices": [choice]}), stream=False, facts=facts)[1]


def sent(openai, turn, facts=None):
    """Return the message that is sent for a turn."""
    return openai.body({"facts": facts or {}}, messages=["Hi", turn])["messages"][1]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("name", TURNS)
def test_turn_goes_back_as_it_was_received(openai, name, streamed):
    """Field for field, part for part, unknown ones included."""
    message, deltas = TURNS[name]
    response = received(openai, message, deltas, streamed=streamed)
    assert sent(openai, response.message) == {"role": "assistant", **message}
    assert Message.from_dict(response.message.to_dict()) == response.message


@pytest.mark.parametrize("name", TURNS)
def test_streamed_turn_equals_the_plain_one(openai, name):
    """In every field of the response."""
    message, deltas = TURNS[name]
    one, other = (received(openai, message, deltas, streamed=streamed).to_dict() for streamed in (True, False))
    for fields in (one, other):
        del fields["timing"]
    assert one == other


def test_thinking_beside_the_content_does_not_divide_the_text(openai):
    """Texts around thinking go back as one string, because most servers take no list of texts."""
    facts = {"reasoning_back": ["reasoning_content"]}
    deltas = [{"content": "Hi"}, {"reasoning_content": "Hm."}, {"content": " there."}]
    response = received(openai, {}, deltas, streamed=True, facts=facts)
    wanted = {"role": "assistant", "content": "Hi there.", "reasoning_content": "Hm."}
    assert sent(openai, response.message, facts) == wanted


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_sound_goes_back_by_its_id(openai, streamed):
    """Its bytes are not sent again; its transcript and its other fields are details."""
    sound = {"id": "audio_1", "data": SOUND, "transcript": "Beep.", "expires_at": 9}
    pieces = [
        {"audio": {"id": "audio_1", "transcript": "Be"}},
        {"audio": {"transcript": "ep."}},
        {"audio": {"data": SOUND}},
        {"audio": {"expires_at": 9}},
    ]
    response = received(openai, {"content": None, "audio": sound}, pieces, streamed=streamed)
    assert sent(openai, response.message) == {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    assert response.details["audio"] == {"id": "audio_1", "transcript": "Beep.", "expires_at": 9}
    assert response.choices[0].media[0].data == b"RIFF...."


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("place", ["beside", "nested", "in a part"])
def test_sources_name_the_text_that_they_support(openai, streamed, place):
    """They are not sent back."""
    flat = {"type": "url_citation", **SOURCE["url_citation"]}
    source = flat if place == "beside" else SOURCE
    message = {"content": "Hi there.", "annotations": [source]}
    if place == "in a part":
        message = {"content": [{**TEXT, "annotations": [source]}]}
    response = received(openai, message, [message], streamed=streamed)
    (cited,) = response.choices[0].cited
    assert (cited.source, cited.part, cited.start, cited.end) == (source, 0, 0, 2)
    assert sent(openai, response.message) == {"role": "assistant", "content": "Hi there."}


BLOCKS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
    {"type": "redacted_thinking", "data": "xyz"},
    {"type": "thinking", "thinking": "So.", "signature": "s2"},
]
BLOCK_DELTAS = [
    {"reasoning_content": "H", "thinking_blocks": [{"type": "thinking", "thinking": "H", "signature": None}]},
    {"reasoning_content": "m.", "thinking_blocks": [{"type": "thinking", "thinking": "m."}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s1"}]},
    {"thinking_blocks": [BLOCKS[1]]},
    {"reasoning_content": "So.", "thinking_blocks": [{"type": "thinking", "thinking": "So."}]},
    {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "s2"}]},
    {"content": "5"},
]


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
def test_signed_thinking_goes_back_through_litellm(openai, streamed):
    """Each block with its own signature."""
    facts = PRESETS["litellm-proxy"].facts
    message = {"content": "5", "reasoning_content": "Hm.So.", "thinking_blocks": BLOCKS}
    response = received(openai, message, BLOCK_DELTAS, streamed=streamed, facts=facts)
    assert response.reasoning_content == "Hm.So."
    assert sent(openai, response.message, facts) == {"role": "assistant", **message}


def test_unsigned_thinking_is_no_block_of_litellm(openai):
    """Anthropic's API rejects such a block; it goes back as text alone."""
    facts = PRESETS["litellm-proxy"].facts
    response = received(openai, {"content": "5", "reasoning_content": "Hm."}, [], streamed=False, facts=facts)
    assert sent(openai, response.message, facts) == {"role": "assistant", "content": "5", "reasoning_content": "Hm."}


@pytest.mark.parametrize("preset", ["moonshot", "deepseek"])
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((ToolCall(name="sum", id="c1"),), "(none)"),
        ((Text("I add."), ToolCall(name="sum", id="c1")), "(none)"),
        ((Reasoning(text=""), ToolCall(name="sum", id="c1")), "(none)"),
        ((Reasoning(text="Hm."), ToolCall(name="sum", id="c1")), "Hm."),
        ((Text("5"),), None),
    ],
    ids=["call", "text and call", "empty thinking", "thinking", "no call"],
)
def test_turn_with_calls_always_has_thinking(openai, preset, parts, expected):
    """Where an endpoint rejects one without, a text stands in for it."""
    turn = sent(openai, Message(role="assistant", content=parts), PRESETS[preset].facts)
    assert turn.get("reasoning_content") == expected


@pytest.mark.parametrize("provider", ["openai", "azure-openai", "anthropic"])
def test_turn_of_a_sibling_is_its_own(openai, provider):
    """Azure's responses are those of the same dialect; other dialects' further fields are left out."""
    parts = (Text("5", extra={"mark": 1}), ToolCall(name="sum", id="c1", extra={"namespace": "n"}))
    turn = sent(openai, Message(role="assistant", content=parts, provider=provider))
    own = provider != "anthropic"
    assert turn["content"] == ([{"type": "text", "text": "5", "mark": 1}] if own else "5")
    assert ("namespace" in turn["tool_calls"][0]) == own


def test_part_of_a_user_keeps_its_further_fields(openai):
    """Also those inside the object of its type; a cache mark may have a lifetime."""
    image = Image(url="https://a.test/p", extra={"image_url": {"format": "png"}, "mark": 1}, cache="1h")
    facts = {"cache_marks": True}
    (part,) = openai.body({"facts": facts}, messages=[Message(role="user", content=(image,))])["messages"][0]["content"]
    assert part == {
        "type": "image_url",
        "image_url": {"url": "https://a.test/p", "format": "png"},
        "mark": 1,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    unmarked = replace(image, extra={}, cache=False)
    plain = openai.body(messages=[Message(role="user", content=(unmarked,))])["messages"][0]["content"]
    assert plain == [{"type": "image_url", "image_url": {"url": "https://a.test/p"}}]


def test_interrupted_turn_keeps_whole_blocks(openai):
    """A tool call that was cut goes not back as a whole one."""
    body = openai.stream(
        {"choices": [{"index": 0, "delta": {"content": "Hi"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **called(arguments='{"a"')}]}}]},
    )
    with pytest.raises(Exception, match="ended before") as caught:
        openai.read(body)
    assert sent(openai, caught.value.partial.message) == {"role": "assistant", "content": "Hi"}
    assert json.loads(json.dumps(caught.value.partial.to_dict()))["outcome"] == "truncated"
