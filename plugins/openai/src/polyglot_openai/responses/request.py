"""The body of a request for a response: options, tools, format and the encoded conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import JSONSchema, RawTool, merged, translate_options
from polyglot_openai.responses.input import Writer

if TYPE_CHECKING:
    from polyglot_core.plugin import InferenceRequest, Tool
    from polyglot_openai.responses.facts import Facts

__all__ = ["request_body"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "logprobs": "logprobs",  # becomes an entry of `include`
    "top_logprobs": "top_logprobs",
    "reasoning_effort": "reasoning.effort",
    "service_tier": "service_tier",
    "user": "user",
    "metadata": "metadata",
}
"""Option → field of the body."""

_INSTEAD = {"reasoning_budget": "reasoning_effort, which this dialect has"}
_LOGPROBS = "message.output_text.logprobs"
_TOOL_CHOICES = frozenset({"auto", "required", "none"})


def request_body(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    """Return the body. Fields of `extra` override it, but its tools and includes are appended and objects are merged.

    So the provider's own tools are sent with the user's, and ``{"reasoning": {"summary": "auto"}}`` keeps the effort.
    """
    body: _JSONObject = {"model": request.model, "input": Writer(request, facts, driver).items()}
    body.update(translate_options(request, _OPTIONS, driver=driver, instead=_INSTEAD))
    if body.pop("logprobs", None):
        body["include"] = [_LOGPROBS]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice, request)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.response_format is not None:
        body["text"] = {"format": _format(request.response_format)}
    body["stream"] = request.stream  # always: some servers stream unless they are told not to
    return merged(body, request.extra, lists=("tools", "include"))


def _tool(tool: Tool | RawTool) -> _JSONObject:
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    return {"type": "function", **tool.fields(), **tool.extra}


def _tool_choice(choice: str, request: InferenceRequest) -> str | _JSONObject:
    """Return the choice of a tool: a word, a tool by its name, or one of the provider's by its type."""
    if choice in _TOOL_CHOICES:
        return choice
    raw = next((tool.payload for tool in request.tools if isinstance(tool, RawTool) and tool.name == choice), None)
    kind = "function" if raw is None else raw.get("type")
    return {"type": kind, "name": choice} if raw is None or raw.get("name") else {"type": kind}


def _format(wanted: str | JSONSchema) -> _JSONObject:
    if isinstance(wanted, JSONSchema):
        return {"type": "json_schema", **wanted.fields()}
    return {"type": "json_object" if wanted == "json" else wanted}
