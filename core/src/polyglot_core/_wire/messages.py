"""The values that drivers and the network layer exchange: requests, responses and chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec
from msgspec import Struct

from polyglot_core._values.limits import Limits
from polyglot_core._values.secret import Headers
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "CR",
    "LARGEST_EVENT",
    "LF",
    "Chunk",
    "CompletionSign",
    "Follow",
    "Framer",
    "FramerClass",
    "WireRequest",
    "WireResponse",
    "is_json",
    "lines_of",
    "too_large",
]

CompletionSign = Literal["finish", "end", "both"]
"""The events that mark a response as complete.

``finish``: a `Finish` of every choice, or an `End`. ``end``: an `End`. ``both``: a `Finish` of every
choice and an `End`.
"""


class Chunk(Struct, frozen=True, gc=False):
    """One undecoded unit of a response: an SSE block, a line, an array element, a binary frame or a whole body.

    Attributes:
        data: The payload. For SSE, the ``data`` lines joined with line feeds.
        raw: The bytes shown as `raw` of a partial: the payload, or the whole frame of a binary framing.
        kind: ``whole`` for the complete body of a response, even if a stream was requested; ``part`` for a unit of a
            stream.
        event: The SSE ``event`` field, or the type of a binary frame.
        id: The last SSE ``id`` received.
        headers: Headers of a binary frame.
    """

    data: bytes
    raw: bytes
    kind: Literal["whole", "part"] = "part"
    event: str | None = None
    id: str | None = None
    headers: Mapping[str, str] | None = None


class Framer(Protocol):
    """Splits the body of one response into chunks. A driver may define its own class."""

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Return the chunks that the next bytes complete. The bytes may be split anywhere."""
        ...

    def finish(self) -> Sequence[Chunk]:
        """Return the chunks that the end of the body completes, if the framing allows any."""
        ...


class FramerClass(Protocol):
    """A class of framers, or a function that returns framers.

    A class may have two further attributes. ``media_types``, a set, lists the content types that its responses have.
    ``recognizes`` is a static method that accepts the first bytes of a body with another type: it returns whether they
    are of this framing, or None if it needs more.
    """

    def __call__(self, *, limit: int) -> Framer:
        """Return a framer that raises `LimitExceeded` for a chunk of more than `limit` bytes."""
        ...


class WireRequest(Struct, frozen=True, kw_only=True):
    """One HTTP request, and how its response is read.

    Attributes:
        url: Absolute URL.
        body: Body of the request.
        method: HTTP method.
        headers: Headers with lower-case names. A `Secret` is revealed only when the request is sent.
        framing: How the body of the response is split into chunks: ``sse``, ``ndjson``, ``json-array``, ``whole``, or
            a `Framer` class.
        flush_at_eof: If True, the last SSE block counts without its closing blank line, whatever its data. Otherwise
            it counts only if its data is whole JSON, and with a note.
        complete_on: The events that mark the response as complete: ``finish``, ``end`` or ``both``. Use ``both`` for a
            server that sends its end marker for an interrupted response too.
        finish_counts: Which `Finish` of a choice is its finish reason if the provider sends several: ``first`` or
            ``last``.
        response_headers: Names of further response headers for `InferenceResponse.headers`, in lower case; ``*`` stands
            for any characters. One that ends with ``-id`` has the id of the request if no header of a usual name has.
        think_tags: Opening and closing tag of reasoning that the server leaves in the text. Core emits the text between
            them as reasoning. An empty opening tag means that the text begins within the reasoning.
    """

    url: str
    body: bytes
    method: str = "POST"
    headers: Headers = {}
    framing: str | FramerClass = "sse"
    flush_at_eof: bool = False
    complete_on: CompletionSign = "finish"
    finish_counts: Literal["first", "last"] = "first"
    response_headers: tuple[str, ...] = ()
    think_tags: tuple[str, str] | None = None


class Follow(Struct, frozen=True):
    """The response is received by a further request, which core sends as a part of the same attempt.

    A driver returns it from `decode_chunk` as the last event of a chunk. What was received is kept, `state` included,
    and the rest of the present response is not read.

    Attributes:
        request: The request. The connection's headers, its key and `authorize` are applied to it if its origin is that
            of the attempt's first request; to another origin it is sent as it is.
        after: Seconds to wait before it is sent, from 0 to 3600.
    """

    request: WireRequest
    after: float = 0.0


class WireResponse(Struct, frozen=True, kw_only=True):
    """A response that is not a stream.

    Attributes:
        status: HTTP status.
        headers: Headers with lower-case names.
        body: The first bytes of the body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


LF, CR = b"\n\r"  # as integers: `in` is eight times faster for an integer than for bytes

LARGEST_EVENT = Limits().event


def too_large(limit: int) -> LimitExceeded:
    """Return the error for an event of more than `limit` bytes."""
    return LimitExceeded(f"An event of the response is larger than {limit} bytes. To allow more, raise limits.event.")


_FEW_BYTES = 1 << 16
_check = msgspec.json.Decoder(msgspec.Raw).decode


def is_json(data: bytes) -> bool:
    """Return whether the bytes are one JSON text."""
    try:
        _check(data)
    except UNREADABLE:
        return False
    return True


def lines_of(data: bytes) -> Iterable[bytes]:
    """Return the lines of a text. Those of a long one are not all in memory at once."""
    return data.split(b"\n") if len(data) < _FEW_BYTES else _lines(data)


def _lines(data: bytes) -> Iterator[bytes]:
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:]
