"""A request as the dialect says it: the URL and the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from polyglot_core.plugin import JSONSchema, cannot_express, json_request, translate_options
from polyglot_openai.messages import Writer

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, InferenceRequest, WireRequest
    from polyglot_openai.columns import Columns

__all__ = ["wire_request"]

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
"""Options that have the dialect's own names."""

_INSTEAD = {"reasoning_budget": "reasoning_effort, which this dialect has"}


def wire_request(connection: Connection, request: InferenceRequest, columns: Columns, base_url: str) -> WireRequest:
    """The request, whole but for the key.

    Raises:
        RequestError: Something was asked that the place cannot be told.
    """
    return json_request(
        _url(request, columns, base_url),
        _body(connection, request, columns),
        stream=request.stream,
        headers=columns.headers,
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
    body["messages"] = Writer(request, columns, driver).messages()
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
        said["tools"] = [{"type": "function", "function": tool.fields()} for tool in request.tools]
    if request.tool_choice is not None:
        said["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = request.parallel_tool_calls
    for feature in [feature for feature in said if feature in columns.unsupported]:
        cannot_express(request, feature, driver=driver)
        del said[feature]
    return said


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
    return {"response_format": {"type": kind, place: wanted.fields() if place == "json_schema" else wanted.schema}}
