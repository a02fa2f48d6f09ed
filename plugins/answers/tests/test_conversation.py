"""Conversations: streams over real sockets, branches, cache marks, and JSON."""

from __future__ import annotations

import copy
import json

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_answers.conversation import Conversation, pending_calls
from polyglot_core import (
    AsyncInference,
    Audio,
    Document,
    Image,
    Inference,
    Message,
    Outcome,
    PolyglotError,
    RawPart,
    RawTool,
    Reasoning,
    Refusal,
    RequestError,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    TransportError,
    Truncated,
    Usage,
)
from polyglot_simulator import Cut, Pace, Reply, Reset, Simulator, Stall, Status
from polyglot_simulator import ToolCall as Call

pytestmark = pytest.mark.http

STYLES = ("sync", "asyncio", "trio")
each_style = pytest.mark.parametrize("style", STYLES)
some_drivers = pytest.mark.parametrize("driver", ["openai", "openai-responses", "anthropic", "gemini", "bedrock"])


def talk(style, simulator, conversation, turn=None, *, driver="openai", **arguments):
    """Stream a response in a style, and return the error that ended it, or None."""
    connection = simulator.connection_for(driver)
    how = {name: arguments.pop(name) for name in ("read", "most") if name in arguments}

    async def main():
        async with AsyncInference.from_connection(connection) as inference:
            try:
                async with conversation.stream(inference, turn, **arguments) as stream:
                    return await async_read(stream, **how)
            except PolyglotError as error:
                return error

    if style != "sync":
        return anyio.run(main, backend=style)
    with Inference.from_connection(connection) as inference:
        try:
            with conversation.stream(inference, turn, **arguments) as stream:
                return sync_read(stream, **how)
        except PolyglotError as error:
            return error


def sync_read(stream, read="partials", most=None):
    """Read a stream, in one of four ways, up to so many pieces; None reads all."""
    if read == "response":
        stream.response()
        return
    pieces = {"partials": stream, "text": stream.text(), "core": stream.stream}[read]
    for number, _ in enumerate(pieces):
        if number == most:
            return


async def async_read(stream, read="partials", most=None):
    """Read an async stream in the same ways."""
    if read == "response":
        await stream.response()
        return
    number = 0
    async for _ in {"partials": stream, "text": stream.text(), "core": stream.stream}[read]:
        if number == most:
            return
        number += 1


def shown(conversation):
    return [(message.role, message.text) for message in conversation.messages]


@pytest.mark.parametrize("read", ["partials", "text", "response", "core"])
@some_drivers
@each_style
def test_a_conversation_grows_by_a_turn_and_its_response(style, driver, read):
    """Both are appended at the end of the stream, however it is read, and the next request has them; tokens are summed."""
    conversation = Conversation(system="Be brief.")
    with Simulator(["Hello.", "Blue."]) as simulator:
        talk(style, simulator, conversation, "Hi.", driver=driver, read=read)
        first = conversation.usage
        talk(style, simulator, conversation, Message(role="user", content="A colour?"), driver=driver, read=read)
        second = json.dumps(simulator.requests[1].body)
    assert shown(conversation) == [
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", "A colour?"),
        ("assistant", "Blue."),
    ]
    assert all(message.complete for message in conversation.messages)
    assert [second.index(text) for text in ("Hi.", "Hello.", "A colour?")]
    assert "Be brief." in second
    assert conversation.usage.total_tokens > first.total_tokens > 0


@each_style
def test_several_turns_and_none(style):
    """A list of turns of any kind is appended in order; None requests a response to the turns so far."""
    conversation = Conversation(messages=["One."])
    with Simulator(["Two.", "Five."]) as simulator:
        talk(style, simulator, conversation)
        talk(style, simulator, conversation, [{"role": "user", "content": "Three."}, "Four."])
    assert [text for _, text in shown(conversation)] == ["One.", "Two.", "Three.", "Four.", "Five."]


