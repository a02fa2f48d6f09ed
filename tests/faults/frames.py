"""Frames of the AWS event stream, built after its specification, and the ways in which they can be malformed."""

from __future__ import annotations

import json
import struct
import zlib

__all__ = ["HEADERS", "STORY", "event", "frame", "header"]

HEADERS = [("content-type", "application/vnd.amazon.eventstream")]
_TEXT = 7


def header(name: str, text: str) -> bytes:
    """Return one header with a string value."""
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(text.encode())) + text.encode()


def frame(payload: bytes, block: bytes, *, checksum: int | None = None) -> bytes:
    """Build one frame: lengths and their checksum, headers, payload, and a checksum of everything before."""
    lengths = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    unchecked = lengths + struct.pack(">I", zlib.crc32(lengths)) + block + payload
    return unchecked + struct.pack(">I", zlib.crc32(unchecked) if checksum is None else checksum)


def event(kind: str, payload: dict[str, object], message: str = "event") -> bytes:
    """Build the frame of an event type or an exception type."""
    block = header(f":{message}-type", kind) + header(":message-type", message)
    return frame(json.dumps(payload).encode(), block + header(":content-type", "application/json"))


def said(text: str) -> bytes:
    """Build a frame with a piece of text."""
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}})


STORY = (
    event("messageStart", {"role": "assistant"}),
    said("One"),
    said(" two"),
    said(" three"),
    event("messageStop", {"stopReason": "end_turn"}),
    event("metadata", {"usage": {"inputTokens": 1, "outputTokens": 3, "totalTokens": 4}}),
)
