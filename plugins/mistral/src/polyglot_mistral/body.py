"""Encoding of a request: options, tools, format, and the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import JSONSchema, RawTool, cannot_express, merged, translate_options
from polyglot_mistral.messages import Writer

if TYPE_CHECKING:
    from polyglot_core.plugin import InferenceRequest, Tool

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "stop": "stop",
    "seed": "random_seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "n": "n",
    "reasoning_effort": "reasoning_effort",
    "reasoning_budget": "reasoning_budget",  # no field: 0 becomes an effort, anything else is unsupported
    "metadata": "metadata",
}
_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def body_of(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the body. An agent that `extra` names brings its own model.

    Raises:
        RequestError: The request uses a feature that the dialect does not have.
    """
    body: _JSONObject = {} if "agent_id" in request.extra else {"model": request.model}
    body["messages"] = Writer(request, driver).messages()
    body.update(_options(request, driver))
    if request.tools:
        body["tools"] = list(map(_tool, request.tools))
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    body["stream"] = request.stream  # usage is reported without a request, and `stream_options` is rejected
    return merged(body, request.extra)


def _tool(tool: Tool | RawTool) -> _JSONObject:
    """Return a tool. Its further fields are beside ``function``, and those under that name inside it."""
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    return merged({"type": "function", "function": replace(tool, extra={}).fields()}, tool.extra)


def _options(request: InferenceRequest, driver: str) -> _JSONObject:
    body = translate_options(request, _OPTIONS, driver=driver)
    budget = body.pop("reasoning_budget", None)
    if budget == 0:
        body["reasoning_effort"] = "none"
    elif budget is not None:
        cannot_express(request, "a reasoning_budget above 0", driver=driver, instead="reasoning_effort")
    return body


def _tool_choice(choice: str) -> str | _JSONObject:
    return _TOOL_CHOICES.get(choice) or {"type": "function", "function": {"name": choice}}


def _response_format(wanted: str | JSONSchema) -> _JSONObject:
    if not isinstance(wanted, JSONSchema):
        return {"type": "json_object" if wanted == "json" else wanted}
    return {"type": "json_schema", "json_schema": wanted.fields()}
