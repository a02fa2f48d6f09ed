"""Messages: the request is a JSON body, the response server-sent events that build a message block by block.

Sources: Anthropic's API reference, pages "Create a Message", "Streaming Messages" and "List Models"; the types of its
public SDK; and recorded exchanges for what these leave open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec.structs import replace

from polyglot_anthropic.decoding import decode_chunk
from polyglot_anthropic.encoding import body_of
from polyglot_anthropic.facts import Facts
from polyglot_anthropic.presets import PRESETS
from polyglot_core.errors import RequestError
from polyglot_core.plugin import Usage, hookimpl, json_access, json_request, merged, read_facts, url_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from polyglot_core.plugin import Connection, InferenceRequest, Model, WireRequest

__all__ = ["decode_chunk", "encode_prefill", "encode_request", "extract_usage", "list_models"]

_VERSION = "2023-06-01"
_PLAIN_IN_PATH = "@:"  # characters of model names that need no escape in a path


@hookimpl
def encode_request(connection: Connection, request: InferenceRequest) -> WireRequest:
    """Encode the request as a message to create."""
    facts = read_facts(connection, Facts, shared=True)
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


_MODEL_PATHS = {
    "id": ("id",),
    "name": ("display_name",),
    "created": ("created_at",),
    "context_tokens": ("max_input_tokens",),
    "output_tokens": ("max_tokens",),
}
_PAGE = {"limit": 1000}  # as many as a page may have


@hookimpl
def list_models(connection: Connection, data: bytes | None, models: list[Model]) -> WireRequest | None:
    """Encode the request for the first page of the list of models, or read a page and encode that for the next.

    Raises:
        RequestError: The endpoint is that of a cloud with paths of its own, and has no such list.
    """
    if read_facts(connection, Facts, shared=True).body_version is not None:
        msg = f"The endpoint of connection {connection.name!r} has no list of models: its version is in the body."
        raise RequestError(msg, provider=connection.driver, phase="encode")
    after = {}
    if data is not None:
        page = msgspec.json.decode(data)
        found = json_access.models(json_access.get(page, "data"), _MODEL_PATHS)
        models += [replace(model, created=None) if _is_unknown(model.created) else model for model in found]
        if not json_access.get(page, "has_more") or not found:
            return None
        after = {"after_id": json_access.get(page, "last_id") or found[-1].id}
    url = f"{_base_url(connection)}/models?{urlencode({**_PAGE, **after})}"
    return json_request(url, None, stream=False, headers={"anthropic-version": _VERSION})


def _is_unknown(created: datetime | None) -> bool:
    """Return True for the beginning of 1970, which stands for a date that is not known."""
    return created is not None and created.timestamp() == 0


def _base_url(connection: Connection) -> str:
    return url_of(connection, default=PRESETS["anthropic"].base_url)


def _url(connection: Connection, request: InferenceRequest, facts: Facts) -> str:
    path = facts.stream_path if request.stream and facts.stream_path else facts.path
    if "{model}" in path:
        path = path.replace("{model}", _in_path(request.model, connection.driver))
    return f"{_base_url(connection)}{path}"


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
