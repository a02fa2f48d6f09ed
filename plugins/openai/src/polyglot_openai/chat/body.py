"""Encoding of a request: the URL and the JSON body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from msgspec.structs import replace

from polyglot_core.plugin import (
    JSONSchema,
    RawTool,
    annotated_schema,
    cannot_express,
    json_request,
    merged,
    translate_options,
)
from polyglot_openai.chat.messages import Writer, cache_mark
from polyglot_openai.chat.paths import laid_over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core.plugin import Connection, InferenceRequest, Tool, WireRequest
    from polyglot_openai.chat.facts import Facts

__all__ = ["models_request", "wire_request"]

_JSONObject = dict[str, Any]

_TOOL_CHOICES = frozenset({"auto", "required", "none"})

_OPTIONS = {
    name: name
    for name in (
        "temperature",
        "top_p",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "n",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "service_tier",
        "user",
        "metadata",
    )
}
"""Options that have the same name in the dialect."""

_INSTEAD = {"reasoning_budget": "reasoning_effort, which this dialect has"}


def wire_request(connection: Connection, request: InferenceRequest, facts: Facts, base_url: str) -> WireRequest:
    """Return the whole request, except for the key.

    Raises:
        RequestError: The request uses a feature that the endpoint does not support.
    """
    return json_request(
        _url(request, facts, base_url),
        _body(connection, request, facts),
        stream=request.stream,
        headers=facts.headers,
        response_headers=facts.response_headers,
        flush_at_eof=facts.flush_at_eof,
        complete_on=facts.complete_on,
        finish_counts=facts.finish_counts,
        think_tags=facts.think_tags,
    )


def models_request(base_url: str, facts: Facts) -> WireRequest:
    """Return the request for the list of models."""
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return json_request(f"{base_url}/models{query}", None, stream=False, headers=facts.headers)


def _url(request: InferenceRequest, facts: Facts, base_url: str) -> str:
    path = facts.path
    if "{deployment}" in path:
        path = path.replace("{deployment}", quote(facts.deployment or request.model, safe=""))
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return f"{base_url}{path}{query}"


def _body(connection: Connection, request: InferenceRequest, facts: Facts) -> _JSONObject:
    driver = connection.driver
    body: _JSONObject = {"model": request.model, "messages": Writer(request, facts, driver).messages()}
    body.update(_options(request, facts, driver))
    body.update(_tools(request, facts, driver))
    if request.response_format is not None:
        body.update(_response_format(request, facts, driver))
    body["stream"] = request.stream  # also if False: some servers stream by default
    if request.stream and facts.stream_usage:
        body["stream_options"] = {"include_usage": True}
    return merged(laid_over(facts.body, body), request.extra)


def _options(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    if not request.options:
        return {}
    names = {**_OPTIONS, "max_tokens": facts.token_limit, **facts.options}
    names = {option: names[option] for option in request.options if option in names and option not in facts.unsupported}
    return translate_options(request, names, driver=driver, instead=_INSTEAD)


def _tools(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    fields: _JSONObject = {}
    if request.tools:
        fields["tools"] = [_tool(tool, facts) for tool in request.tools]
    if request.tool_choice is not None:
        fields["tool_choice"] = _tool_choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    for feature in [feature for feature in fields if feature in facts.unsupported]:
        cannot_express(request, feature, driver=driver)
        del fields[feature]
    return fields


def _tool(tool: Tool | RawTool, facts: Facts) -> _JSONObject:
    """Return a tool. Its further fields are beside ``function``, and those under that name inside it."""
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    written = {"type": "function", "function": replace(tool, extra={}).fields(), **cache_mark(tool.cache, facts)}
    return laid_over(written, dict(tool.extra))


def _tool_choice(choice: str, tools: Iterable[Tool | RawTool]) -> str | _JSONObject:
    """Return the choice; a tool in the provider's own format is named in the field of its type."""
    if choice in _TOOL_CHOICES:
        return choice
    kinds = (str(tool.payload.get("type")) for tool in tools if isinstance(tool, RawTool) and _names(tool, choice))
    kind = next(kinds, "function")
    return {"type": kind, kind: {"name": choice}}


def _names(tool: RawTool, choice: str) -> bool:
    inner = tool.payload.get(str(tool.payload.get("type")))
    return isinstance(inner, Mapping) and inner.get("name") == choice


def _response_format(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    """Return the field for the response format, or no field if the endpoint does not support the format."""
    wanted = request.response_format
    feature = "json_schema" if isinstance(wanted, JSONSchema) else str(wanted)
    if feature in facts.unsupported:
        cannot_express(request, f"response_format {feature!r}", driver=driver)
        return {}
    if not isinstance(wanted, JSONSchema):
        return {"response_format": {"type": "json_object" if wanted == "json" else "text"}}
    kind, key = facts.schema_at
    schema = wanted.fields() if key == "json_schema" else annotated_schema(request, wanted, driver=driver)
    return {"response_format": {"type": kind, key: schema}}