@pytest.mark.parametrize("turn", [5, [5], [Text("Hi.")], {"content": "Hi."}, ["Hi.", None]], ids=repr)
@each_style
def test_what_is_no_turn_is_an_error(style, turn):
    """Nothing is sent, and the conversation is unchanged; so with arguments that `create` refuses."""
    conversation = Conversation(messages=["Hi."])
    with Simulator("Hello.") as simulator:
        assert isinstance(talk(style, simulator, conversation, turn), RequestError)
        assert isinstance(talk(style, simulator, conversation, "Well?", options={"temprature": 1}), RequestError)
        with pytest.raises(RequestError):
            conversation.append(turn)
        assert simulator.requests == []
    assert conversation == Conversation(messages=["Hi."])


@some_drivers
@each_style
def test_a_call_that_fails_before_content_leaves_the_conversation(style, driver):
    """The turn is not appended; the same call can be repeated."""
    conversation = Conversation(messages=["Hi.", Message(role="assistant", content="Hello.")])
    before = conversation.copy()
    with Simulator("Blue.", fault=Status(503, times=1)) as simulator:
        error = talk(style, simulator, conversation, "A colour?", driver=driver)
        assert error.status == 503
        assert conversation == before
        assert talk(style, simulator, conversation, "A colour?", driver=driver) is None
    assert shown(conversation)[-2:] == [("user", "A colour?"), ("assistant", "Blue.")]


@pytest.mark.parametrize(
    ("fault", "kind"), [(Reset(after_events=6), TransportError), (Cut(after_events=6), Truncated)], ids=["reset", "cut"]
)
@pytest.mark.parametrize("read", ["partials", "text", "response", "core"])
@pytest.mark.parametrize("driver", ["openai", "anthropic", "gemini"])
@each_style
def test_an_interrupted_response_is_kept_and_marked(style, driver, read, fault, kind):
    """Its content is appended with ``complete=False``; a response without a new turn replaces it."""
    text = "Well, it rains a little in Oslo today, and in Bergen."
    conversation = Conversation()
    with Simulator([text, text, "Fine."], faults=[fault, None, None]) as simulator:
        error = talk(style, simulator, conversation, "Weather?", driver=driver, read=read)
        assert isinstance(error, kind)
        (turn, cut) = conversation.messages
        assert (turn.text, cut.complete, cut.text) == ("Weather?", False, error.partial.content)
        assert cut.text
        assert text.startswith(cut.text)
        branch = conversation.copy()
        assert talk(style, simulator, conversation, driver=driver, read=read) is None
        assert shown(conversation) == [("user", "Weather?"), ("assistant", text)]
        talk(style, simulator, branch, "Shorter.", driver=driver, read=read)
    assert shown(branch) == [
        ("user", "Weather?"),
        ("assistant", cut.text),
        ("user", "Shorter."),
        ("assistant", "Fine."),
    ]


@pytest.mark.parametrize("read", ["partials", "text", "core"])
@pytest.mark.parametrize("driver", ["openai", "anthropic", "gemini"])
@each_style
def test_a_response_that_is_closed_early_is_kept_and_marked(style, driver, read):
    """Leaving the block keeps the turn and what was received; without content nothing is appended."""
    text = " ".join(["word"] * 100)
    conversation = Conversation()
    with Simulator(text, pace=Pace(tokens_per_second=200)) as simulator:
        assert talk(style, simulator, conversation, "Hi.", driver=driver, read=read, most=8) is None
        assert simulator.requests[0].wait_closed()
    (turn, cut) = conversation.messages
    assert (turn.text, cut.complete) == ("Hi.", False)
    assert cut.text
    assert text.startswith(cut.text)


@each_style
def test_a_stream_that_is_not_read_sends_nothing(style):
    """Closing it leaves the conversation unchanged."""
    conversation = Conversation()
    with Simulator("Hello.") as simulator:
        if style == "sync":
            conversation.stream(Inference.from_connection(simulator.connection), "Hi.").close()
        else:

            async def main():
                async with AsyncInference.from_connection(simulator.connection) as inference:
                    await conversation.stream(inference, "Hi.").close()

            anyio.run(main, backend=style)
        assert simulator.requests == []
    assert conversation == Conversation()


