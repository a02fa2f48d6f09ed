"""A generated chat completion stream, and the least that a program can do with it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

_WORDS = (
    " the",
    " a",
    " of",
    "ing",
    ",",
    ".",
    " stream",
    " ship",
    " star",
    "ly",
    " was",
    "\n",
    ' "yes"',
    " café",
    " 42",
    "er",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_READ = 64 * 1024


class Generated:
    """A stream of `count` pieces of text, with role, finish, usage and end, in chunks of the size that OpenAI sends.

    Attributes:
        text: The text of all pieces.
        events: The server-sent events, one after the other.
        chunks: How many there are besides the end.
    """

    def __init__(self, count: int) -> None:
        rng = random.Random(0)
        pieces = [rng.choice(_WORDS) for _ in range(count)]
        usage = {"prompt_tokens": 12, "completion_tokens": count, "total_tokens": 12 + count}
        self.text = "".join(pieces)
        self.events = [
            _event(rng, {"role": "assistant", "content": "", "refusal": None}),
            *(_event(rng, {"content": piece}) for piece in pieces),
            _event(rng, {}, "stop"),
            _event(rng, None, usage=usage),
            b"data: [DONE]\n\n",
        ]
        self.chunks = len(self.events) - 1

    def reads(self) -> dict[str, list[bytes]]:
        """The body as a socket may hand it out: in full buffers, or event by event."""
        body = b"".join(self.events)
        full = [body[start : start + _READ] for start in range(0, len(body), _READ)]
        return {"64 KB a read": full, "one event a read": self.events}


def _event(
    rng: random.Random, delta: dict[str, Any] | None, finish: str | None = None, usage: dict[str, Any] | None = None
) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {
        "id": "chatcmpl-generated0000000000000000",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
        "choices": [] if delta is None else [choice],
        "usage": usage,
        "obfuscation": "".join(rng.choices(_LETTERS, k=rng.randrange(4, 14))),
    }
    return b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode()


# The least: only what is needed is decoded, and only this one dialect and framing is understood


class _Delta(Struct, gc=False):
    content: str | None = None


class _Choice(Struct, gc=False):
    delta: _Delta
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    choices: list[_Choice]
    usage: dict[str, int] | None = None


class LeastPartial(Struct, gc=False):
    """A step of a stream, with as little in it as a partial can have."""

    content_delta: str
    parts: list[str]
    count: int
    finish_reason: str | None = None
    usage: dict[str, int] | None = None

    @property
    def content(self) -> str:
        """Return the text so far."""
        return "".join(self.parts[: self.count])


_decode = msgspec.json.Decoder(_Chunk).decode
_DONE = b"data: [DONE]"


class LeastDecoder:
    """Splits at blank lines, and takes the text out of what stands between them."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Feed the next bytes."""
        events = (self._rest + data if self._rest else data).split(b"\n\n")
        self._rest = events.pop()
        for event in events:
            if event != _DONE:
                chunk = _decode(event[6:])
                if chunk.choices:
                    self.pieces.append(chunk.choices[0].delta.content or "")


def least_partials(reads: Iterable[bytes]) -> Iterator[LeastPartial]:
    """The same with a partial for each chunk, in one loop."""
    parts: list[str] = []
    count, rest = 0, b""
    for data in reads:
        events = (rest + data if rest else data).split(b"\n\n")
        rest = events.pop()
        for event in events:
            if event == _DONE:
                return
            chunk = _decode(event[6:])
            choice = chunk.choices[0] if chunk.choices else None
            text = (choice and choice.delta.content) or ""
            if text:
                parts.append(text)
                count += 1
            yield LeastPartial(text, parts, count, choice and choice.finish_reason, chunk.usage)
