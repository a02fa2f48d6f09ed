"""Responses that reach their limit of tokens and are continued, because the caller wants it."""

from __future__ import annotations

import msgspec
import pytest

from polyglot_core import RequestError, Retries, register
from polyglot_core._values.events import Finish, Seam, TextDelta, ToolCallDelta, UsageReport
from polyglot_core.errors import ServerError
from polyglot_core.plugin import hookimpl

pytestmark = pytest.mark.http


class Continuing:
    """A driver whose model continues a text."""

    @hookimpl
    def encode_prefill(self, connection, request, text):
        wire = self.encode_request(connection, request)
        return msgspec.structs.replace(wire, body=text.encode(), url=f"{connection.base_url}/prefill")


@pytest.fixture
def continuing(toy):
    """Register the toy dialect with a prefill as the driver ``continuing``."""
    driver = type("ContinuingToy", (Continuing, toy.Driver), {})
    with register(driver(), "continuing"):
        yield


@pytest.fixture
def told(loopback, http, toy, continuing):
    """Return a function that starts a server, which responds with these texts; all but the last are cut at the limit."""

    def start(*texts, last="stop", extra=()):
        scripts = []
        for index, text in enumerate(texts):
            reason = last if index == len(texts) - 1 else "length"
            events = [TextDelta(piece) for piece in text]
            said = [
                toy.say(event) for event in (*events, *extra, Finish(reason, reason), UsageReport({"out": index + 1}))
            ]
            scripts.append(http.streamed(*said, toy.done))
        return loopback(*scripts)

    return start


def outcome(flavour, server, **arguments):
    """Return the partials of a stream, its response or error, and its events."""

    async def main():
        connection = server.connection(driver="continuing", **arguments.pop("fields", {}))
        stream = flavour.Inference(connection).create("Hi", stream=True, **arguments).stream()
        partials = []
        try:
            async for partial in flavour.each(stream):
                partials.append(partial)
            return partials, await flavour.wait(stream.response())
        except ServerError as error:
            return partials, error

    return flavour.run(main)


def test_parts_are_joined(flavour, told):
    """The text of all parts is one response, whose end is that of the last part; each seam is visible."""
    server = told(["One ", "two "], ["three ", "four "], ["five."])
    partials, response = outcome(flavour, server, on_length="continue")
    assert (response.content, response.finish_reason, response.outcome) == (
        "One two three four five.",
        "stop",
        "finished",
    )
    assert "".join(partial.content_delta for partial in partials) == "One two three four five."
    assert partials[-1].content == response.content
    assert [partial.seam.how for partial in partials if partial.seam] == ["prefill", "prefill"]
    assert [partial.finish_reason for partial in partials if partial.finish_reason] == ["stop"]
    assert [asked.body for asked in server.asked[1:]] == [b"One two", b"One two three four"]
    assert [(each.error, each.partial.usage.output_tokens) for each in response.failed_attempts] == [
        ("LengthReached", 1),
        ("LengthReached", 2),
    ]
    assert response.usage.output_tokens == 3


@pytest.mark.parametrize(("limit", "requests"), [("stop", 1), (0, 1), (1, 2), (2, 3), ("continue", 9)])
def test_continuations_are_counted(flavour, told, limit, requests):
    """After the last continuation the response is returned with the finish reason that it has."""
    server = told(["More. "], last="length")
    _, response = outcome(flavour, server, on_length=limit)
    assert response.content.strip() == ("More. " * requests).strip()
    assert (response.finish_reason, response.outcome, len(server.asked)) == ("length", "finished", requests)


@pytest.mark.parametrize("texts", [[], ["  "]], ids=["nothing", "white space"])
def test_a_response_without_text_is_not_continued(flavour, told, texts):
    """There is nothing that a model could continue."""
    server = told(texts, last="length")
    _, response = outcome(flavour, server, on_length="continue")
    assert (response.finish_reason, len(server.asked)) == ("length", 1)


def test_a_response_with_a_tool_call_is_not_continued(flavour, told):
    """A prefill is text, so a response with anything else ends as it is."""
    server = told(["Look: "], last="length", extra=[ToolCallDelta(0, "c", "look", "{")])
    _, response = outcome(flavour, server, on_length="continue")
    assert (response.finish_reason, len(server.asked)) == ("length", 1)
    assert [call.name for call in response.tool_calls] == ["look"]


def test_a_failure_of_a_continuation_keeps_the_text(flavour, told, loopback, http, toy):
    """The error has all that was received, and nothing is sent again."""
    first = http.streamed(toy.say(TextDelta("One ")), toy.say(Finish("length", "length")), toy.done)
    server = loopback(first, http.plain(b'{"error": {"message": "Broken."}}', 500))
    partials, error = outcome(flavour, server, on_length="continue", fields={"retries": Retries(max_retries=0)})
    assert isinstance(error, ServerError)
    assert (error.partial.content, error.partial.outcome) == ("One ", "failed")
    assert "".join(partial.content_delta for partial in partials) == "One "


def test_a_plain_response_is_continued(flavour, told, loopback, http, toy):
    """A response that is not streamed is joined as well."""
    bodies = [[TextDelta("One "), Finish("length", "length")], [TextDelta("two."), Finish("stop", "stop")]]
    server = loopback(*(http.plain(toy.body(*events)) for events in bodies))

    async def main():
        connection = server.connection(driver="continuing")
        return await flavour.wait(flavour.Inference(connection).create("Hi", on_length="continue").response())

    response = flavour.run(main)
    assert (response.content, response.finish_reason, len(server.asked)) == ("One two.", "stop", 2)


def test_events_have_the_seam(flavour, told):
    """An iterator of events shows where a response was continued."""
    server = told(["One "], ["two."])

    async def main():
        stream = flavour.Inference(server.connection(driver="continuing")).create("Hi", on_length=1).stream()
        return [event async for event in flavour.each(stream.events())]

    events = flavour.run(main)
    assert [event.error for event in events if isinstance(event, Seam)] == ["LengthReached"]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "One two."


def test_a_driver_that_cannot_continue_is_named(flavour, loopback, http, toy):
    """Nothing is sent if the driver has no prefill."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        with pytest.raises(RequestError, match="The option on_length needs it"):
            await flavour.wait(flavour.Inference(server.connection()).create("Hi", on_length="continue").response())

    flavour.run(main)
    assert server.asked == []


@pytest.mark.parametrize("wrong", ["go on", -1, True, 1.5, None, []], ids=repr)
def test_a_wrong_word_is_refused(flavour, told, wrong):
    """The message has the words."""
    with pytest.raises(RequestError, match="on_length must be 'stop', 'continue' or the greatest number"):
        flavour.Inference(told(["a"]).connection()).create("Hi", on_length=wrong)