@pytest.mark.parametrize("after", [0, 6])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_response_is_kept_and_marked(backend, after):
    """A cancellation passes; the content received before belongs to the conversation, and the connection is closed."""
    conversation = Conversation()
    fault = Stall(after_events=after) if after else Stall(before_headers=True)

    received = []

    async def read(inference):
        async with conversation.stream(inference, "Hi.") as stream:
            async for partial in stream:
                received.append(partial.content_delta)

    async def main():
        async with (
            AsyncInference.from_connection(simulator.connection) as inference,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(read, inference)
            while not (any(received) or (not after and simulator.requests)):
                await anyio.sleep(0.005)
            await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()
        return True

    with Simulator("Well, it rains a little in Oslo.", fault=fault) as simulator:
        assert anyio.run(main, backend=backend)
        assert simulator.requests[0].wait_closed()
    if after:
        assert [message.complete for message in conversation.messages] == [True, False]
        assert conversation.messages[1].text.startswith("Well,")
    else:
        assert conversation == Conversation()


@each_style
def test_an_interrupted_read_is_kept(style):
    """An exception in the middle of the block, such as Ctrl-C, keeps what was received."""
    conversation = Conversation()

    def interrupt():
        raise KeyboardInterrupt

    async def main():
        inference = AsyncInference.from_connection(simulator.connection)
        async with inference, conversation.stream(inference, "Hi.") as stream:
            async for partial in stream:
                if partial.content_delta:
                    interrupt()

    with Simulator("Well, it rains.", pace=Pace(tokens_per_second=50)) as simulator:
        with pytest.raises(KeyboardInterrupt):
            if style == "sync":
                with conversation.stream(Inference.from_connection(simulator.connection), "Hi.") as stream:
                    for partial in stream:
                        if partial.content_delta:
                            interrupt()
            else:
                anyio.run(main, backend=style)
        assert simulator.requests[0].wait_closed()
    assert [message.complete for message in conversation.messages] == [True, False]


@each_style
def test_the_stream_of_core_is_within_reach(style):
    """Repeated `response` calls append once; `on_partial` and all else is on the inner stream."""
    conversation = Conversation()
    seen = []
    with Simulator("Hello.") as simulator:
        if style == "sync":
            stream = conversation.stream(Inference.from_connection(simulator.connection), "Hi.")
            stream.stream.on_partial(seen.append)
            responses = [stream.response(), stream.response()]
            stream.close()
        else:

            async def main():
                async with AsyncInference.from_connection(simulator.connection) as inference:
                    stream = conversation.stream(inference, "Hi.")
                    stream.stream.on_partial(seen.append)
                    found = [await stream.response(), await stream.response()]
                    await stream.close()
                    return found

            responses = anyio.run(main, backend=style)
    assert responses[0].message == responses[1].message
    assert responses[0].outcome is Outcome.FINISHED
    assert seen
    assert shown(conversation) == [("user", "Hi."), ("assistant", "Hello.")]


# Tool turns


def call(number, name="weather", **fields):
    return ToolCall(**{"name": name, "id": f"c{number}", "arguments_raw": "{}", "complete": True} | fields)


def asked(*calls, **fields):
    return Message(role="assistant", content=calls, **fields)


@some_drivers
@each_style
def test_tool_turns_fit_in(style, driver):
    """The results of tools are turns like any other, and `pending` has the tool calls that need one."""
    conversation = Conversation()
    tools = [Tool("weather")]
    with Simulator([Reply(tool_calls=[Call("weather"), Call("weather")]), "It rains."]) as simulator:
        talk(style, simulator, conversation, "Weather?", driver=driver, tools=tools)
        assert len(conversation.pending) == 2
        results = [Message.tool_result(each, "rain") for each in conversation.pending]
        assert talk(style, simulator, conversation, results, driver=driver, tools=tools) is None
    assert [message.role for message in conversation.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert conversation.pending == ()


@some_drivers
@each_style
def test_tool_calls_without_a_result_get_one(style, driver):
    """When the next turn is the user's, or some results are missing: every API requires a result for each tool call."""
    conversation = Conversation()
    tools = [Tool("weather")]
    with Simulator([Reply(tool_calls=[Call("weather"), Call("weather")]), "Well."]) as simulator:
        talk(style, simulator, conversation, "Weather?", driver=driver, tools=tools)
        branch = conversation.copy()
        assert talk(style, simulator, conversation, "Never mind.", driver=driver, tools=tools) is None
        first, _ = branch.pending
        turns = [Message.tool_result(first, "rain"), "And tomorrow?"]
        assert talk(style, simulator, branch, turns, driver=driver, tools=tools) is None
    texts = [
        (part.text, part.error)
        for message in conversation.messages
        for part in message.parts
        if isinstance(part, ToolResult)
    ]
    assert texts == [("This tool call has no result: it was not run, or not to its end.", True)] * 2
    texts = [
        (part.text, part.error) for message in branch.messages for part in message.parts if isinstance(part, ToolResult)
    ]
    assert texts == [("rain", False), ("This tool call has no result: it was not run, or not to its end.", True)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], ()),
        (["Hi."], ()),
        ([asked(call(1), call(2))], ("c1", "c2")),
        ([asked(call(1), call(2)), Message.tool_result(call(2), "b")], ("c1",)),
        ([asked(call(1), call(2)), Message.tool_result(call(2), "b"), Message.tool_result(call(1), "a")], ()),
        ([asked(call(1)), Message.tool_result(call(1), "a"), "Hi."], ()),
        ([asked(call(1)), {"role": "tool", "tool_call_id": "c1", "content": "a"}], ()),
        ([asked(call(1), call(2)), Message(role="user", content=(ToolResult(id="c1", content="a"),))], ("c2",)),
        (
            [
                asked(call(1, id=None, name="a"), call(2, id=None, name="b")),
                Message.tool_result(call(2, id=None, name="b"), "x"),
            ],
            (None,),
        ),
        ([asked(call(1, id=None), call(2, id=None)), Message.tool_result(call(1, id=None), "x")], (None,)),
        ([Message.tool_result("c1", "x")], ()),
    ],
)
def test_pending_tool_calls(messages, expected):
    """Results are matched by id, and without ids by name and number."""
    conversation = Conversation(messages=messages)
    assert tuple(each.id for each in conversation.pending) == expected
    assert pending_calls(conversation.messages) == conversation.pending


