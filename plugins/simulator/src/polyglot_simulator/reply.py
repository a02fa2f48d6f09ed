"""Scripted replies: those that are independent of dialects, and raw replies in the bytes of any dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from polyglot_core.errors import ConfigError
from polyglot_core.plugin import Usage

__all__ = ["Headers", "RawReply", "Reply", "ToolCall", "pairs_of"]

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
"""Names and values of headers, as a mapping or as pairs, in which a name may be repeated."""


def pairs_of(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Return headers as pairs."""
    return tuple(headers.items() if isinstance(headers, Mapping) else headers)


class ToolCall(Struct, frozen=True):
    """A call to one of the client's tools.

    Attributes:
        name: The tool's name.
        arguments: The arguments; a text is sent as it is, so that it need not be JSON.
        id: The call's id; None gives it one made of the numbers of the turn and of the call.
    """

    name: str
    arguments: Mapping[str, Any] | str = {}
    id: str | None = None


class Reply(Struct, frozen=True):
    """One reply of the model. The dialect of the request decides how it becomes bytes.

    Attributes:
        text: The visible text.
        tool_calls: Calls to the client's tools.
        reasoning: The thinking that is shown before the text.
        refusal: A refusal, apart from the text where the dialect has a place for it: a field, as OpenAI's, or the
            explanation of the finish reason, as Anthropic's and Gemini's. Those of Bedrock, Cohere, Mistral and Ollama
            have none: there it is text.
        finish_reason: The dialect's own word; None is the usual one for what the reply holds.
        usage: The token counts that are reported; its `raw`, where there is one, is sent as it is. None counts the
            words, and `Usage()` reports nothing.
        choices: Several replies to one request. Nothing but `usage` is then given beside them.

    Raises:
        ConfigError: `choices` is given together with other content, or one of them has choices of its own.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None
    refusal: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    choices: Sequence[Reply] = ()

    def __post_init__(self) -> None:
        if self.choices and (self.text or self.tool_calls or self.reasoning or self.refusal or self.finish_reason):
            raise ConfigError(
                "A Reply has either choices or content of its own; move the content into one of the choices.",
                phase="configure",
            )
        if any(choice.choices for choice in self.choices):
            raise ConfigError(
                "A choice of a Reply cannot have choices itself; list them all in the outer Reply.", phase="configure"
            )


class RawReply(Struct, frozen=True, kw_only=True):
    """An HTTP response with a body of given bytes, written to the socket in given pieces.

    Attributes:
        writes: The body; each item is one write to the socket, and one HTTP chunk where the body is chunked.
        status: HTTP status.
        headers: Names and values, as a mapping or as pairs. A framing header that is named here is sent instead of the
            simulator's own.
        delay: Seconds between two writes.
        end: ``chunked`` and ``length`` frame the body and keep the connection. ``close`` ends an unframed body by
            closing. ``open`` and ``reset`` send a chunked body without its last chunk, and then leave the socket open
            or reset it.
    """

    writes: Sequence[bytes] = ()
    status: int = 200
    headers: Headers = (("content-type", "text/event-stream"),)
    delay: float = 0.0
    end: Literal["close", "chunked", "length", "open", "reset"] = "chunked"
