"""Whole bodies with something around them, in every dialect: the response is read, or the error in it is raised."""

from __future__ import annotations

import http.client
import json

import pytest

from polyglot_core import Inference, PolyglotError
from polyglot_simulator import RawReply, Simulator

DRIVERS = (
    *("openai", "azure-openai", "openai-responses", "anthropic", "bedrock", "gemini", "vertex", "cohere", "mistral"),
    "ollama",
)
AROUND = {
    "a list": (b"[", b"]"),
    "NUL behind it": (b"", b"\0"),
    "blank lines": (b"\r\n ", b"\r\n\r\n"),
    "a byte order mark": (b"\xef\xbb\xbf", b""),
    "a page behind it": (b"", b"<script></script>"),
}
JSON = ("content-type", "application/json")


def ask(driver, body, *, stream):
    """Return the response to a request that is replied to with a JSON body, or its error."""
    with Simulator(RawReply(headers=[JSON], writes=[body], end="length")) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        try:
            return inference.create("Hi", stream=stream, retries=0).response()
        except PolyglotError as error:
            return error


def plain_body(driver):
    """Return the body that the simulator sends for a driver if no stream is requested."""
    with Simulator("Low tide.") as simulator:
        Inference.from_connection(simulator.connection_for(driver)).create("Hi").response()
        sent = simulator.requests[-1]
        connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=5)
        headers = {name: value for name, value in sent.headers.items() if name != "content-length"}
        connection.request("POST", f"{sent.path}?{sent.query}", json.dumps(sent.body), headers)
        body = connection.getresponse().read()
        connection.close()
        return body


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("driver", DRIVERS)
def test_plain_body_with_something_around_it_is_read(driver, name):
    """Check that a proxy's bytes around a body do not cost the response."""
    before, behind = AROUND[name]
    response = ask(driver, before + plain_body(driver) + behind, stream=False)
    assert not isinstance(response, PolyglotError), response
    assert (response.content, response.outcome) == ("Low tide.", "finished")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_error_in_a_list_is_raised(driver, stream):
    """Check that the error in a list of one has its text and its class."""
    error = ask(driver, b'[{"error":{"message":"The tide is out.","code":"rate_limit_exceeded"}}]', stream=stream)
    assert "The tide is out." in str(error)
    assert type(error).__name__ == "RateLimited"
