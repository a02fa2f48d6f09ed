"""Tokens, estimated by the number of characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_core import Message, Text, ToolCall, ToolResult
from polyglot_core.plugin import Reasoning, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core import InferenceResponse
    from polyglot_core.plugin import InferenceRequest, Part

__all__ = ["CHARACTERS_PER_TOKEN", "input_tokens", "output_tokens", "reserved_tokens"]

CHARACTERS_PER_TOKEN = 4
"""What tokenizers make of English text, on average."""

USUAL_OUTPUT = 256
"""Tokens of a response whose request states no limit, until the account has seen some."""

_IMAGE = 4000  # characters that stand for an image or another file, about a thousand tokens


def input_tokens(request: InferenceRequest) -> int:
    """Return an estimate of the tokens of a prompt."""
    tools = sum(len(repr(tool)) for tool in request.tools)
    return _tokens(sum(map(_characters_of, request.messages)) + tools)


def output_tokens(response: InferenceResponse) -> int:
    """Return an estimate of the tokens of a response as far as it was received, of all choices."""
    return _tokens(
        sum(
            len(choice.content)
            + len(choice.reasoning_content)
            + len(choice.refusal or "")
            + sum(len(call.name) + len(call.arguments_raw) for call in choice.tool_calls)
            for choice in response.choices
        )
    )


def reserved_tokens(request: InferenceRequest, usual_output: float) -> int:
    """Return the tokens that a request may cost: those of its prompt, and its limit for the response.

    Args:
        request: The request.
        usual_output: Tokens of a response, if the request states no limit.
    """
    limit = request.options.get("max_tokens")
    output = limit if isinstance(limit, int) else usual_output
    number = request.options.get("n")
    return input_tokens(request) + round(output) * (number if isinstance(number, int) else 1)


def _tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _characters_of(message: Message) -> int:
    return _characters_in(message.content) + len(message.role)


def _characters_in(content: str | Sequence[Part]) -> int:
    return len(content) if isinstance(content, str) else sum(map(_characters_in_part, content))


def _characters_in_part(part: Part) -> int:
    match part:
        case Text() | Refusal() | Reasoning():
            return len(part.text)
        case ToolCall():
            return len(part.name) + len(part.arguments_raw)
        case ToolResult():
            return _characters_in(part.content)
        case _:
            return _IMAGE
