"""Messages: the request is a JSON body, the response server-sent events that build a message block by block.

Sources: Anthropic's API reference, pages "Create a Message" and "Streaming Messages"; the types of its public SDK; and
recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from polyglot_anthropic.decoding import decode_chunk
from polyglot_anthropic.encoding import body_of
from polyglot_anthropic.facts import Facts
from polyglot_anthropic.presets import PRESETS
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Usage, hookimpl, json_access, json_request, merged, read_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core.plugin import Connection, InferenceRequest, WireRequest

__all__ = ["decode_chunk", "encode_prefill", "encode_request", "extract_usage"]

_VERSION = "2023-06-01"
_PLAIN_IN_PATH = "@:"  # characters of model names that need no escape in a path


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a message to create."""
    facts = read_facts(connection, Facts)
    version = facts.body_version
    heading = {"model": request.model} if version is None else {"anthropic_version": version}
    return json_request(
        _url(connection, request, facts),
        merged({**heading, **body_of(connection, request, facts)}, request.extra),
        stream=request.stream,
        headers={"anthropic-version": _VERSION} if version is None else {},
        flush_at_eof=True,
        complete_on="end",
        finish_counts="last",
    )


@hookimpl
def encode_prefill(connection: Connection, request: InferenceRequest, text: str) -> WireRequest:
    """Encode a request that continues the partial response as the assistant's last turn.

    Source: Anthropic's guide "Prefill Claude's response". Models that do not support it, and any that think, reject it.
    """
    return encode_request(connection, request.with_prefill(text))


def _url(connection: Connection, request: InferenceRequest, facts: Facts) -> str:
    base_url = connection.base_url or str(PRESETS["anthropic"].base_url)
    path = facts.stream_path if request.stream and facts.stream_path else facts.path
    if "{model}" in path:
        path = path.replace("{model}", _in_path(request.model, connection.driver))
    return f"{base_url.rstrip('/')}{path}"


def _in_path(model: str, driver: str) -> str:
    """Return the name of a model as one segment of a path.

    Raises:
        RequestError: The name would select another path, or cannot be encoded.
    """
    try:
        segment = quote(model, safe=_PLAIN_IN_PATH)
    except UnicodeEncodeError:
        segment = ""
    if segment.strip(".") == "":
        raise RequestError(
            f"The model {model!r} cannot be part of a URL. Check the name.", provider=driver, phase="encode"
        )
    return segment


@hookimpl
def extract_usage(payload: Mapping[str, Any]) -> Usage:
    """Read a usage object. Tokens read from a cache or written to it are counted apart from ``input_tokens``."""
    read, written = (
        json_access.number(payload, "cache_read_input_tokens"),
        json_access.number(payload, "cache_creation_input_tokens"),
    )
    rest = json_access.number(payload, "input_tokens")
    return Usage(
        input_tokens=None if rest is None else rest + (read or 0) + (written or 0),
        output_tokens=json_access.number(payload, "output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=json_access.number(payload, "output_tokens_details.thinking_tokens"),
        raw=payload,
    )
