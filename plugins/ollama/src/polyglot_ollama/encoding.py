"""What is asked: flat messages of text, with images, thinking and tool calls beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Image,
    JSONSchema,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    cannot_express,
    translate_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyglot_core.plugin import InferenceRequest, Message, Tool

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "options.num_predict",
    "temperature": "options.temperature",
    "top_p": "options.top_p",
    "top_k": "options.top_k",
    "stop": "options.stop",
    "seed": "options.seed",
    "presence_penalty": "options.presence_penalty",
    "frequency_penalty": "options.frequency_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "reasoning_effort": "think",
    "reasoning_budget": "reasoning_budget",
}

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


def body_of(request: InferenceRequest, driver: str) -> _JSONObject:
    """The body.

    Raises:
        RequestError: The dialect has no words for something that was asked.
    """
    body: _JSONObject = {
        "model": request.model,
        "messages": list(_Writer(request, driver).messages()),
        "stream": request.stream,  # left out it would mean a stream
        **_options(request, driver),
    }
    if request.tools and request.tool_choice != "none":  # what the model does not know it cannot call
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice not in {None, "auto", "none"}:
        cannot_express(request, f"tool_choice {request.tool_choice!r}", driver=driver, instead="'auto' or 'none'")
    if request.parallel_tool_calls is False:
        cannot_express(request, "parallel_tool_calls False", driver=driver)
    if request.response_format == "json":
        body["format"] = "json"
    elif isinstance(request.response_format, JSONSchema):
        body["format"] = request.response_format.schema
    return body


def _options(request: InferenceRequest, driver: str) -> _JSONObject:
    body = translate_options(request, _OPTIONS, driver=driver)
    options = body.get("options", {})
    if isinstance(stop := options.get("stop"), str):
        options["stop"] = [stop]
    if body.get("think") == "minimal":
        cannot_express(request, "reasoning_effort 'minimal'", driver=driver, instead="'low'")
        del body["think"]
    budget = body.pop("reasoning_budget", None)
    if budget == 0:
        body["think"] = False
    elif budget is not None:
        cannot_express(request, "a reasoning_budget above 0", driver=driver, instead="reasoning_effort")
    return body


def _tool(tool: Tool) -> _JSONObject:
    function: _JSONObject = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


class _Writer:
    """Writes one conversation. It remembers which tool a call was of, since results name their tool."""

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        self._request = request
        self._driver = driver
        self._tools: dict[str | None, str] = {}

    def messages(self) -> Iterator[_JSONObject]:
        """The messages; each result of a tool is one of its own."""
        for message in self._request.messages:
            results = [part for part in message.parts if isinstance(part, ToolResult)]
            others = [part for part in message.parts if not isinstance(part, ToolResult)]
            yield from (self._result(part) for part in results)
            if others or not results:
                yield self._message(message, others)

    def _message(self, message: Message, parts: Sequence[object]) -> _JSONObject:
        role = _ROLES.get(message.role)
        if role is None:
            self._cannot(f"the role {message.role!r}")
        if message.name:
            self._cannot("the name of a speaker")
        return {"role": role or message.role, **self._said(parts), **message.extra}

    def _result(self, part: ToolResult) -> _JSONObject:
        """The result of a tool. There is no field for a failure, so the text says it."""
        content = (Text(part.content),) if isinstance(part.content, str) else part.content
        body = {"role": "tool", **self._said((Text("Error: "), *content) if part.error else content)}
        if name := part.name or self._tools.get(part.id):
            body["tool_name"] = name
        if part.id:
            body["tool_call_id"] = part.id
        return body

    def _said(self, parts: Sequence[object]) -> _JSONObject:
        thinking = "".join(part.text for part in parts if isinstance(part, Reasoning))
        lists = {
            "images": list(self._images(parts)),
            "tool_calls": [self._call(part) for part in parts if isinstance(part, ToolCall)],
        }
        for part in parts:
            if not isinstance(part, (Text, Image, Reasoning, ToolCall)):
                self._cannot(f"a part of type {type(part).__name__}")
        said: _JSONObject = {"content": "".join(part.text for part in parts if isinstance(part, Text))}
        if thinking:  # signatures and encrypted thinking are other providers' and mean nothing here
            said["thinking"] = thinking
        return said | {name: found for name, found in lists.items() if found}

    def _images(self, parts: Sequence[object]) -> Iterator[str]:
        for url in (part.data_url for part in parts if isinstance(part, Image)):
            if url.startswith("data:"):
                yield url.partition(",")[2]
            else:
                self._cannot("an image by its URL", "Image(data=…), the bytes themselves")

    def _call(self, part: ToolCall) -> _JSONObject:
        self._tools[part.id] = part.name
        if part.arguments is None:
            self._cannot(f"a call of {part.name!r} whose arguments are no JSON object")
        id_ = {"id": part.id} if part.id else {}
        return {**id_, "type": "function", "function": {"name": part.name, "arguments": part.arguments or {}}}

    def _cannot(self, what: str, instead: str | None = None) -> None:
        cannot_express(self._request, what, driver=self._driver, instead=instead)
