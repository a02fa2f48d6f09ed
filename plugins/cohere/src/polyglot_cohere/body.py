"""Encoding of a request: options, tools, format, and the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_cohere.messages import Writer
from polyglot_core.plugin import JSONSchema, RawTool, Tool, annotated_schema, cannot_express, merged, translate_options

if TYPE_CHECKING:
    from polyglot_core.plugin import InferenceRequest

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences[]",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
    "reasoning_budget": "thinking",
}
_INSTEAD = {"reasoning_effort": "reasoning_budget, which this dialect has"}
_TOOL_CHOICES = {"required": "REQUIRED", "none": "NONE"}


def body_of(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the body, with the fields of `extra` merged into it.

    Raises:
        RequestError: The request uses a feature that the dialect does not have.
    """
    body: _JSONObject = {"model": request.model, "stream": request.stream}  # `stream` is required
    body["messages"] = Writer(request, driver).messages()
    body.update(_options(request, driver))
    body.update(_tools(request, driver))
    if request.response_format is not None:
        body["response_format"] = _response_format(request, request.response_format, driver)
    return merged(body, request.extra)


def _options(request: InferenceRequest, driver: str) -> _JSONObject:
    body = translate_options(request, _OPTIONS, driver=driver, instead=_INSTEAD)
    if (budget := body.get("thinking")) is not None:
        body["thinking"] = {"type": "enabled", "token_budget": budget} if budget else {"type": "disabled"}
    return body


def _tools(request: InferenceRequest, driver: str) -> _JSONObject:
    fields: _JSONObject = {}
    if request.tools:
        fields["tools"] = list(map(_tool, request.tools))
    strict = {tool.strict for tool in request.tools if isinstance(tool, Tool)}
    if True in strict:  # there is one switch for all tools
        fields["strict_tools"] = True
        if False in strict:
            cannot_express(request, "tools of which only some are strict", driver=driver)
    choice = request.tool_choice
    if choice in _TOOL_CHOICES:
        fields["tool_choice"] = _TOOL_CHOICES[choice]
    elif choice not in {None, "auto"}:  # auto is the default, for which there is no field
        cannot_express(request, f"tool_choice {choice!r}", driver=driver, instead="'required' with that tool alone")
    if request.parallel_tool_calls is False:
        cannot_express(request, "parallel_tool_calls False", driver=driver)
    return fields


def _tool(tool: Tool | RawTool) -> _JSONObject:
    """Return a tool. Its further fields are beside ``function``, and those under that name inside it."""
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    return merged({"type": "function", "function": replace(tool, extra={}).fields(strict=False)}, tool.extra)


def _response_format(request: InferenceRequest, wanted: str | JSONSchema, driver: str) -> _JSONObject:
    """Return the response format. A schema is always enforced, and its name is its title here."""
    if isinstance(wanted, JSONSchema):
        return {"type": "json_object", "schema": annotated_schema(request, wanted, driver=driver)}
    return {"type": "json_object" if wanted == "json" else wanted}
