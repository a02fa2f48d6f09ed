"""Encoding of the body of Converse, which is the same for a streamed and a plain response."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_bedrock.conversation import Writer, cache_point
from polyglot_core.plugin import JSONSchema, RawTool, cannot_express, json_access, translate_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.plugin import InferenceRequest, Tool

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "stop": "inferenceConfig.stopSequences[]",
    "service_tier": "serviceTier.type",
    "metadata": "requestMetadata",
}

_CLAUDE, _NOVA, _NOVA_2, _GPT_OSS = (
    re.compile(pattern)
    for pattern in (r"anthropic\.claude-", r"amazon\.nova-", r"amazon\.nova-2-", r"openai\.gpt-oss-")
)

_OF_MODELS: dict[str, tuple[tuple[re.Pattern[str], Callable[[Any], _JSONObject | None]], ...]] = {
    "top_k": (
        (_CLAUDE, lambda value: {"top_k": value}),
        (_NOVA, lambda value: {"inferenceConfig": {"topK": value}}),
    ),
    "reasoning_budget": (
        (
            _CLAUDE,
            lambda value: {"thinking": {"type": "enabled", "budget_tokens": value} if value else {"type": "disabled"}},
        ),
        (_NOVA_2, lambda value: None if value else {"reasoningConfig": {"type": "disabled"}}),
    ),
    "reasoning_effort": (
        (
            _NOVA_2,
            lambda value: (
                None if value == "minimal" else {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": value}}
            ),
        ),
        (_GPT_OSS, lambda value: None if value == "minimal" else {"reasoning_effort": value}),
    ),
}
"""Options that Converse leaves to each model: the fields documented for it, None if a value is unsupported."""

_TOOL_CHOICES = {"auto": "auto", "required": "any"}


def body_of(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the body.

    Raises:
        RequestError: The request uses a feature that the API does not have.
    """
    system, turns = Writer(request, driver).conversation()
    body: _JSONObject = {"messages": turns, **_options(request, driver)}
    if system:
        body["system"] = system
    if config := _tool_config(request, driver):
        body["toolConfig"] = config
    if request.response_format == "json":
        cannot_express(request, "response_format 'json'", driver=driver, instead="a JSON Schema")
    elif isinstance(request.response_format, JSONSchema):
        body["outputConfig"] = {"textFormat": _text_format(request.response_format)}
    return body


def _options(request: InferenceRequest, driver: str) -> _JSONObject:
    options = {name: value for name, value in request.options.items() if value is not None}
    fields: _JSONObject = {}
    for name in [name for name in _OF_MODELS if name in options]:
        value = options.pop(name)
        said = _said_to_model(request.model, name, value)
        if said is None:
            what = f"{name} {value!r} for the model {request.model!r}"
            cannot_express(request, what, driver=driver, instead="extra={'additionalModelRequestFields': {…}}")
        else:
            fields |= said
    _check_metadata(request, options, driver)
    body = translate_options(replace(request, options=options), _OPTIONS, driver=driver)
    return {**body, "additionalModelRequestFields": fields} if fields else body


def _said_to_model(model: str, name: str, value: object) -> _JSONObject | None:
    say = next((say for pattern, say in _OF_MODELS[name] if pattern.search(model)), None)
    return None if say is None else say(value)


def _check_metadata(request: InferenceRequest, options: _JSONObject, driver: str) -> None:
    """Raise if metadata does not map strings to strings."""
    metadata = options.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, Mapping) or not all(isinstance(value, str) for value in metadata.values()):
        cannot_express(request, "option 'metadata' with values that are no text", driver=driver, instead="texts")
        del options["metadata"]


def _tool_config(request: InferenceRequest, driver: str) -> _JSONObject:
    config: _JSONObject = {"tools": [entry for tool in request.tools for entry in _tool(tool)]} if request.tools else {}
    if request.parallel_tool_calls is False:  # allowing several is the default, for which there is no field
        cannot_express(request, "parallel_tool_calls=False", driver=driver)
    choice = request.tool_choice
    if choice == "none":
        cannot_express(request, "tool_choice 'none'", driver=driver, instead="a request without tools")
    elif choice in _TOOL_CHOICES:
        config["toolChoice"] = {_TOOL_CHOICES[choice]: {}}
    elif choice is not None:
        config["toolChoice"] = {"tool": {"name": choice}}
    return config


def _tool(tool: Tool | RawTool) -> list[_JSONObject]:
    """Return the entries for a tool: itself, and its cache marker."""
    if isinstance(tool, RawTool):
        return [dict(tool.payload)]
    entry = {"toolSpec": {**tool.fields("inputSchema"), "inputSchema": {"json": tool.parameters}, **tool.extra}}
    return [entry, cache_point(tool.cache)] if tool.cache else [entry]


def _text_format(wanted: JSONSchema) -> _JSONObject:
    definition = {"name": wanted.name, "schema": json_access.text(wanted.schema)}
    if wanted.description:
        definition["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": definition}}
