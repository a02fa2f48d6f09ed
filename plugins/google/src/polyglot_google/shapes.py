"""Shapes of generateContent's responses that are decoded into types. Everything else is read as plain JSON values."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

__all__ = ["CallArguments", "JSONObject", "TextChunk"]

JSONObject = dict[str, Any]
"""A JSON object that is passed on unchanged."""


# A chunk that is one piece of text or of thinking, as nearly all are


class TextPart(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A piece of text, or of thinking, without anything that has to be sent back with it."""

    text: str
    thought: bool = False


class TextContent(Struct, forbid_unknown_fields=True, gc=False):
    """The content of such a candidate."""

    parts: tuple[TextPart]
    role: Literal["model"] = "model"


class TextCandidate(Struct, forbid_unknown_fields=True, gc=False):
    """A candidate that has nothing but such a piece."""

    content: TextContent
    index: int = 0


class TextChunk(Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A chunk with such a candidate. A chunk with any other field does not have this shape."""

    candidates: tuple[TextCandidate]
    usage_metadata: msgspec.Raw = msgspec.Raw()
    response_id: str | None = None
    model_version: str | None = None
    create_time: str | None = None


# The arguments of tool calls, as the text that was received


class _Call(Struct, gc=False):
    args: msgspec.Raw = msgspec.Raw()


class _Part(Struct, rename="camel", gc=False):
    function_call: _Call | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(Struct, gc=False):
    content: _Content | None = None


class CallArguments(Struct, gc=False):
    """A chunk, of which only the arguments of the tool calls are read."""

    candidates: list[_Candidate] | None = None

    def texts(self) -> list[str]:
        """Return the arguments of each tool call, in order, as compact JSON text; an empty text if there are none."""
        return [
            _compact(bytes(part.function_call.args))
            for candidate in self.candidates or ()
            for part in (candidate.content.parts if candidate.content else None) or ()
            if part.function_call is not None
        ]


def _compact(text: bytes) -> str:
    if text.startswith(b'"'):  # the JSON text of the arguments, as other dialects send them
        return msgspec.json.decode(text, type=str)
    return "" if text in {b"", b"null"} else msgspec.json.format(text, indent=-1).decode()
