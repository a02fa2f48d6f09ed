"""Messages as the semantic conventions have them: JSON text, for those who choose to record prompts and responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from polyglot_core import Reasoning, Refusal, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core import InferenceResponse
    from polyglot_core.plugin import InferenceRequest, Part

__all__ = ["input_messages", "output_messages"]


def input_messages(request: InferenceRequest) -> str:
    """Return the messages of a request."""
    return _as_json({"role": message.role, "parts": _parts(message.parts)} for message in request.messages)


def output_messages(response: InferenceResponse) -> str:
    """Return a message for each choice of a response, with the content received so far."""
    return _as_json(
        {"role": "assistant", "parts": _parts(choice.parts), "finish_reason": choice.finish_reason or "error"}
        for choice in response.choices
    )


def _as_json(messages: Iterable[dict[str, Any]]) -> str:
    return json.dumps(list(messages), ensure_ascii=False, separators=(",", ":"))


def _parts(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, Any]:
    """Return a part. Of images, audio and files only the kind and the media type are recorded."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return {"type": "text", "content": text}
        case Reasoning(text=text):
            return {"type": "reasoning", "content": text}
        case ToolCall(id=number, name=name, arguments_raw=arguments):
            return {"type": "tool_call", "id": number, "name": name, "arguments": _arguments(arguments)}
        case ToolResult(id=number, content=content):
            held = content if isinstance(content, str) else [_part(each) for each in content]
            return {"type": "tool_call_response", "id": number, "response": held}
        case _:
            return {"type": type(part).__name__.lower(), "mime_type": getattr(part, "mime_type", None)}


def _arguments(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the arguments of a tool call as a JSON value; as text where they are incomplete."""
    try:
        return json.loads(text)
    except ValueError:
        return text