# Cache marks


def marks(body):
    """Return where a body of the Messages API has marks, with their lifetimes."""
    found = {}
    for part, blocks in {"system": body["system"], "tools": body.get("tools", [])}.items():
        found |= {
            f"{part}[{index}]": block["cache_control"] for index, block in enumerate(blocks) if "cache_control" in block
        }
    for index, message in enumerate(body["messages"]):
        if isinstance(message["content"], list):
            found |= {
                f"messages[{index}]": block["cache_control"] for block in message["content"] if "cache_control" in block
            }
    return {place: mark.get("ttl", True) for place, mark in found.items()}


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        (False, {}),
        (True, {"system[0]": True, "tools[1]": True, "messages[0]": True}),
        ("1h", {"system[0]": "1h", "tools[1]": "1h", "messages[0]": "1h"}),
        ({"system": "1h", "messages": True}, {"system[0]": "1h", "messages[0]": True}),
        ({"tools": True}, {"tools[1]": True}),
        ({"messages": False, "system": True}, {"system[0]": True}),
    ],
    ids=repr,
)
@each_style
def test_cache_marks_are_at_the_ends(style, cache, expected):
    """One mark each at the end of the system prompt, the tools and the messages; the turns stay unmarked."""
    conversation = Conversation(system="Be brief.", cache=cache)
    tools = [Tool("one"), {"type": "function", "function": {"name": "two"}}]
    with Simulator(["Hello.", "Blue."]) as simulator:
        talk(style, simulator, conversation, "Hi.", driver="anthropic", tools=tools)
        assert marks(simulator.requests[0].body) == expected
        talk(style, simulator, conversation, "A colour?", driver="anthropic", tools=tools)
        moved = {place.replace("messages[0]", "messages[2]"): mark for place, mark in expected.items()}
        assert marks(simulator.requests[1].body) == moved
    assert not any(getattr(part, "cache", False) for message in conversation.messages for part in message.parts)
    assert tools[0] == Tool("one")


def test_marks_in_the_words_of_another_provider():
    """Bedrock's marks are blocks of their own."""
    conversation = Conversation(system="Be brief.", cache=True)
    with Simulator("Hello.") as simulator:
        talk("sync", simulator, conversation, "Hi.", driver="bedrock", tools=[Tool("one")])
        (request,) = simulator.requests
    assert "cachePoint" in request.body["system"][-1]
    assert "cachePoint" in request.body["toolConfig"]["tools"][-1]
    assert "cachePoint" in request.body["messages"][-1]["content"][-1]


