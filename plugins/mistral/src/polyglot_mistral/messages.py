"""Encoding of messages: a role, content that is a text or a list of parts, and tool calls."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, ClassVar

from polyglot_core.plugin import MessageWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Audio, Document, Image, RawPart, Reasoning, ToolResult

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_OWN_ID = re.compile(r"[a-zA-Z0-9]{9}")


class Writer(MessageWriter):
    """Writes the messages of one request.

    The API accepts only ids of nine letters and digits, such as its own. Ids of other providers are replaced by such
    ones, equal ids by equal ones.
    """

    id_format: ClassVar[str | None] = "call{:05}"
    sends_extra: ClassVar[bool] = True

    def normalize_id(self, call_id: str) -> str:
        """Return the id, or its replacement."""
        return call_id if _OWN_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image."""
        detail = {} if part.detail is None else {"detail": part.detail}
        yield {"type": "image_url", "image_url": {"url": part.data_url, **detail}}

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio."""
        yield {"type": "input_audio", "input_audio": {"data": part.base64, "format": part.format}}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document by its id or its URL."""
        if part.file_id is not None:
            yield {"type": "file", "file_id": part.file_id}
        else:
            name = {} if part.name is None else {"document_name": part.name}
            yield {"type": "document_url", "document_url": part.data_url, **name}

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write a stretch of thinking; encrypted thinking is another provider's and is dropped."""
        if part.text:
            yield {"type": "thinking", "thinking": [{"type": "text", "text": part.text}], "closed": True}

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape."""
        yield dict(part.payload)

    def result(self, result: ToolResult) -> _JSONObject:
        """Return a tool result, with the name of its tool if it is known."""
        return {**super().result(result), **({} if result.name is None else {"name": result.name})}
