"""Recordings with changes that a provider may make in the future, or a network may cause."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_testkit.recording import Recording

__all__ = ["broken_bodies", "with_unknown_event", "with_unknown_fields"]

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
