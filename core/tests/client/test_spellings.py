"""What users write who know another library: the error states how it is spelt here."""

from __future__ import annotations

import traceback

import pytest

from polyglot_core import (
    ConfigError,
    Connection,
    Image,
    Inference,
    JSONSchema,
    Message,
    RequestError,
    Retries,
    Text,
    Timeouts,
    Tool,
    Truncated,
)

pytestmark = pytest.mark.usefixtures("toy_driver")

CONNECTION = Connection(name="here", driver="toy", model="m", api_key="test-key")

NAMES = {
    "temperature": ({"temperature": 1}, "create has no argument 'temperature'; pass it as options={'temperature': 1}."),
    "max_tokens": ({"max_tokens": 50}, "pass it as options={'max_tokens': 50}."),
    "max_completion_tokens": ({"max_completion_tokens": 50}, "pass it as options={'max_tokens': 50}."),
    "stop": ({"stop": ["."]}, "pass it as options={'stop': …}."),
    "temprature": ({"temprature": 0.5}, "pass it as options={'temperature': 0.5}."),
    "prompt": ({"prompt": "Hi"}, "did you mean messages?"),
    "input": ({"input": "Hi"}, "did you mean messages?"),
    "message": ({"message": "Hi"}, "did you mean messages?"),
    "system": ({"system": "Be brief."}, "did you mean messages=[{'role': 'system', 'content': '…'}, …]?"),
    "steam": ({"steam": True}, "did you mean stream?"),
    "streaming": ({"streaming": True}, "did you mean stream?"),
    "timeout": ({"timeout": 30}, "did you mean timeouts?"),
    "max_retries": ({"max_retries": 3}, "did you mean retries?"),
    "response_model": ({"response_model": int}, "did you mean response_format?"),
    "extra_body": ({"extra_body": {}}, "did you mean extra?"),
    "extra_headers": ({"extra_headers": {}}, "did you mean headers?"),
    "base_url": (
        {"base_url": "https://a.example"},
        "it is a field of the connection, as in Inference.using(…, base_url=…).",
    ),
    "api_kye": ({"api_kye": "sk-0123"}, "it is a field of the connection, as in Inference.using(…, api_key=…)."),
    "quality": ({"quality": 1}, "create has no argument 'quality'; a field of the provider's own goes into extra={…}."),
}


@pytest.mark.parametrize("wrong", NAMES)
def test_argument_of_another_name_is_corrected(flavour, wrong):
    """By `create`, `stream` and `text`, with messages and without; no value is left in the frames of the error."""
    arguments, said = NAMES[wrong]
    inference = flavour.Inference.from_connection(CONNECTION)

    async def text(*messages, **given):
        return await flavour.wait(inference.text(*messages, **given))

    async def main():
        for messages in ((), ("Hi",)):
            with pytest.raises(RequestError) as caught:
                inference.create(*messages, **arguments)
            assert caught.value.message.endswith(said)
            with pytest.raises(RequestError) as caught:
                inference.stream(*messages, **arguments)
            assert caught.value.message.endswith(said)
            with pytest.raises(RequestError) as caught:
                await text(*messages, **arguments)
            assert caught.value.message.endswith(said)

    flavour.run(main)


@pytest.mark.parametrize("method", ["create", "stream", "text"])
def test_key_in_an_unknown_argument_is_not_shown(method):
    """Nor one in the headers beside it: tracebacks show variables."""
    inference = Inference.from_connection(CONNECTION)
    try:
        getattr(inference, method)("Hi", api_key="sk-" + "4242", headers={"authorization": "sk-" + "4242"})
    except RequestError as error:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack[1:]
        assert "4242" not in "".join(str(frame.locals) for frame in frames)
    else:
        pytest.fail("no error")


def test_call_without_messages_is_refused(flavour):
    """As one with none."""
    with pytest.raises(RequestError, match="There are no messages"):
        flavour.Inference.from_connection(CONNECTION).create()


# The text of a call


