"""What crosses the border between a driver and the network: bytes, chunks, requests, and secrets in headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct

from polyglot_core._values.limits import Limits
from polyglot_core._values.secret import Headers
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CR",
    "LARGEST_EVENT",
    "LF",
    "UNREADABLE",
    "Chunk",
    "CompletionSign",
    "Framer",
    "FramerClass",
    "WireRequest",
    "WireResponse",
    "too_large",
]


CompletionSign = Literal["finish", "end", "both"]
"""What an answer is complete with: a `Finish` of every choice (an `End` alone will do), an `End`, or only with both."""


class Chunk(Struct, frozen=True, gc=False):
    """One undecoded unit of a stream.

    Attributes:
        data: The payload: for SSE the ``data`` lines, joined.
        raw: What a partial shows as its bytes: the payload, or the whole frame of a binary framing.
        kind: ``whole`` for a complete body, ``part`` for a piece of a stream.
        event: The SSE ``event`` field, or the type of a binary frame.
        id: The last SSE ``id`` seen.
        headers: Headers of a binary frame.
    """

    data: bytes
    raw: bytes
    kind: Literal["whole", "part"] = "part"
    event: str | None = None
    id: str | None = None
    headers: Mapping[str, str] | None = None


class Framer(Protocol):
    """Cuts a body into chunks; one instance reads one body. A driver may bring its own class."""

    def feed(self, data: bytes) -> Sequence[Chunk]:
        """Take the next bytes, in any split, and return the chunks that they complete."""
        ...

    def finish(self) -> Sequence[Chunk]:
        """The body is over: return what is still to be had, if the framing allows it."""
        ...


class FramerClass(Protocol):
    """A class of framers, or whatever else makes them."""

    def __call__(self, *, limit: int) -> Framer:
        """A framer for a body whose chunks are no larger than `limit` bytes; it raises `LimitExceeded` at others."""
        ...


class WireRequest(Struct, frozen=True, kw_only=True):
    """One HTTP request, ready to be sent, and how its answer is to be read.

    Attributes:
        url: Absolute URL.
        body: Body bytes.
        method: HTTP method.
        headers: Header names in lower case; a `Secret` is revealed only when the request is sent.
        framing: How the body of the answer is cut: a name of `framing.FRAMERS`, or a `Framer` class.
        flush_at_eof: Whether a last block without its closing blank line counts (SSE). The standard says no;
            recorded Messages, Responses, Gemini and Mistral streams end so.
        complete_on: What the answer is complete with. A server that says its end also when it was interrupted wants
            ``both``.
        finish_counts: Which `Finish` of a choice is its reason, where a provider sends several.
        think_tags: Opening and closing tag of thinking that the server leaves in the text; core takes it out.
    """

    url: str
    body: bytes
    method: str = "POST"
    headers: Headers = {}
    framing: str | FramerClass = "sse"
    flush_at_eof: bool = False
    complete_on: CompletionSign = "finish"
    finish_counts: Literal["first", "last"] = "first"
    think_tags: tuple[str, str] | None = None


class WireResponse(Struct, frozen=True, kw_only=True):
    """An answer that is no stream: status, headers in lower case, and the first bytes of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


LF, CR = b"\n\r"  # as numbers: looking for a number in bytes takes an eighth of the time

LARGEST_EVENT = Limits().event


def too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"An event of the answer is larger than {limit} bytes; larger ones are allowed by limits.event."
    )
