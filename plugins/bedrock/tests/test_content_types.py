"""Streams of frames under other content types, which are recognized by their first bytes."""

from __future__ import annotations

import pytest

import polyglot_bedrock.driver
from polyglot_core.errors import UnexpectedContentType
from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_core.testing import bind, replay

from .test_eventstream import frame, header

CONNECTION = Connection(name="garden", driver="bedrock", model="m", facts={"region": "eu-west-1"})
DRIVER = bind(polyglot_bedrock.driver, CONNECTION)
WIRE = DRIVER.encode(InferenceRequest(model="m", messages=(Message(role="user", content="Hi"),), stream=True))


def event(name, payload):
    return frame(payload, header(":message-type", "event") + header(":event-type", name))


BODY = (
    event("messageStart", b'{"role":"assistant"}')
    + event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"Roses."}}')
    + event("messageStop", b'{"stopReason":"end_turn"}')
    + event("metadata", b'{"usage":{"inputTokens":1,"outputTokens":2}}')
)
TYPES = ("application/octet-stream", "binary/octet-stream", "text/plain", "text/event-stream", "application/json", None)


def read(body, content_type, size):
    headers = {} if content_type is None else {"content-type": content_type}
    return replay(DRIVER, WIRE, [body[at : at + size] for at in range(0, len(body), size)], headers=headers)


@pytest.mark.parametrize("size", [1, 7, 12, 10_000])
@pytest.mark.parametrize("content_type", TYPES)
def test_frames_under_any_type_are_read(content_type, size):
    """Check that the response is whole, and that a note names the type."""
    heard = read(BODY, content_type, size)
    assert heard.error is None
    assert (heard.response.content, heard.response.outcome) == ("Roses.", "finished")
    notes = () if content_type is None else (f"The response, of type {content_type}, was read as the stream",)
    assert len(heard.response.notes) == len(notes)
    assert all(note.startswith(start) for note, start in zip(heard.response.notes, notes, strict=True))


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("length", [0x20, 0x0A20, 0x2020])
def test_first_frame_whose_length_has_white_space(length, size):
    """Check that bytes of a length which are also those of white space are kept."""
    empty = len(event("contentBlockDelta", b'{"delta":{"text":""},"p":""}'))
    text = "a" * max(0, length - empty)
    first = event("contentBlockDelta", b'{"delta":{"text":""},"p":"%b"}' % text.encode())
    assert read(first + BODY, "application/octet-stream", size).response.content == "Roses."


OTHERS = {
    "HTML": b"<html>Too many requests.</html>",
    "zeros": bytes(64),
    "a frame with a wrong checksum": BODY[:8] + b"\0\0\0\0" + BODY[12:],
    "the start of a frame": BODY[:7],
    "text": b"Roses",
}


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_refused(body, size):
    """Check that no other body is read as frames."""
    assert isinstance(read(body, "application/octet-stream", size).error, UnexpectedContentType)
