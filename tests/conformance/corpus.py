"""The corpus: recorded exchanges with providers, in the folder that ``POLYGLOT_CORPUS`` names.

It holds ``PROVIDER/DIALECT/NAME.json`` with one exchange each, ``expected.jsonl`` with what an ideal client reports for
each, and ``check.py``, which compares a program's results with that.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "POLYGLOT_CORPUS"

# Headers of the recorded connection, not of the response.
_OF_THE_CONNECTION = {"connection", "content-encoding", "content-length", "keep-alive", "trailer", "transfer-encoding"}
_TYPES = {
    "sse": "text/event-stream",
    "json": "application/json",
    "json-array": "application/json",
    "ndjson": "application/x-ndjson",
    "aws-eventstream": "application/vnd.amazon.eventstream",
}
_ENDS = {"sse": b"\n\n", "ndjson": b"\n"}
_REDACTED = "**REDACTED**"


class Exchange(NamedTuple):
    """A recorded response, and what is known of its request.

    Attributes:
        path: Its file, from the corpus folder on; its name in all results.
        dialect: What was spoken.
        status: HTTP status.
        headers: Names in lower case and values, without those of the recorded connection.
        body: The body, after content decoding.
        streamed: Whether the body is a stream.
        framing: How the body is framed: ``sse``, ``json``, ``json-array``, ``ndjson`` or ``aws-eventstream``.
        lengths: Bytes of each piece in which it came, where that was recorded; they sum up to the body.
    """

    path: str
    dialect: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    streamed: bool
    framing: str = "sse"
    lengths: tuple[int, ...] = ()

    @property
    def provider(self) -> str:
        """Return the name of the provider."""
        return self.path.partition("/")[0]

    def pieces(self) -> list[bytes]:
        """Return the body in its recorded pieces, else split by event or line, else whole."""
        end = _ENDS.get(self.framing) if self.streamed else None
        lengths = self.lengths or [len(event) for event in (_cut(self.body, end) if end else [self.body])]
        ends = list(itertools.accumulate(lengths))
        return [self.body[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def folder() -> Path | None:
    """Return the folder of the corpus, or None without one."""
    named = os.environ.get(VARIABLE)
    found = Path(named) if named else None
    return found if found is not None and (found / "expected.jsonl").is_file() else None


def judged(corpus: Path, dialect: str) -> list[Exchange]:
    """Return every exchange of `dialect` with an expectation, in the order of the file."""
    with (corpus / "expected.jsonl").open(encoding="utf-8") as lines:
        expected = [json.loads(line) for line in lines]
    rows = [row for row in expected if row["dialect"] == dialect and not row.get("skip")]
    return [read(corpus, row["path"], dialect) for row in rows]


def read(corpus: Path, path: str, dialect: str) -> Exchange:
    """Read the exchange in the file at `path`; `dialect` is the one in which it is replayed."""
    response = json.loads((corpus / path).read_text("utf-8"))["response"]
    return Exchange(
        path=path,
        dialect=dialect,
        status=response["status"],
        headers=_headers(response),
        body=base64.b64decode(response["body_b64"]),
        streamed=response["streamed"],
        framing=response["format"],
        lengths=tuple(length for length in response.get("chunk_lens") or () if length),
    )


def _headers(response: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    recorded = {name.lower(): value for name, value in response["headers"].items() if value != _REDACTED}
    headers = {"content-type": _TYPES[response["format"]], **recorded}
    return tuple((name, value) for name, value in headers.items() if name not in _OF_THE_CONNECTION)


def _cut(body: bytes, end: bytes) -> list[bytes]:
    """Split the body behind each `end`; the rest after the last one is a piece too."""
    pieces = body.split(end)
    return [piece for piece in [*(piece + end for piece in pieces[:-1]), pieces[-1]] if piece]
