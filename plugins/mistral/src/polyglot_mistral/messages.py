"""Encoding of messages: a role, content that is a text or a list of parts, and tool calls."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from polyglot_core.plugin import MessageWriter, merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_core.plugin import (
        Audio,
        Document,
        Image,
        Message,
        Part,
        RawPart,
        Reasoning,
        Text,
        ToolCall,
        ToolResult,
    )

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_OWN_ID = re.compile(r"[a-zA-Z0-9]{9}")


class Writer(MessageWriter):
    """Writes the messages of one request.

    The API accepts only ids of nine letters and digits, such as its own. Ids of other providers are replaced by such
    ones, equal ids by equal ones.
    """

    id_format: ClassVar[str | None] = "call{:05}"
    optional_tool_names: ClassVar[bool] = True
    sends_extra: ClassVar[bool] = True
    empty_responses: ClassVar[bool] = False

    def normalize_id(self, call_id: str) -> str:
        """Return the id, or its replacement."""
        return call_id if _OWN_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]

    def turn(self, message: Message) -> _JSONObject:
        """Return a message. Texts that were received as parts of their own stay so."""
        return super().turn(replace(message, provider=None))

    def content(self, parts: Iterable[Part]) -> str | list[_JSONObject]:
        """Return the content, with the pieces of one part of thinking joined."""
        content = super().content(parts)
        return content if isinstance(content, str) else _joined_thinking(content)

    def call(self, call: ToolCall) -> _JSONObject:
        """Return a tool call with its further fields."""
        return merged(super().call(call), call.extra)

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write a text with its further fields."""
        yield {"type": "text", "text": part.text, **part.extra}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image."""
        detail = {} if part.detail is None else {"detail": part.detail}
        yield merged({"type": "image_url", "image_url": {"url": part.data_url, **detail}}, part.extra)

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio."""
        yield merged({"type": "input_audio", "input_audio": {"data": part.base64, "format": part.format}}, part.extra)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document by its id or its URL."""
        if part.file_id is not None:
            if part.name:
                self.cannot("the name of a document that has a file_id")
            yield merged({"type": "file", "file_id": part.file_id}, part.extra)
        else:
            name = {} if part.name is None else {"document_name": part.name}
            yield merged({"type": "document_url", "document_url": part.data_url, **name}, part.extra)

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write a stretch of thinking; encrypted thinking is another provider's and is dropped."""
        shape = part.extra.get("thinking")
        if shape is None:
            if part.text:
                yield {"type": "thinking", "thinking": [{"type": "text", "text": part.text}], "closed": True}
        elif isinstance(shape, list):
            yield {**part.extra, "thinking": [{**inner, "text": part.text} for inner in shape[:1]]}
        else:
            yield {**part.extra, "thinking": part.text}

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape."""
        yield dict(part.payload)

    def result(self, result: ToolResult) -> _JSONObject:
        """Return a tool result, with the name of its tool if it is known."""
        return {**super().result(result), **({} if result.name is None else {"name": result.name})}


def _joined_thinking(written: list[_JSONObject]) -> list[_JSONObject]:
    """Return the parts, with thinking joined to the thinking before it, unless that was closed."""
    joined: list[_JSONObject] = []
    for part in written:
        before = joined[-1] if joined else {}
        both = [each.get("thinking") if each.get("type") == "thinking" else None for each in (before, part)]
        if all(isinstance(inner, list) for inner in both) and not before.get("closed"):
            joined[-1] = {**before, **part, "thinking": [piece for inner in both for piece in inner or ()]}
        else:
            joined.append(part)
    return joined
