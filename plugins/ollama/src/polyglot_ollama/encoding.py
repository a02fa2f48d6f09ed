"""Encoding of a request: flat messages of text, with images, thinking and tool calls in fields of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from polyglot_core.plugin import (
    JSONSchema,
    MessageWriter,
    RawTool,
    Tool,
    annotated_schema,
    cannot_express,
    merged,
    translate_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyglot_core.plugin import Image, InferenceRequest, Message, Part, Reasoning, Text, ToolCall, ToolResult

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "stop": "options.stop[]",
    "seed": "options.seed",
    "presence_penalty": "options.presence_penalty",
    "frequency_penalty": "options.frequency_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "reasoning_effort": "think",
    "reasoning_budget": "reasoning_budget",
}


def body_of(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the body.

    Raises:
        RequestError: The request uses a feature that the dialect does not have.
    """
    body: _JSONObject = {
        "model": request.model,
        "messages": _Writer(request, driver).messages(),
        "stream": request.stream,  # always sent, as a missing field would mean a stream
        **_options(request, driver),
    }
    if request.tools and request.tool_choice != "none":  # a model cannot call a tool that it does not know
        body["tools"] = list(map(_tool, request.tools))
    if any(isinstance(tool, Tool) and tool.strict for tool in request.tools):
        cannot_express(request, "strict of a tool", driver=driver)
    if request.tool_choice not in {None, "auto", "none"}:
        cannot_express(request, f"tool_choice {request.tool_choice!r}", driver=driver, instead="'auto' or 'none'")
    if request.parallel_tool_calls is False:
        cannot_express(request, "parallel_tool_calls False", driver=driver)
    if request.response_format == "json":
        body["format"] = "json"
    elif isinstance(request.response_format, JSONSchema):
        body["format"] = annotated_schema(request, request.response_format, driver=driver)
    return body


def _tool(tool: Tool | RawTool) -> _JSONObject:
    """Return a tool. Its further fields are beside ``function``, and those under that name inside it."""
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    return merged({"type": "function", "function": replace(tool, extra={}).fields(strict=False)}, tool.extra)


def _options(request: InferenceRequest, driver: str) -> _JSONObject:
    body = translate_options(request, _OPTIONS, driver=driver)
    if body.get("think") == "minimal":
        cannot_express(request, "reasoning_effort 'minimal'", driver=driver, instead="'low'")
        del body["think"]
    budget = body.pop("reasoning_budget", None)
    if budget == 0:
        body["think"] = False
    elif budget is not None:
        cannot_express(request, "a reasoning_budget above 0", driver=driver, instead="reasoning_effort")
    return body


class _Writer(MessageWriter):
    """Writes one conversation. Results name their tool, and tool calls need no id."""

    id_format: ClassVar[str | None] = None
    tool_names: ClassVar[bool] = True
    tool_name: ClassVar[str] = ".+"

    def turn(self, message: Message) -> _JSONObject:
        return {"role": self.role(message) or message.role, **self._fields(message.parts)}

    def result(self, result: ToolResult) -> _JSONObject:
        names = {"tool_name": result.name, "tool_call_id": result.id}
        return {"role": "tool", **self._fields(result.said), **{name: value for name, value in names.items() if value}}

    def _fields(self, parts: Sequence[Part]) -> _JSONObject:
        """Return the parts of a message, each type in a field of its own."""
        fields: _JSONObject = {"content": ""}
        for piece in self.write(parts):
            for name, value in piece.items():
                fields[name] = fields[name] + value if name in fields else value
        return fields

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        self._no_fields(part)
        yield {"content": part.text}

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        if part.text:  # signatures and encrypted thinking are other providers' and are dropped
            yield {"thinking": part.text}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        self._no_fields(part)
        if part.detail not in {None, "auto"}:
            self.cannot("detail of an image")
        if part.inline is None:
            self.cannot("an image by its URL", "Image(data=…), the bytes themselves")
        else:
            yield {"images": [part.inline[1]]}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        function = {"name": part.name, "arguments": self.arguments(part)}
        call = {**({"id": part.id} if part.id else {}), "type": "function", "function": function}
        yield {"tool_calls": [merged(call, part.extra)]}

    def _no_fields(self, part: Text | Image) -> None:
        """Report further fields of a text or an image, for which a message has no place."""
        for name in part.extra:
            self.cannot(f"the field {name!r} of a part of type {type(part).__name__}")
