"""`as_sse` and `as_text`: what they yield, how they end, and that they close the stream."""

from __future__ import annotations

import json
from contextlib import aclosing

import httpx
import pytest

from polyglot_answers import run_tools
from polyglot_core import AsyncInference, Connection, Inference, RequestError, Retries, StreamError, Truncated
from polyglot_core.errors import ServerError
from polyglot_simulator import Cut, Drop, ErrorEvent, RawReply, Reply, Simulator, Stall, Status, ToolCall
from polyglot_streams import OpenAIChunks, StreamResponse, as_sse, as_text, has_ended, smooth, stop_when
from polyglot_streams.frames import PING, Writer
from polyglot_streams.shapes import public_message

from .serving import STYLES, Server, events_in, lifted, new_stream, read_all, read_to, run, text_of

WORDS = "Once upon a time there was a stream."
ARGUMENTS = {"text": "x" * 6000}


def chunks(*deltas, finish="stop"):
    """A reply with these deltas of choices."""
    writes = [b"data: %b\n\n" % json.dumps({"choices": each}).encode() for each in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return RawReply(
        writes=[*writes, b"data: %b\n\ndata: [DONE]\n\n" % json.dumps(end).encode()],
        headers=[("content-type", "text/event-stream")],
    )


@pytest.mark.parametrize("style", STYLES)
def test_each_partial_is_an_event_when_it_is_received(style):
    """The opening is yielded before the request is sent, and each event before the next one is read."""
    with Simulator(WORDS) as simulator:

        async def story():
            async with aclosing(lifted(as_sse(new_stream(style, simulator)))) as pieces:
                opening = await anext(pieces)
                assert opening.endswith(b".0\nretry: 1000\n\n")
                assert not simulator.requests
                return [piece async for piece in pieces]

        pieces = run(style, story)
        events = events_in(b"".join(pieces))
        assert len(pieces) == len(events) == len(text_of(events).split(" ")) + 3
        assert text_of(events) == WORDS
        assert [event.id.partition(".")[2] for event in events] == [*map(str, range(1, len(events))), "end"]
        assert events[-1].data["outcome"] == "finished"
        assert len({event.id.partition(".")[0] for event in events}) == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", ["partials", "openai", "text"])
def test_a_generator_that_is_closed_closes_the_stream(style, shape):
    """Closing in the middle closes the request to the provider."""
    with Simulator(WORDS, fault=Stall(after_events=3)) as simulator:

        async def story():
            stream = new_stream(style, simulator)
            pieces = as_text(stream) if shape == "text" else as_sse(stream, shape=shape)
            await read_to(pieces, b" upon")
            assert simulator.requests[0].wait_closed(5)

        run(style, story)


@pytest.mark.parametrize("style", STYLES)
def test_a_ping_is_yielded_while_nothing_is_received(style):
    """While the provider is silent there are pings, and the text after them is not lost."""
    with Simulator(WORDS, fault=Stall(after_events=3, seconds=0.2)) as simulator:

        async def story():
            return await read_all(as_sse(new_stream(style, simulator), ping=0.05))

        received = run(style, story)
    assert PING in received
    assert text_of(events_in(received)) == WORDS


FAULTS = {
    "cut": (Cut(after_events=4), "Truncated", "truncated"),
    "broken": (Drop(after_events=4), "TransportError", "failed"),
    "error": (ErrorEvent(after_events=4), "ServerError", "failed"),
    "status": (Status(401), "AuthenticationError", "failed"),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("fault", "error", "outcome"), FAULTS.values(), ids=FAULTS)
def test_an_error_is_the_last_event(style, fault, error, outcome):
    """An error has its class and its outcome in every shape, and nothing looks like an end."""
    with Simulator(WORDS, fault=fault) as simulator:

        async def story():
            return [
                await read_all(as_sse(new_stream(style, simulator), shape=shape)) for shape in ("partials", "openai")
            ]

        ours, openai = map(events_in, run(style, story))
    assert ours[-1].data["type"] == "error"
    assert (ours[-1].data["error"], ours[-1].data["outcome"]) == (error, outcome)
    assert openai[-1].data["error"]["type"] == error
    assert ours[-1].id.endswith(".end")
    assert "[DONE]" not in [event.data for event in openai]
    assert not any(choice["finish_reason"] for event in openai[:-1] for choice in event.data["choices"])


@pytest.mark.parametrize("style", STYLES)
def test_a_text_that_is_not_complete_raises(style):
    """Text is yielded as it is received, and a cut raises after it."""
    with Simulator([WORDS, WORDS], faults=[None, Cut(after_events=4)]) as simulator:

        async def story():
            assert await read_all(as_text(new_stream(style, simulator))) == WORDS.encode()
            received = b""
            with pytest.raises(Truncated):
                async for piece in lifted(as_text(new_stream(style, simulator))):
                    received += piece
            return received

        assert run(style, story) == b"Once upon a"


@pytest.mark.parametrize("style", STYLES)
def test_a_stream_that_the_application_closes_is_not_shown_as_finished(style):
    """After `close` the outcome is cancelled in every shape, and text raises."""
    with Simulator(WORDS) as simulator:

        async def read(make):
            stream = new_stream(style, simulator)
            received = b""
            async for piece in lifted(make(stream)):
                received += piece
                if b" upon" in received:
                    await stream.close() if style != "sync" else stream.close()
            return events_in(received)

        async def story():
            ours = await read(as_sse)
            openai = await read(lambda stream: as_sse(stream, shape="openai"))
            with pytest.raises(StreamError, match="cancelled"):
                await read(as_text)
            return ours[-1].data, openai[-1].data

        ours, openai = run(style, story)
    assert ours["outcome"] == "cancelled"
    assert "cancelled" in openai["error"]["message"]


@pytest.mark.parametrize("style", STYLES)
def test_a_stream_that_a_transform_stops_is_complete(style):
    """What `stop_when` ends is no error for a reader, also through a further transform."""
    with Simulator(WORDS) as simulator:

        def stopped():
            return smooth(stop_when(new_stream(style, simulator), "time"), delay=0)

        async def story():
            return [
                await read_all(as_sse(stopped())),
                await read_all(as_sse(stopped(), shape="openai")),
                await read_all(as_text(stopped())),
            ]

        ours, openai, text = run(style, story)
    assert events_in(ours)[-1].data | {"model": None} == {
        "type": "end",
        "outcome": "cancelled",
        "stopped": True,
        "model": None,
    }
    assert [event.data for event in events_in(openai)][-1] == "[DONE]"
    assert text == b"Once upon a time"


def test_tool_calls_are_sent_in_pieces():
    """The pieces of names and arguments make up the tool calls, in both shapes, also of calls that grow long."""
    calls = [ToolCall("look_up", ARGUMENTS), ToolCall("weather", {"city": "Oslo"})]
    with Simulator(Reply("Wait.", tool_calls=calls)) as simulator:
        response = new_stream("sync", simulator).response()
        ours = events_in(b"".join(as_sse(new_stream("sync", simulator))))
        openai = events_in(b"".join(as_sse(new_stream("sync", simulator), shape="openai")))
    found: dict[int, list[str]] = {}
    for event in ours:
        for change in event.data.get("tool_calls", ()):
            call = found.setdefault(change["index"], ["", "", ""])
            call[:] = [
                change.get("id", call[0]),
                call[1] + change.get("name", ""),
                call[2] + change.get("arguments", ""),
            ]
    expected = [(call.name, call.arguments_raw) for call in response.tool_calls]
    assert [(name, arguments) for _, name, arguments in (found[0], found[1])] == expected
    assert found[0][0] != found[1][0]
    assert len(ours) < 400  # long arguments are read in growing pieces
    again: dict[int, list[str]] = {}
    for event in openai[:-1]:
        for change in event.data["choices"][0]["delta"].get("tool_calls", ()):
            call = again.setdefault(change["index"], ["", "", ""])
            function = change["function"]
            call[:] = [change.get("id", call[0]), call[1] + function.get("name", ""), call[2] + function["arguments"]]
    assert [(name, arguments) for _, name, arguments in (again[0], again[1])] == expected


def test_what_was_received_of_a_tool_call_is_sent_before_an_error():
    """The last pieces of a long tool call that is cut are sent, although they were not read before."""
    with Simulator(Reply("", tool_calls=[ToolCall("look_up", ARGUMENTS)]), fault=Cut(after_events=-3)) as simulator:
        with pytest.raises(Truncated) as caught:
            new_stream("sync", simulator).response()
        events = events_in(b"".join(as_sse(new_stream("sync", simulator))))
    sent = "".join(change.get("arguments", "") for e in events for change in e.data.get("tool_calls", ()))
    assert sent == caught.value.partial.tool_calls[0].arguments_raw


def test_choices_reasoning_and_refusals_are_told_apart():
    """Each delta says what it is, and of which choice; what is empty is left out."""
    reply = chunks(
        [{"index": 0, "delta": {"role": "assistant", "content": ""}}],
        [{"index": 0, "delta": {"reasoning_content": "Hm."}}],
        [{"index": 0, "delta": {"content": "Yes"}}],
        [{"index": 1, "delta": {"content": "No\n\ndata: x"}}],
        [{"index": 0, "delta": {"refusal": "I will not."}}],
        finish="length",
    )
    with Simulator(reply) as simulator:
        stream = Inference.from_connection(simulator.connection).create("Hi.", options={"n": 2}).stream()
        events = [event.data for event in events_in(b"".join(as_sse(stream)))]
    fields = [{name: value for name, value in event.items() if name != "type"} for event in events]
    for expected in (
        {"reasoning_delta": "Hm."},
        {"content_delta": "Yes"},
        {"choice": 1, "content_delta": "No\n\ndata: x"},
        {"refusal_delta": "I will not."},
        {"finish_reason": "length"},
    ):
        assert expected in fields


@pytest.mark.parametrize("style", STYLES)
def test_a_loop_with_tools_is_a_stream(style):
    """Tool calls, their results and the text of every response are sent; chunks of OpenAI cannot express them."""

    def weather(city: str) -> str:
        """Return the weather."""
        return f"Rain in {city}."

    replies = [
        Reply("Wait.", tool_calls=[ToolCall("weather", {"city": "Oslo"})]),
        Reply("And.", tool_calls=[ToolCall("weather", {"city": "Bergen"})]),
        "It rains.",
    ]
    with Simulator([*replies, *replies[:1], *replies]) as simulator:
        inference = (Inference if style == "sync" else AsyncInference).from_connection(simulator.connection)

        def loop():
            return run_tools(inference, "Weather?", tools=[weather])

        async def story():
            return (
                await read_all(as_sse(loop())),
                await read_all(as_sse(loop(), shape="openai")),
                await read_all(as_text(loop())),
            )

        ours, openai, text = run(style, story)
    events = [event.data for event in events_in(ours)]
    steps = [event for event in events if event["type"].startswith("tool_")]
    assert [(step["type"], step.get("arguments", step.get("content"))) for step in steps] == [
        ("tool_call", '{"city":"Oslo"}'),
        ("tool_result", "Rain in Oslo."),
        ("tool_call", '{"city":"Bergen"}'),
        ("tool_result", "Rain in Bergen."),
    ]
    names = [change["name"] for event in events for change in event.get("tool_calls", ()) if "name" in change]
    assert names == ["weather", "weather"]
    assert text_of(events_in(ours)) == "Wait.And.It rains."
    assert [event["finish_reason"] for event in events if "finish_reason" in event] == [
        *["tool_calls"] * 2,
        "stop",
        "stop",
    ]
    assert events[-1]["outcome"] == "finished"
    assert events_in(openai)[-1].data["error"]["type"] == "RequestError"
    assert text == b"Wait.And.It rains."


def test_an_openai_client_reads_the_chunks():
    """A driver for chat completions reads what the shape ``openai`` sends: text, tool calls, usage and errors."""
    replies = [Reply("It rains.", tool_calls=[ToolCall("weather", {"city": "Oslo"})]), WORDS]
    with Simulator(replies, faults=[None, ErrorEvent(after_events=4)]) as simulator:
        upstream = AsyncInference.from_connection(simulator.connection)

        async def app(scope, receive, send):
            while (await receive()).get("more_body"):  # or the response would begin before the request is read
                pass
            shape = OpenAIChunks(model="house", include_usage=True)
            await StreamResponse(upstream.create("Hi.").stream(), shape=shape)(scope, receive, send)

        with Server(app) as server:
            connection = Connection(
                name="ours", driver="openai", base_url=server.url, model="m", retries=Retries(max_retries=0)
            )
            inference = Inference.from_connection(connection)
            response = inference.create("Hi.", stream=True).response()
            with pytest.raises(ServerError) as caught:
                inference.create("Hi.", stream=True).response()
    assert (response.content, response.model, response.finish_reason) == ("It rains.", "house", "tool_calls")
    assert response.tool_calls[0].arguments == {"city": "Oslo"}
    assert response.usage.output_tokens > 0
    assert caught.value.partial.content == "Once upon a"


def test_a_response_that_starts_anew_tells_its_readers():
    """After a restart our shape says so; the shapes whose readers cannot drop what they have end in an error."""
    connection_of = lambda simulator: simulator.connection.with_changes(retries=Retries(max_retries=2))  # noqa: E731

    def started_again(read):
        with Simulator(WORDS, faults=[Drop(after_events=4), None]) as simulator:
            return read(Inference.from_connection(connection_of(simulator)).create("Hi.", resume="restart").stream())

    text = ""
    for event in events_in(started_again(lambda stream: b"".join(as_sse(stream)))):
        if not event.data.get("seam", {}).get("keeps", True) or event.data.get("seam") == {"how": "restart"}:
            text = ""
        text += event.data.get("content_delta", "")
    assert text == WORDS
    chunk = events_in(started_again(lambda stream: b"".join(as_sse(stream, shape="openai"))))[-1]
    assert chunk.data["error"]["type"] == "StreamError"
    with pytest.raises(StreamError, match="started anew"):
        started_again(lambda stream: b"".join(as_text(stream)))


def test_tool_calls_of_a_response_that_starts_anew_are_sent_from_their_beginning():
    """After a restart the pieces of a tool call make up the call of the new attempt."""
    reply = Reply(tool_calls=[ToolCall("weather", {"city": "Oslo"})])
    with Simulator([reply, reply], faults=[Drop(after_events=4), None]) as simulator:
        connection = simulator.connection.with_changes(retries=Retries(max_retries=2))
        stream = Inference.from_connection(connection).create("Hi.", resume="restart").stream()
        events = [event.data for event in events_in(b"".join(as_sse(stream)))]
    (seam,) = (number for number, event in enumerate(events) if "seam" in event)
    before, after = (
        [change for event in each for change in event.get("tool_calls", ())] for each in (events[:seam], events[seam:])
    )
    assert "".join(change.get("name", "") for change in before) == "weather"
    assert "".join(change.get("name", "") for change in after) == "weather"
    assert "".join(change.get("arguments", "") for change in after) == '{"city":"Oslo"}'


@pytest.mark.parametrize("function", [as_sse, as_text, StreamResponse])
def test_what_is_no_stream_is_refused(function):
    """A call that is not streamed, and a plain list, are refused at once with what to do."""
    with Simulator(WORDS) as simulator:
        pending = Inference.from_connection(simulator.connection).create("Hi.")
        with pytest.raises(RequestError, match=r"Call stream\(\) on it first"):
            function(pending)
    with pytest.raises(RequestError, match="takes a stream"):
        function(["a"])


def test_arguments_are_checked_before_anything_is_sent():
    """A misspelt shape, an invalid ping and a sync stream for ASGI are refused with what is expected."""
    with Simulator(WORDS) as simulator:
        stream = new_stream("sync", simulator)
        with pytest.raises(RequestError, match="'partials', 'openai'"):
            as_sse(stream, shape="vercel")
        with pytest.raises(RequestError, match="ping"):
            as_sse(stream, ping=0)
        with pytest.raises(RequestError, match="async stream"):
            StreamResponse(stream)
        assert not simulator.requests


def test_items_that_are_no_partials_are_an_error():
    """A stream of texts ends in an error that says what to pass."""
    with Simulator(WORDS) as simulator:
        stream = smooth(new_stream("sync", simulator), delay=0).text()
        last = events_in(b"".join(as_sse(stream, describe=str)))[-1].data
        assert last["error"] == "RequestError"
        assert "not of str" in last["message"]


def test_every_error_has_a_message_without_its_details():
    """A message for readers depends on the class alone, and a class of its own has that of its nearest parent."""
    from polyglot_core import errors

    secret = "http://10.0.0.1/v1 refused sk-secret"
    for name in errors.__all__:
        assert "sk-secret" not in public_message(getattr(errors, name)(secret))
    assert public_message(errors.ContextLengthExceeded("x")) == "The request is too long for the model."
    assert public_message(errors.NotFound("x")) == public_message(errors.ProviderError("x"))


def test_a_key_is_in_no_event():
    """With the whole error as the message, the key of the connection still is in no event."""
    body = '{"error": {"message": "Incorrect API key provided: sk-secret-1234567890", "type": "invalid"}}'
    with Simulator(WORDS, fault=Status(401, body=body)) as simulator:
        connection = simulator.connection.with_changes(api_key="sk-secret-1234567890")
        stream = Inference.from_connection(connection).create("Hi.").stream()
        received = b"".join(as_sse(stream, describe=str))
    assert b"AuthenticationError" in received
    assert b"sk-secret" not in received


def test_has_ended_knows_the_last_id():
    """Only the id of a last event says that nothing follows."""
    assert has_ended(f"{Writer().key}.end")
    for text in (None, "", "abc", f"{Writer().key}.12", ".end", "a b.end"):
        assert not has_ended(text)


def test_events_survive_any_split_of_the_network():
    """A client that receives single bytes reads the same events."""
    with Simulator("Grüße, 世界 🌍!\r\n\r\nNext.") as simulator:
        body = b"".join(as_sse(new_stream("sync", simulator)))
    decoder = httpx.Response(200, content=body)
    assert text_of(events_in(decoder.content)) == "Grüße, 世界 🌍!\r\n\r\nNext."
    assert b"\r" not in body