def test_text_of_a_call(flavour, loopback, http, toy):
    """`text` takes the arguments of `create`, for a stream and for a plain response."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        inference = flavour.Inference(server.connection())
        return [
            await flavour.wait(inference.text("Hi", stream=stream, model="n", response_format="json"))
            for stream in (True, False)
        ]

    assert flavour.run(main) == ["Once upon a time"] * 2
    assert [asked.json["model"] for asked in server.asked] == ["n", "n"]


@pytest.mark.parametrize("on_truncated", ["raise", "mark"])
def test_truncated_text_is_an_error(flavour, loopback, http, toy, on_truncated):
    """A text cannot be marked. The error has what was received, and so has `response`."""
    server = loopback(http.streamed(toy.story[0]))

    async def main():
        inference = flavour.Inference(server.connection(retries=0))
        with pytest.raises(Truncated) as caught:
            await flavour.wait(inference.text("Hi", stream=True, on_truncated=on_truncated))
        assert caught.value.partial.content
        pending = inference.create("Hi", stream=True, on_truncated=on_truncated)
        for _ in range(2):
            with pytest.raises(Truncated):
                await flavour.wait(pending.text())
        if on_truncated == "mark":
            assert (await flavour.wait(pending.response())).outcome == "truncated"

    flavour.run(main)


# Dicts in place of objects

FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
OBJECTS = {
    "messages": (
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [Message(role="user", content="Hi")]},
    ),
    "parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"messages": [Message(role="user", content=(Text("Hi"),))]},
    ),
    "images": (
        {
            "messages": [
                Message(role="user", content=[{"type": "image_url", "image_url": {"url": "https://a.example"}}])
            ]
        },
        {"messages": [Message(role="user", content=(Image(url="https://a.example"),))]},
    ),
    "results": (
        {"messages": ["Hi", {"role": "tool", "tool_call_id": "1", "content": "4"}]},
        {"messages": ["Hi", Message.tool_result("1", "4")]},
    ),
    "tools": ({"tools": [FUNCTION]}, {"tools": [Tool(**FUNCTION)]}),
    "nested tools": ({"tools": [{"type": "function", "function": FUNCTION}]}, {"tools": [Tool(**FUNCTION)]}),
    "a choice": (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [FUNCTION], "tool_choice": "f"},
    ),
    "a format": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
        {"response_format": JSONSchema({}, name="n")},
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_dict_stands_for_an_object(kind):
    """Wherever `create` takes one of ours."""
    created = Inference.from_connection(CONNECTION).create
    as_dict, as_object = ({"messages": "Hi", **given} for given in OBJECTS[kind])
    assert created(**as_dict).request == created(**as_object).request


MISSPELT = {
    "content": (
        {"messages": [{"role": "user", "contnet": "Hi"}]},
        r"messages\[0\] .*not contnet; did you mean 'content'",
    ),
    "role": ({"messages": [{"rol": "user", "content": "Hi"}]}, r"messages\[0\] requires a role.*'rol'"),
    "tool_calls": ({"messages": [{"role": "assistant", "tool_cals": []}]}, "not tool_cals; did you mean 'tool_calls'"),
    "tool_call_id": (
        {"messages": [{"role": "tool", "tool_callid": "1", "content": "4"}]},
        "not tool_callid; did you mean 'tool_call_id'",
    ),
    "a type": (
        {"messages": [{"role": "user", "content": [{"type": "image_ulr", "image_url": "https://a.example"}]}]},
        r"messages\[0\].content\[0\].type is 'image_ulr'; did you mean 'image_url'",
    ),
    "a text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "txt": "Hi"}]}]},
        r"messages\[0\].content\[0\].*lacks the field 'text'; it should be {'type': 'text'",
    ),
    "a tool": ({"tools": [{"name": "f", "parmeters": {}}]}, r"tools\[0\].*not parmeters; did you mean 'parameters'"),
    "a nested tool": ({"tools": [{"function": {"name": "f", "strct": True}}]}, "not strct; did you mean 'strict'"),
    "a format": (
        {"response_format": {"type": "json_schema", "shema": {}}},
        "'shema', which is not read; did you mean 'schema'",
    ),
    "an option": ({"options": {"temprature": 1}}, "did you mean 'temperature'"),
    "timeouts": ({"timeouts": {"idel": 1}}, r"no 'idel' in timeouts \(did you mean 'idle'"),
    "retries": ({"retries": {"max_retry": 1}}, r"no 'max_retry' in retries \(did you mean 'max_retries'"),
}


@pytest.mark.parametrize("wrong", MISSPELT)
def test_misspelt_key_is_named(wrong):
    """With its place, and with the right one."""
    arguments, said = MISSPELT[wrong]
    with pytest.raises((RequestError, ConfigError), match=said):
        Inference.from_connection(CONNECTION).create(**{"messages": "Hi", **arguments})


def test_fields_of_providers_are_no_misspellings():
    """What is not read is kept, whatever it resembles."""
    turns = [
        {"role": "assistant", "content": "Hi", "context": {}, "tool_call": None, "reasoning_content": "Hm."},
        {"role": "assistant", "content": "", "reasoning_content": "Hm."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}, {"type": "video_url", "video_url": {}}]},
        {"role": "user", "content": [{"type": "image", "source": {}}, {"text": "Hi"}]},
    ]
    first, second, third, fourth = Inference.from_connection(CONNECTION).create(turns).request.messages
    assert first.extra == {"context": {}, "tool_call": None, "reasoning_content": "Hm."}
    assert second.extra == {"reasoning_content": "Hm."}
    assert [part.payload["type"] for part in third.parts] == ["input_text", "video_url"]
    assert len(fourth.parts) == 2


WAITS = Timeouts(connect=30, first=30, idle=30, silence=30)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"timeouts": 30}, {"timeouts": WAITS}),
        ({"timeouts": {"idle": 30}}, {"timeouts": Timeouts(idle=30)}),
        ({"timeouts": WAITS}, {"timeouts": WAITS}),
        ({"retries": 5}, {"retries": Retries(max_retries=5)}),
        ({"retries": {"max_backoff": 1}}, {"retries": Retries(max_backoff=1, budget=35)}),
    ],
)
def test_numbers_and_dicts_in_every_place(given, expected, tmp_path, toy):
    """In code, by name, and for one call; `timeouts=30` in the file and in a line too."""
    ((field, wanted),) = expected.items()
    config = tmp_path / "polyglot.toml"
    config.write_text("[connections.mine]\ndriver = 'toy'\n")
    assert getattr(Connection(name="c", driver="toy", **given), field) == wanted
    assert getattr(CONNECTION.with_changes(**given), field) == wanted
    assert getattr(Inference.using("mine", config=config, **given).connection, field) == wanted
    Inference.from_connection(CONNECTION).create("Hi", **given)
    if isinstance(number := given[field], int):
        config.write_text(f"[connections.mine]\ndriver = 'toy'\n{field} = {number}\n")
        assert getattr(Inference.using("mine", config=config).connection, field) == wanted
        assert getattr(Inference.from_dsn(f"driver=toy,{field}={number}").connection, field) == wanted
