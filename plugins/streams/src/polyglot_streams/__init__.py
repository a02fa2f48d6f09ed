"""Functions that take a stream first and return a stream: transforms, tees, and what is written while it is received.

A sync stream gives a sync stream, an async stream an async one, on asyncio and trio.
"""

from __future__ import annotations

from polyglot_streams.asgi import StreamResponse
from polyglot_streams.replays import Replays
from polyglot_streams.shapes import NotKept, OpenAIChunks, Shape
from polyglot_streams.sharing import AsyncBranch, AsyncShared, Branch, FellBehind, Shared
from polyglot_streams.sources import AsyncSource, Source
from polyglot_streams.sse import SSE_HEADERS, as_sse, as_text, has_ended
from polyglot_streams.stopping import StopRule, json_complete, repeated_ngram
from polyglot_streams.stream import AsyncStream, Stream
from polyglot_streams.transforms import (
    coalesce,
    collect,
    filter,  # noqa: A004 (as in itertools, it is used with the name of the module)
    last,
    map,  # noqa: A004 (the same)
    reduce,
    save,
    share,
    smooth,
    stop_when,
    tee,
    with_heartbeat,
)

__all__ = [
    "SSE_HEADERS",
    "AsyncBranch",
    "AsyncShared",
    "AsyncSource",
    "AsyncStream",
    "Branch",
    "FellBehind",
    "NotKept",
    "OpenAIChunks",
    "Replays",
    "Shape",
    "Shared",
    "Source",
    "StopRule",
    "Stream",
    "StreamResponse",
    "as_sse",
    "as_text",
    "coalesce",
    "collect",
    "filter",
    "has_ended",
    "json_complete",
    "last",
    "map",
    "reduce",
    "repeated_ngram",
    "save",
    "share",
    "smooth",
    "stop_when",
    "tee",
    "with_heartbeat",
]
