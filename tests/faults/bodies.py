"""Bodies of chat completions, written out, for streams that the simulator cannot generate."""

from __future__ import annotations

import json
from typing import Any

from polyglot_simulator import RawReply

from .scripted import CHUNKED, Step, chunk, head

__all__ = [
    "BODY",
    "DONE",
    "FINISH",
    "GOOGLE",
    "JSON",
    "PAGE",
    "STORY",
    "TEXT",
    "delta",
    "event",
    "finish",
    "reply",
    "said",
    "streamed",
]

TEXT = "One two three"
"""What every provider here says, unless a scenario is about something else."""


def event(payload: object) -> bytes:
    """Return a value as one server-sent event; bytes are unchanged."""
    return b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n"


def _choice(index: int, **fields: object) -> bytes:
    choice = {"index": index, "delta": {}, "finish_reason": None, **fields}
    return event({"id": "chat-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def delta(index: int = 0, /, **fields: object) -> bytes:
    """Return a chunk with these fields of a choice's delta."""
    return _choice(index, delta=fields)


def said(text: str, index: int = 0) -> bytes:
    """Return a chunk with a piece of text."""
    return delta(index, content=text)


def finish(reason: str = "stop", index: int = 0, **fields: object) -> bytes:
    """Return a chunk with a finish reason."""
    return _choice(index, finish_reason=reason, **fields)


FINISH = finish()
DONE = b"data: [DONE]\n\n"
STORY = (said("One"), said(" two"), said(" three"), FINISH, DONE)
"""`TEXT` as a stream."""
BODY = b"".join(STORY)

GOOGLE: list[dict[str, Any]] = [
    {"candidates": [{"index": 0, "content": {"parts": [{"text": text}]}}]} for text in ("One", " two", " three")
]
GOOGLE[-1]["candidates"][0]["finishReason"] = "STOP"
"""`TEXT` as Google's chunks."""

JSON = {"error": {"message": "Sorry, no.", "code": "some_code", "param": "messages"}}
PAGE = "<!doctype html><style>p {color: red}</style><h1>Sorry, <b>no</b>.</h1>\x1b[31m" + "<p>…</p>" * 9
"""A refusal as a provider sends it, and as something in between does."""


def reply(*writes: bytes, **fields: Any) -> RawReply:
    """Return a simulator reply that streams these bytes."""
    return RawReply(writes=writes, **fields)


def streamed(*pieces: bytes, end: tuple[Step, ...] = (b"0\r\n\r\n",), **headers: str) -> tuple[Step, ...]:
    """Return these bytes as the steps of a scripted server, one HTTP chunk for each piece."""
    return (head(**CHUNKED | headers), *map(chunk, pieces), *end)