def test_marks_that_a_provider_does_not_have():
    """They are unsupported like any other feature: an error, or left out if the caller allows that."""
    conversation = Conversation(system="Be brief.", cache=True)
    with Simulator("Hello.") as simulator:
        assert isinstance(talk("sync", simulator, conversation, "Hi."), RequestError)
        assert conversation.messages == []
        assert talk("sync", simulator, conversation, "Hi.", unsupported="drop") is None


@pytest.mark.parametrize(
    ("turn", "marked"),
    [
        ("Hi.", ["Hi."]),
        ([Message(role="user", content=[Text("One."), Text("Two.")])], ["Two."]),
        ([Message(role="user", content=[Text("One."), Text(" ")])], ["One."]),
        (
            [Message(role="user", content=[Text("One."), Image(url="https://example.com/a.png")])],
            ["https://example.com/a.png"],
        ),
        ([asked(call(1)), Message.tool_result(call(1), "rain")], ["rain"]),
        ([asked(call(1)), Message.tool_result(call(1), [Text("rain"), RawPart({"type": "x"})])], ["rain"]),
        (["Hi.", asked(Reasoning(text="Hm."), call(1)), Message.tool_result(call(1), "")], ["Hi."]),
        ([asked(call(1))], []),
        ([], []),
    ],
)
def test_the_last_part_that_can_have_a_mark_has_it(turn, marked):
    """Blank texts, reasoning and tool calls cannot; of the result of a tool its last part has it."""
    request = Conversation(cache={"messages": True}).request(turn)
    parts = [part for message in request for part in message.parts]
    parts += [inner for part in parts if isinstance(part, ToolResult) for inner in part.parts]
    assert [
        part.text if isinstance(part, Text) else part.url for part in parts if getattr(part, "cache", False)
    ] == marked


def test_a_tool_of_the_providers_own_has_no_mark():
    """The last tool that can have a mark has it."""
    conversation = Conversation(cache={"tools": True}, system="Be brief.")
    with Simulator("Hello.") as simulator:
        tools = (Tool("one"), RawTool({"type": "web_search", "name": "search"}))
        talk("sync", simulator, conversation, "Hi.", driver="anthropic", tools=tools)
        assert marks(simulator.requests[0].body) == {"tools[0]": True}
        talk("sync", simulator, conversation, "Hi.", driver="anthropic", tools=tools[1:])
        assert marks(simulator.requests[1].body) == {}


@pytest.mark.parametrize("cache", [{"sytem": True}, 5, {"system": 5}, None], ids=repr)
def test_a_misspelt_mark_is_an_error(cache):
    """Nothing is silently ignored."""
    with pytest.raises(RequestError, match="system, tools and messages"):
        Conversation(cache=cache)


# Values


def test_a_branch_grows_apart():
    """A copy shares no list with its origin, by whichever function it is made."""
    origin = Conversation(system="Be brief.", messages=["Hi."], cache={"system": True})
    for branch in (origin.copy(), copy.copy(origin), copy.deepcopy(origin)):
        assert branch == origin
        branch.append("More.")
        branch.cache["tools"] = True
        branch.usage += Usage(input_tokens=3)
    assert origin == Conversation(system="Be brief.", messages=["Hi."], cache={"system": True})


def test_messages_of_every_kind():
    """A text, a dict in OpenAI's format, a message with a list of parts, and a dict of `Message.to_dict`."""
    image = Message(role="user", content=[Text("What?"), Image(data=b"\x00")])
    conversation = Conversation(messages=["Hi.", {"role": "assistant", "content": "Hello."}, image, image.to_dict()])
    assert shown(conversation)[:2] == [("user", "Hi."), ("assistant", "Hello.")]
    assert conversation.messages[2] == conversation.messages[3]
    assert Conversation(messages="Hi.") == Conversation(messages=["Hi."])
    with pytest.raises(RequestError, match=r"turns\[1\] must be a string"):
        Conversation(messages=["Hi.", Text("Hi.")])


