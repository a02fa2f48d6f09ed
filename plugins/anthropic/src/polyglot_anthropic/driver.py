"""Messages: what is asked as a JSON body, what comes as server-sent events that build a message block by block.

Sources: Anthropic's API reference, pages "Create a Message" and "Streaming Messages"; the types of its public SDK; and
recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from polyglot_anthropic.columns import read_columns
from polyglot_anthropic.decoding import decode_chunk, read_failure
from polyglot_anthropic.encoding import body_of
from polyglot_anthropic.presets import PRESETS
from polyglot_core.plugin import Usage, WireRequest, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_anthropic.columns import Columns
    from polyglot_core.plugin import Connection, Failure, InferenceRequest, WireResponse

__all__ = ["decode_chunk", "decode_error", "encode_request", "extract_usage"]

_VERSION = "2023-06-01"
_PLAIN_IN_PATH = "@:"  # characters of model names that need no escape in a path


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Say the request as a message to create."""
    columns = read_columns(connection)
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if request.stream else "application/json",
    }
    heading = {"model": request.model}
    if columns.body_version is None:
        headers["anthropic-version"] = _VERSION
    else:
        heading = {"anthropic_version": columns.body_version}
    body = {**heading, **body_of(connection, request, columns), **request.extra}
    return WireRequest(
        url=_url(connection, request, columns),
        body=msgspec.json.encode(body),
        headers=headers,
        framing="sse" if request.stream else "whole",
        flush_at_eof=True,
        complete_on="end",
        finish_counts="last",
    )


def _url(connection: Connection, request: InferenceRequest, columns: Columns) -> str:
    base_url = connection.base_url or str(PRESETS["anthropic"].base_url)
    path = columns.stream_path if request.stream and columns.stream_path else columns.path
    path = path.replace("{model}", quote(request.model, safe=_PLAIN_IN_PATH))
    return f"{base_url.rstrip('/')}{path}"


@hookimpl
def decode_error(response: WireResponse) -> Failure | None:
    """Read an error, for which the text may tell more than its type."""
    try:
        payload = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return read_failure(payload, status=response.status, raw=response.body)


class _OutputDetails(Struct, gc=False):
    thinking_tokens: int | None = None


class _Usage(Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. What was read from a cache or written to it is counted beside ``input_tokens``."""
    usage = msgspec.convert(payload, _Usage)
    read, written, rest = usage.cache_read_input_tokens, usage.cache_creation_input_tokens, usage.input_tokens
    details = usage.output_tokens_details
    return Usage(
        input_tokens=None if rest is None else rest + (read or 0) + (written or 0),
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=None if details is None else details.thinking_tokens,
        raw=payload,
    )
