"""Streams of every dialect, as the simulator sends them, and the least that a program can do with each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import httpx
import msgspec

from polyglot_core import Inference
from polyglot_simulator import Reply, Simulator, ToolCall

__all__ = ["KINDS", "STAMP", "Body", "body_of", "received", "splitter_of"]

KINDS = ("text", "tool calls", "reasoning")

STAMP = 8
"""Digits of a time in microseconds, modulo 100 s. A stream of times has zeros in each piece, which the server replaces."""

_WORDS = (" the", " a", " of", " stream", " ship", " star", " was", " café", " 42", ' ""yes', " quietly", "\n.")
_SEPARATOR = re.compile(rb"(?<=\r\n\r\n)|(?<=\n\n)")
_LENGTH = 4  # bytes of the length of a frame


class Body(NamedTuple):
    """A streamed response.

    Attributes:
        driver: The driver that reads it.
        content_type: The response's content type.
        events: The bytes of each event.
        pieces: How many pieces of content there are.
        length: Characters of the content: text, reasoning, or arguments of the tool call.
    """

    driver: str
    content_type: str
    events: tuple[bytes, ...]
    pieces: int
    length: int

    def times(self, factor: int) -> Body:
        """Return a stream of chat completions with `factor` times the text."""
        first, pieces, rest = self.events[:1], self.events[1 : 1 + self.pieces], self.events[1 + self.pieces :]
        return self._replace(
            events=(*first, *pieces * factor, *rest), pieces=self.pieces * factor, length=self.length * factor
        )


def received(partial: Any) -> str:
    """Return the new content of a partial."""
    return partial.content_delta or partial.reasoning_delta


@cache
def body_of(driver: str, kind: str = "text", pieces: int = 10_000, *, stamped: bool = False) -> Body:
    """Return a stream of `pieces` pieces; `stamped`, each of them is a place for a time."""
    words = [f" {0:0{STAMP}}"] if stamped else _WORDS
    text = "".join(words[index % len(words)] for index in range(pieces))
    replies = {
        "text": Reply(text),
        "reasoning": Reply("Yes.", reasoning=text),
        "tool calls": Reply(tool_calls=[ToolCall("write", {"text": text})]),
    }
    with Simulator(replies[kind]) as simulator:
        connection = simulator.connection_for(driver)
        stream = Inference.from_connection(connection).create("Hello", stream=True).stream()
        parts = sum(bool(received(partial) or len(partial.tool_calls)) for partial in stream)
        response = stream.response()
        request = simulator.requests[-1]
        url = f"http://127.0.0.1:{simulator.port}{request.path}?{request.query}"
        sent = msgspec.json.encode(request.body)
        again = httpx.request(request.method, url, headers=request.headers, content=sent, timeout=60)
    contents = {"text": response.content, "reasoning": response.reasoning_content}
    content = contents[kind] if kind in contents else response.tool_calls[0].arguments_raw
    content_type = again.headers["content-type"]
    return Body(driver, content_type, tuple(_events(content_type, again.content)), parts, len(content))


def _events(content_type: str, body: bytes) -> Sequence[bytes]:
    if "event-stream" in content_type and "amazon" not in content_type:
        return [event for event in _SEPARATOR.split(body) if event]
    if "amazon" not in content_type:
        return body.splitlines(keepends=True)
    events, start = [], 0
    while start < len(body):
        size = int.from_bytes(body[start : start + _LENGTH], "big")
        events.append(body[start : start + size])
        start += size
    return events


# The least: the events are cut, and their JSON is decoded without keeping anything of it


class _Nothing(msgspec.Struct, gc=False):
    """No field of an object."""


_decode = msgspec.json.Decoder(_Nothing).decode
_FIELD = b"data: "
_END_MARK = b"[DONE]"
_PRELUDE, _CHECKSUM = 12, 4  # bytes around headers and payload of a frame


def splitter_of(body: Body) -> Callable[[], Callable[[bytes], None]]:
    """Return what makes the least decoder for a stream of this form."""
    if "amazon" in body.content_type:
        return _frames
    return _lines(b"\n", skip=0) if "event-stream" not in body.content_type else _lines(_blank(body), skip=len(_FIELD))


def _blank(body: Body) -> bytes:
    return b"\r\n\r\n" if body.events[0].endswith(b"\r\n\r\n") else b"\n\n"


def _lines(separator: bytes, *, skip: int) -> Callable[[], Callable[[bytes], None]]:
    def start() -> Callable[[bytes], None]:
        rest = b""

        def feed(data: bytes) -> None:
            nonlocal rest
            events = (rest + data if rest else data).split(separator)
            rest = events.pop()
            for event in events:
                payload = event[event.index(_FIELD) + skip :] if skip else event
                if payload != _END_MARK:
                    _decode(payload)

        return feed

    return start


def _frames() -> Callable[[bytes], None]:
    rest = b""

    def feed(data: bytes) -> None:
        nonlocal rest
        rest = rest + data if rest else data
        while len(rest) >= _PRELUDE and len(rest) >= (size := int.from_bytes(rest[:_LENGTH], "big")):
            headers = int.from_bytes(rest[_LENGTH : 2 * _LENGTH], "big")
            _decode(rest[_PRELUDE + headers : size - _CHECKSUM])
            rest = rest[size:]

    return feed