def test_a_conversation_is_json():
    """A few plain fields; defaults are left out."""
    conversation = Conversation(messages=["Hi."])
    assert json.loads(conversation.to_json())["polyglot"] == 1
    assert set(json.loads(conversation.to_json())) == {"polyglot", "messages"}
    assert conversation.to_dict() == json.loads(conversation.to_json())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"polyglot": 2}', '{"messages": 5}', '{"messages": [5]}', '{"messages": [{"content": "x"}]}', '{"cache": 5}', '{"cache": {"x": true}}', '{"usage": {"input_tokens": "x"}}', b"\xff", "[" * 100_000, '{"polyglot": 1, "messages": ' + "[" * 100_000],
    ids=range(13),
)  # fmt: skip
def test_other_texts_are_refused(text):
    """With an error that names the function they are to be from."""
    with pytest.raises(RequestError, match=r"Conversation\.to_json|cache is"):
        Conversation.from_json(text)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return
    with pytest.raises(RequestError, match=r"Conversation\.to_dict|cache is"):
        Conversation.from_dict(fields)


@pytest.mark.parametrize(
    "value", [object(), "\ud800", float("nan"), float("-inf")], ids=["object", "surrogate", "nan", "infinity"]
)
def test_what_json_does_not_have(value):
    """It is a typed error, not one of the encoder, and nothing is silently replaced."""
    turn = Message(role="user", content="Hi.", extra={"x": [value]})
    with pytest.raises(RequestError, match="JSON"):
        Conversation(messages=[turn]).to_json()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
extras = st.dictionaries(texts, json_values, max_size=2)
caches = st.booleans() | st.sampled_from(["5m", "1h"])
optional = st.none() | texts
inner_parts = (
    st.builds(Text, texts, cache=caches, extra=extras)
    | st.builds(
        Image, url=optional, data=st.none() | st.binary(max_size=4), detail=optional, cache=caches, extra=extras
    )
    | st.builds(Document, url=optional, file_id=optional, data=st.none() | st.binary(max_size=4), name=optional)
    | st.builds(RawPart, extras)
)
parts = (
    inner_parts
    | st.builds(Audio, data=st.binary(max_size=4), cache=caches)
    | st.builds(Reasoning, text=texts, signature=optional, redacted=optional, id=optional, extra=extras)
    | st.builds(Refusal, texts, extra=extras)
    | st.builds(
        ToolCall, name=texts, id=optional, arguments_raw=texts, complete=st.booleans(), signature=optional, extra=extras
    )
    | st.builds(
        ToolResult,
        id=optional,
        content=texts | st.lists(inner_parts, max_size=2).map(tuple),
        error=st.booleans(),
        name=optional,
    )
)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    content=texts | st.lists(parts, max_size=3).map(tuple),
    name=optional,
    extra=extras,
    provider=optional,
    complete=st.booleans(),
)
counts = st.none() | st.integers(0, 10**6)
conversations = st.builds(
    Conversation,
    system=optional,
    messages=st.lists(messages, max_size=3),
    usage=st.builds(
        Usage, input_tokens=counts, output_tokens=counts, cache_read_tokens=counts, reasoning_tokens=counts
    ),
    cache=caches | st.dictionaries(st.sampled_from(["system", "tools", "messages"]), caches, max_size=3),
)


@given(conversations)
@settings(max_examples=150)
def test_every_conversation_survives_json(conversation):
    """JSON, a dict and a copy lose nothing."""
    assert Conversation.from_json(conversation.to_json()) == conversation
    assert Conversation.from_json(conversation.to_json().encode()) == conversation
    assert Conversation.from_dict(json.loads(json.dumps(conversation.to_dict()))) == conversation
    assert conversation.copy() == conversation
    assert msgspec.json.decode(msgspec.json.encode(conversation), type=Conversation) == conversation


@given(st.lists(messages, max_size=3), st.lists(messages, max_size=3))
@settings(max_examples=100)
def test_every_request_has_a_result_for_each_tool_call(before, turns):
    """Whatever the turns are, the user's turn does not follow a tool call without a result, and none of the turns is lost."""
    following = Conversation(messages=before).request(turns)
    assert [turn for turn in following if turn in turns] or not turns
    for index, message in enumerate(following):
        if index >= len(before) and not any(isinstance(part, ToolResult) for part in message.parts):
            assert pending_calls(following[:index]) == ()
