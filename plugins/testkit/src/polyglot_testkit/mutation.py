"""Recordings with changes that a provider may make in the future, or a network may cause."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

from polyglot_core.plugin import json_access
from polyglot_testkit.json_paths import paths_of, with_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from polyglot_testkit.recording import Recording

__all__ = [
    "PLACES",
    "broken_bodies",
    "odd_values",
    "payloads",
    "with_error",
    "with_finish_field",
    "with_finish_word",
    "with_payloads",
    "with_text",
    "with_unknown_event",
    "with_unknown_fields",
    "without_events",
]

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


def _blocks(recording: Recording) -> tuple[str, list[bytes]]:
    """Return the framing of a stream, and its events, each with its end; none if the framing is not known here."""
    body = recording.body
    if not recording.streamed:
        return "whole", []
    if body[:1] == b"\0":
        return "frames", list(_frames(body))
    if body.lstrip().startswith((b"data:", b"event:", b":", b"id:")):
        plain = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return "sse", [block + b"\n\n" for block in plain.split(b"\n\n") if block.strip()]
    lines = [line + b"\n" for line in body.split(b"\n") if line.strip()]
    return "lines", lines if all(line.startswith(b"{") for line in lines) else []


def _frames(body: bytes) -> Iterator[bytes]:
    """Yield the frames of a binary event stream, each of which begins with its length."""
    while body:
        length = max(_HEAD.size, int.from_bytes(body[:4], "big"))
        yield body[:length]
        body = body[length:]


_HEAD = struct.Struct(">II")


def _frame(payload: bytes, **headers: str) -> bytes:
    """Return one frame of a binary event stream."""
    block = b"".join(
        bytes([len(name) + 1]) + b":" + name.replace("_", "-").encode() + b"\7" + struct.pack(">H", len(text)) + text
        for name, text in ((name, text.encode()) for name, text in headers.items())
    )
    head = _HEAD.pack(_HEAD.size + 8 + len(block) + len(payload), len(block))
    body = head + struct.pack(">I", zlib.crc32(head)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


_TEXT = b"The model is overheated."
_ERROR = b'{"message":"%b","code":"overheated"}' % _TEXT
_AS_LINES = {
    "an object with error": b'{"error":%b}' % _ERROR,
    "an object with an error text": b'{"error":"%b"}' % _TEXT,
    "an object with object error": b'{"object":"error","message":"%b","code":500}' % _TEXT,
    "an object with type error": b'{"type":"error","error":%b}' % _ERROR,
    "an object with detail": b'{"detail":"%b"}' % _TEXT,
    "an object with message": _ERROR,
    "an object with error_code": b'{"error_code":17,"error_message":"%b"}' % _TEXT,
    "a list of errors": b'{"errors":[%b]}' % _ERROR,
}
_SPELLINGS: Mapping[str, Mapping[str, bytes]] = {
    "sse": {
        "an event named error with an object": b"event: error\ndata: %b\n\n" % _ERROR,
        "an event named error with text": b"event: error\ndata: %b\n\n" % _TEXT,
        "a field error": b'error: {"message":"%b","code":500}\n\n' % _TEXT,
        "a field error with text": b"error: %b\n\n" % _TEXT,
        **{name: b"data: %b\n\n" % line for name, line in _AS_LINES.items()},
        "JSON without a field": b'{"error":%b}\n\n' % _ERROR,
    },
    "lines": {name: line + b"\n" for name, line in _AS_LINES.items()},
    "frames": {
        "an exception": _frame(_ERROR, exception_type="modelStreamErrorException", message_type="exception"),
        "an exception of an unknown type": _frame(_ERROR, exception_type="heatException", message_type="exception"),
        "an error in the headers": _frame(b"", message_type="error", error_code="Heat", error_message=_TEXT.decode()),
    },
    "whole": {},
}
"""Spellings of an error that gateways and servers use within a stream, by the framing of the stream."""

PLACES = ("first", "middle", "last")
"""Where an error may be in a stream: before its first event, within it, and in place of its end."""


def with_error(recording: Recording, place: str) -> Iterator[tuple[str, Recording]]:
    """Yield a stream with an error in place of the rest, in each spelling that its framing allows.

    Args:
        recording: The stream. One with fewer events than there are places yields nothing.
        place: One of `PLACES`.
    """
    framing, blocks = _blocks(recording)
    if len(blocks) < len(PLACES):
        return
    kept = {"first": 0, "middle": len(blocks) // 2, "last": max(1, len(blocks) - _ENDING)}[place]
    for spelling, block in _SPELLINGS[framing].items():
        yield spelling, msgspec.structs.replace(recording, body=b"".join([*blocks[:kept], block]))


_ENDING = 3
"""Events at the end of a stream that may hold its finish reason, its usage and its end mark."""


def with_finish_word(recording: Recording, word: str, other: str) -> Recording | None:
    """Return the recording with another finish reason, as JSON text; None if the word is not in the body."""
    before, after = msgspec.json.encode(word), msgspec.json.encode(other)
    if recording.body[:1] == b"\0" or before not in recording.body:
        return None
    return msgspec.structs.replace(recording, body=recording.body.replace(before, after))


# Payloads


def payloads(recording: Recording) -> list[bytes]:
    """Return the JSON texts of a body: of each event, line or frame, or of the whole."""
    framing, blocks = _blocks(recording)
    if framing == "frames":
        return [_payload_of(block) for block in blocks]
    if framing == "sse":
        lines = (line for block in blocks for line in block.split(b"\n"))
        return [line[len(_FIELD) :].strip() for line in lines if line.startswith(_FIELD)]
    return blocks or [recording.body]


def with_payloads(recording: Recording, change: Callable[[bytes], bytes]) -> Recording:
    """Return the recording with each JSON text changed."""
    framing, blocks = _blocks(recording)
    if framing == "frames":
        body = b"".join(_reframed(block, change(_payload_of(block))) for block in blocks)
    elif framing == "sse":
        lines = recording.body.split(b"\n")
        body = b"\n".join(_changed(line, change) for line in lines)
    elif blocks:
        body = b"".join(change(block.strip()) + b"\n" for block in blocks)
    else:
        body = change(recording.body)
    return msgspec.structs.replace(recording, body=body)


def _changed(line: bytes, change: Callable[[bytes], bytes]) -> bytes:
    if not line.startswith(_FIELD):
        return line
    end = b"\r" if line.endswith(b"\r") else b""
    return _FIELD + b" " + change(line[len(_FIELD) :].strip()) + end


def _payload_of(frame: bytes) -> bytes:
    head = int.from_bytes(frame[4:8], "big")
    return frame[_HEAD.size + 4 + head : -4]


def _reframed(frame: bytes, payload: bytes) -> bytes:
    """Return a frame of a binary event stream with another payload, and the checksums of it."""
    block = frame[_HEAD.size + 4 : _HEAD.size + 4 + int.from_bytes(frame[4:8], "big")]
    head = _HEAD.pack(_HEAD.size + 8 + len(block) + len(payload), len(block))
    body = head + struct.pack(">I", zlib.crc32(head)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def with_text(recording: Recording, before: str, after: str, *, escaped: bool) -> Recording | None:
    """Return the recording with one text in place of another; None if no JSON text has it as a string.

    Args:
        recording: The recording.
        before: The whole of a string in it.
        after: The string to write instead.
        escaped: Whether characters beyond ASCII are written as escapes.
    """
    forms = [json.dumps(before, ensure_ascii=False).encode(), json.dumps(before).encode()]
    new = json.dumps(after, ensure_ascii=escaped).encode()

    def change(payload: bytes) -> bytes:
        for form in forms:
            payload = payload.replace(form, new)
        return payload

    changed = with_payloads(recording, change)
    return changed if any(new in payload for payload in payloads(changed)) else None


_FINISH_FIELD = re.compile(rb'("(?:finish|stop|done)(?:_?reason)?"\s*:\s*)"([^"]*)"', re.IGNORECASE)


def with_finish_field(recording: Recording, word: str) -> tuple[str, Recording] | None:
    """Return the finish reason of the wire, and the recording with another one; None if no field has a usual name."""
    found = [match[2].decode() for payload in payloads(recording) for match in _FINISH_FIELD.finditer(payload)]
    if not found:
        return None
    new = rb'\1"' + word.encode() + b'"'
    return found[-1], with_payloads(recording, lambda payload: _FINISH_FIELD.sub(new, payload))


_ODD: tuple[object, ...] = (None, 7, "x", [], {}, [None], {"x": None}, True)
_MOST_ODD = 120


def odd_values(recording: Recording) -> Iterator[Recording]:
    """Yield the recording with each value of its JSON texts in turn replaced by one of another type."""
    texts = payloads(recording)
    places = [
        (number, path, odd)
        for number, text in enumerate(texts)
        for path, _ in paths_of(json_access.parse(text, otherwise=None))
        for odd in _ODD
    ]
    for number, path, odd in places[:: max(1, len(places) // _MOST_ODD)]:
        new = msgspec.json.encode(with_value(json_access.parse(texts[number]), path, odd))
        counted = iter(range(len(texts)))
        yield with_payloads(recording, lambda text: new if next(counted) == number else text)  # noqa: B023 (used now)


def without_events(recording: Recording) -> Iterator[Recording]:
    """Yield the stream with each event in turn lost, doubled, or changed places with the next."""
    _, blocks = _blocks(recording)
    for number, block in enumerate(blocks):
        before, after = blocks[:number], blocks[number + 1 :]
        for body in ([*before, *after], [*before, block, block, *after], [*before, *after[:1], block, *after[1:]]):
            yield msgspec.structs.replace(recording, body=b"".join(body))
