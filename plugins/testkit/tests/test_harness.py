"""The bench asks a driver without a provider, and feeds it bodies."""

from __future__ import annotations

import types

import msgspec
import pytest

from polyglot_core.errors import RateLimited, Truncated
from polyglot_core.plugin import Finish, Message, TextDelta, Usage, WireRequest, hookimpl
from polyglot_testkit import DriverHarness
from polyglot_testkit.fixtures import bodies, body, decode, encode

__all__ = ["bodies", "body", "decode", "encode", "harness"]

STREAM = b'data: {"t":"Hel"}\n\ndata: {"t":"lo"}\n\ndata: {"f":"stop"}\n\n'


@hookimpl
def encode_request(connection, request):
    said = {"model": request.model, "place": connection.base_url, "options": request.options}
    turns = [[message.role, message.text] for message in request.messages]
    framing = "sse" if request.stream else "whole"
    return WireRequest(url="http://a/say", body=msgspec.json.encode({**said, "turns": turns}), framing=framing)


@hookimpl
def decode_chunk(chunk):
    said = msgspec.json.decode(chunk.data)
    finish = [Finish("stop", said["f"])] if "f" in said else []
    return [*([TextDelta(said["t"])] if "t" in said else []), *finish]


@hookimpl
def extract_usage(payload):
    return Usage()


@pytest.fixture
def harness(tmp_path):
    module = types.SimpleNamespace(
        __name__="garden", encode_request=encode_request, decode_chunk=decode_chunk, extract_usage=extract_usage
    )
    (tmp_path / "hello.sse").write_bytes(STREAM)
    (tmp_path / "hello.json").write_bytes(b'{"t":"Hello","f":"stop"}')
    return DriverHarness(module, tmp_path, model="garden-1")


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ("Hi", [["user", "Hi"]]),
        (Message(role="system", content="Be brief."), [["system", "Be brief."]]),
        (["Hi", {"role": "assistant", "content": "Yes?"}], [["user", "Hi"], ["assistant", "Yes?"]]),
    ],
)
def test_messages_are_written_as_users_write_them(body, messages, turns):
    """Texts, dicts and messages, one or several."""
    assert body(messages)["turns"] == turns


def test_fields_belong_to_the_connection_or_to_the_request(harness, body):
    """Those of the connection are given apart; the model is the connection's unless the request names one."""
    assert body("Hi", {"base_url": "https://b"}, options={"seed": 1}) == {
        "model": "garden-1",
        "place": "https://b",
        "options": {"seed": 1},
        "turns": [["user", "Hi"]],
    }
    assert body(model="garden-2")["model"] == "garden-2"
    assert harness.connect(driver="mine").name == "mine"


def test_a_request_can_be_seen_whole(encode):
    """With URL and headers."""
    assert encode("Hi", stream=True).url == "http://a/say"


@pytest.mark.parametrize("given", ["hello.sse", "hello.json", STREAM])
def test_body_is_decoded(decode, given):
    """By the name of its file or as bytes, as a stream or as a plain response."""
    decoded = decode(given)
    assert (decoded.response.content, decoded.error) == ("Hello", None)
    assert [event.text for event in decoded.events if isinstance(event, TextDelta)] in (["Hel", "lo"], ["Hello"])
    assert "".join(partial.content_delta for partial in decoded.partials) == "Hello"


def test_body_is_decoded_in_the_given_pieces(decode):
    """What is missing is missed."""
    decoded = decode(STREAM, pieces=[STREAM[:9], STREAM[9:25]])
    assert isinstance(decoded.error, Truncated)
    assert decoded.response.content == "Hel"


def test_an_error_is_handed_out_and_not_raised(decode):
    """With the information in its headers."""
    decoded = decode(b'{"error": "slow down"}', status=429, headers={"retry-after": "3"})
    assert isinstance(decoded.error, RateLimited)
    assert decoded.error.retry_after == 3


def test_a_bench_without_a_folder_finds_no_file(harness, bodies):
    """It raises an error, rather than look in the working directory."""
    assert harness.folder == bodies
    with pytest.raises(ValueError, match="no folder"):
        DriverHarness(object()).decode("hello.sse")
