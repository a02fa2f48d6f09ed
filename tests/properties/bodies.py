"""Bodies to test with: small ones of our own in every dialect, and the recorded ones if the corpus is available.

Those of our own are files: ``DIALECT.KIND``, or ``DIALECT.WHAT.KIND``, which is an ``error`` or not the usual. A file of ``frames`` has a line a frame: its event type, or that of an exception behind a ``!``, and its payload.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path

from ..conformance.corpus import Exchange, folder, judged
from ..conformance.endpoints import DRIVERS

FOLDER = Path(__file__).with_name("bodies")

_FRAMINGS = {
    "sse": "text/event-stream",
    "ndjson": "application/x-ndjson",
    "array.json": "application/json",
    "frames": "application/vnd.amazon.eventstream",
    "json": "application/json",
}
"""Content type by the ending of a file's name; all but the last are streams."""


def ours() -> list[Exchange]:
    """Return the bodies of our own."""
    return [_read(file) for file in sorted(FOLDER.iterdir())]


def dialects() -> list[str]:
    """Return every dialect with a driver."""
    return list(DRIVERS)


@cache
def recorded(dialect: str) -> tuple[Exchange, ...]:
    """Return the recorded bodies in `dialect`; none without the corpus."""
    corpus = folder()
    return () if corpus is None else tuple(judged(corpus, dialect))


def _read(file: Path) -> Exchange:
    dialect = file.name.partition(".")[0]
    kind = next(kind for kind in _FRAMINGS if file.name.endswith(f".{kind}"))
    body = file.read_bytes()
    return Exchange(
        path=f"ours/{file.name}",
        dialect=dialect,
        status=200,
        headers=(("content-type", _FRAMINGS[kind]),),
        body=frames(body) if kind == "frames" else body,
        streamed=kind != "json",
        framing=kind,
    )


def frames(lines: bytes) -> bytes:
    """Return binary frames with valid checksums, one for each line of an event type and a payload."""
    return b"".join(map(_frame, filter(None, lines.split(b"\n"))))


def _frame(line: bytes) -> bytes:
    name, _, payload = line.partition(b" ")
    kind = b"exception" if name.startswith(b"!") else b"event"
    headers = _header(b":message-type", kind) + _header(b":%b-type" % kind, name.removeprefix(b"!")[:1000])
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
