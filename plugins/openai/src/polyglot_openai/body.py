"""A request as the dialect says it: the URL and the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from polyglot_core.plugin import JSONSchema, WireRequest, cannot_express, translate_options
from polyglot_openai.messages import Speaker

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, InferenceRequest, Tool
    from polyglot_openai.columns import Columns

__all__ = ["wire_request"]

_JSONObject = dict[str, Any]

_JSON_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_STREAM_HEADERS = {"content-type": "application/json", "accept": "text/event-stream"}
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
"""Options that have the dialect's own names."""

_INSTEAD = {"reasoning_budget": "reasoning_effort, which this dialect has"}


def wire_request(connection: Connection, request: InferenceRequest, columns: Columns, base_url: str) -> WireRequest:
    """The request, whole but for the key.

    Raises:
        RequestError: Something was asked that the place cannot be told.
    """
    headers = _STREAM_HEADERS if request.stream else _JSON_HEADERS
    return WireRequest(
        url=_url(request, columns, base_url),
        body=msgspec.json.encode(_body(connection, request, columns)),
        headers={**headers, **columns.headers},
        framing="sse" if request.stream else "whole",
        flush_at_eof=columns.flush_at_eof,
        complete_on=columns.complete_on,
        finish_counts=columns.finish_counts,
        think_tags=columns.think_tags,
    )


def _url(request: InferenceRequest, columns: Columns, base_url: str) -> str:
    deployment = quote(columns.deployment or request.model, safe="")
    path = columns.path.replace("{deployment}", deployment)
    query = f"?{urlencode(columns.query)}" if columns.query else ""
    return f"{base_url.rstrip('/')}{path}{query}"


def _body(connection: Connection, request: InferenceRequest, columns: Columns) -> _JSONObject:
    driver = connection.driver
    body: _JSONObject = {**columns.body, "model": request.model}
    body["messages"] = Speaker(request, columns, driver).messages()
    body.update(_options(request, columns, driver))
    body.update(_tools(request, columns, driver))
    if request.response_format is not None:
        body.update(_response_format(request, columns, driver))
    if request.stream:
        body["stream"] = True
        if columns.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return {**body, **request.extra}


def _options(request: InferenceRequest, columns: Columns, driver: str) -> _JSONObject:
    names = {**_OPTIONS, "max_tokens": columns.token_limit, **columns.options}
    names = {option: name for option, name in names.items() if option not in columns.unsupported}
    return translate_options(request, names, driver=driver, instead=_INSTEAD)


def _tools(request: InferenceRequest, columns: Columns, driver: str) -> _JSONObject:
    said: _JSONObject = {}
    if request.tools:
        said["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        said["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = request.parallel_tool_calls
    for feature in [feature for feature in said if feature in columns.unsupported]:
        cannot_express(request, feature, driver=driver)
        del said[feature]
    return said


def _tool(tool: Tool) -> _JSONObject:
    function: _JSONObject = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: str) -> str | _JSONObject:
    return choice if choice in _TOOL_CHOICES else {"type": "function", "function": {"name": choice}}


def _response_format(request: InferenceRequest, columns: Columns, driver: str) -> _JSONObject:
    """The field for what the text must be; nothing where the place has no way to say it."""
    wanted = request.response_format
    feature = "json_schema" if isinstance(wanted, JSONSchema) else str(wanted)
    if feature in columns.unsupported:
        cannot_express(request, f"response_format {feature!r}", driver=driver)
        return {}
    if not isinstance(wanted, JSONSchema):
        return {"response_format": {"type": "json_object" if wanted == "json" else "text"}}
    kind, place = columns.schema_at
    return {"response_format": {"type": kind, place: _envelope(wanted) if place == "json_schema" else wanted.schema}}


def _envelope(shape: JSONSchema) -> _JSONObject:
    said: _JSONObject = {"name": shape.name, "schema": shape.schema}
    if shape.strict is not None:
        said["strict"] = shape.strict
    if shape.description is not None:
        said["description"] = shape.description
    return said
