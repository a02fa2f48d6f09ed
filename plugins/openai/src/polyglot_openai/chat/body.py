"""Encoding of a request: the URL and the JSON body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from polyglot_core.plugin import JSONSchema, cannot_express, json_request, translate_options
from polyglot_openai.chat.messages import Writer

if TYPE_CHECKING:
    from polyglot_core.plugin import Connection, InferenceRequest, WireRequest
    from polyglot_openai.chat.facts import Facts

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
        flush_at_eof=facts.flush_at_eof,
        complete_on=facts.complete_on,
        finish_counts=facts.finish_counts,
        think_tags=facts.think_tags,
    )


def _url(request: InferenceRequest, facts: Facts, base_url: str) -> str:
    deployment = quote(facts.deployment or request.model, safe="")
    path = facts.path.replace("{deployment}", deployment)
    query = f"?{urlencode(facts.query)}" if facts.query else ""
    return f"{base_url.rstrip('/')}{path}{query}"


def _body(connection: Connection, request: InferenceRequest, facts: Facts) -> _JSONObject:
    driver = connection.driver
    body: _JSONObject = {**facts.body, "model": request.model}
    body["messages"] = Writer(request, facts, driver).messages()
    body.update(_options(request, facts, driver))
    body.update(_tools(request, facts, driver))
    if request.response_format is not None:
        body.update(_response_format(request, facts, driver))
    if request.stream:
        body["stream"] = True
        if facts.stream_usage:
            body["stream_options"] = {"include_usage": True}
    return {**body, **request.extra}


def _options(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    names = {**_OPTIONS, "max_tokens": facts.token_limit, **facts.options}
    names = {option: name for option, name in names.items() if option not in facts.unsupported}
    return translate_options(request, names, driver=driver, instead=_INSTEAD)


def _tools(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    fields: _JSONObject = {}
    if request.tools:
        fields["tools"] = [{"type": "function", "function": tool.fields()} for tool in request.tools]
    if request.tool_choice is not None:
        fields["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    for feature in [feature for feature in fields if feature in facts.unsupported]:
        cannot_express(request, feature, driver=driver)
        del fields[feature]
    return fields


def _tool_choice(choice: str) -> str | _JSONObject:
    return choice if choice in _TOOL_CHOICES else {"type": "function", "function": {"name": choice}}


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
    return {"response_format": {"type": kind, key: wanted.fields() if key == "json_schema" else wanted.schema}}
