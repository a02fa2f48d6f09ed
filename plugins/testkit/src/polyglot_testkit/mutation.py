"""Recordings with changes that a provider may make in the future, or a network may cause."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_testkit.recording import Recording

__all__ = ["broken_bodies", "sse_blocks", "with_error", "with_finish_word", "with_unknown_event", "with_unknown_fields"]

_UNKNOWN = {"added_tomorrow": {"list": [1, None, "x"], "nothing": None}, "nothing_added": None}
_BROKEN = 60
_FIELD = b"data:"


def with_unknown_fields(recording: Recording) -> Recording | None:
    """Return the recording with further fields in every JSON object at the top of a chunk; None if it is not text."""
    if recording.body[:1] == b"\0":  # a binary framing
        return None
    lines = [_with_fields(line) for line in recording.body.split(b"\n")]
    return msgspec.structs.replace(recording, body=b"\n".join(lines))


def _with_fields(line: bytes) -> bytes:
    head, payload = (_FIELD + b" ", line[len(_FIELD) :]) if line.startswith(_FIELD) else (b"", line)
    end = b"\r" if line.endswith(b"\r") else b""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return line
    return head + msgspec.json.encode({**value, **_UNKNOWN}) + end if isinstance(value, dict) else line


def with_unknown_event(recording: Recording) -> Recording | None:
    """Return the recording with an event of a new kind before its first; None if it is no event stream."""
    if not recording.streamed or not recording.body.lstrip().startswith((b"data:", b"event:", b":", b"id:")):
        return None
    event = b'event: added_tomorrow\ndata: {"type":"added_tomorrow","x":1}\n\n'
    return msgspec.structs.replace(recording, body=event + recording.body)


def broken_bodies(body: bytes) -> Iterator[bytes]:
    """Yield the body with a bit flipped, a range lost, doubled or replaced by random bytes; always the same ones."""
    dice = random.Random(0)  # noqa: S311 (the same breaks each time)
    for number in range(_BROKEN if body else 0):
        place = dice.randrange(len(body))
        end = min(len(body), place + dice.randrange(1, 40))
        rubbish = bytes(dice.randrange(256) for _ in range(end - place))
        yield (
            body[:place] + bytes([body[place] ^ (1 << dice.randrange(8))]) + body[place + 1 :],
            body[:place] + body[end:],
            body[:end] + body[place:],
            body[:place] + rubbish + body[end:],
        )[number % 4]
    yield b'{"choices": 7, "type": [], "error": 3}'
    yield b"data: " + b"[" * 100_000 + b"\n\n"
    yield b"\xff\xfe\x00" * 20


def sse_blocks(body: bytes) -> list[bytes]:
    """Return the blocks of a stream of server-sent events, each with its blank line; none for any other body."""
    if not body.lstrip().startswith((b"data:", b"event:", b":", b"id:")):
        return []
    plain = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return [block + b"\n\n" for block in plain.split(b"\n\n") if block.strip()]


_ERROR = b'{"message":"The model is overheated.","code":"overheated"}'
_SPELLINGS = {
    "an event named error with an object": b"event: error\ndata: " + _ERROR + b"\n\n",
    "an event named error with text": b"event: error\ndata: The model is overheated.\n\n",
    "an object with error": b'data: {"error":' + _ERROR + b"}\n\n",
    "an object with an error text": b'data: {"error":"The model is overheated."}\n\n',
    "an object with object error": b'data: {"object":"error","message":"The model is overheated.","code":500}\n\n',
    "a field error": b'error: {"message":"The model is overheated.","code":500}\n\n',
    "an object with detail": b'data: {"detail":"The model is overheated."}\n\n',
    "an object with message": b"data: " + _ERROR + b"\n\n",
}
"""Spellings of an error within a stream of server-sent events that gateways and servers use."""


def with_error(recording: Recording, place: str) -> Iterator[tuple[str, Recording]]:
    """Yield the recording with an error in place of the rest, in each spelling, after none, half or all but the last.

    Args:
        recording: A stream of server-sent events.
        place: ``first``, ``middle`` or ``last``.
    """
    blocks = sse_blocks(recording.body)
    kept = {"first": 0, "middle": len(blocks) // 2, "last": _before_the_end(blocks)}[place]
    for spelling, block in _SPELLINGS.items():
        body = b"".join([*blocks[:kept], block])
        yield spelling, msgspec.structs.replace(recording, body=body, headers=recording.headers)


def _before_the_end(blocks: list[bytes]) -> int:
    """Return how many blocks precede the one that may hold the finish: the last three may hold finish, usage, end."""
    return max(1, len(blocks) - 3)


def with_finish_word(recording: Recording, word: str, other: str) -> Recording | None:
    """Return the recording with another finish reason, as JSON text; None if the word is not in the body."""
    before, after = msgspec.json.encode(word), msgspec.json.encode(other)
    if recording.body[:1] == b"\0" or before not in recording.body:
        return None
    return msgspec.structs.replace(recording, body=recording.body.replace(before, after))
