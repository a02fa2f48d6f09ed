"""Encoding of a conversation as turns of the user and of the assistant, made of blocks that have one name each.

The dialect has two roles. System and developer turns become the system prompt, tool results belong to the user's turn,
and consecutive turns of one role are one turn.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import Audio, TurnWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_core.plugin import (
        Document,
        Image,
        InferenceRequest,
        RawPart,
        Reasoning,
        Text,
        ToolCall,
        ToolResult,
    )

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_IN_SYSTEM = frozenset({"text", "cachePoint", "guardContent"})
_CACHE_POINT = {"cachePoint": {"type": "default"}}

_OWN_BLOCKS = frozenset(
    {
        *("text", "image", "document", "video", "audio", "searchResult", "guardContent", "cachePoint"),
        *("toolUse", "toolResult", "reasoningContent", "citationsContent"),
    }
)
"""Names of blocks that are passed on unchanged."""

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_SOUNDS = {
    **{f"audio/{name}": name for name in ("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "m4a", "pcm", "webm")},
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}

_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")  # characters that an id may not contain here; other providers' ids do
_LONGEST_ID = 64
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\] ]")  # characters that the name of a document may not contain
_LONGEST_NAME = 190


class Writer(TurnWriter):
    """Writes one conversation as turns of blocks. Every document gets a unique name."""

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        super().__init__(request, driver)
        self._names: set[str] = set()

    def normalize_id(self, call_id: str) -> str:
        """Return the id as the API accepts it. Of one that is too long the end is kept, as it is most likely unique."""
        return _NOT_IN_ID.sub("_", call_id)[-_LONGEST_ID:]

    def in_system(self, block: _JSONObject) -> bool:
        """Return True if the block is text, or a marker for text."""
        if not _IN_SYSTEM.issuperset(block):
            self.cannot(f"a part of type {next(iter(block))!r} in a system turn")
        return _IN_SYSTEM.issuperset(block)

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text and its cache marker; the API rejects an empty text."""
        if part.text:
            yield {"text": part.text}
        if part.cache:
            yield _CACHE_POINT

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image of one of four formats."""
        if part.detail not in {None, "auto"}:
            self.cannot("detail of an image")
        yield from self._file("image", part, _IMAGES)

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio, for the models that accept it."""
        yield from self._file("audio", part, _SOUNDS)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document with a name."""
        if part.file_id is not None:
            self.cannot("the id of a file", instead="its bytes, or an s3:// URL")
            return
        for block in self._file("document", part, _DOCUMENTS):
            block["document"]["name"] = self._own_name(part.name)
            yield block

    def _file(self, kind: str, part: Image | Audio | Document, formats: Mapping[str, str]) -> Iterator[_JSONObject]:
        url = None if isinstance(part, Audio) else part.url
        named = formats.get(part.mime_type.partition(";")[0].strip().lower())
        if named is None:
            self.cannot(f"{kind} of type {part.mime_type!r}", instead=", ".join(dict.fromkeys(formats)))
        elif url is None:
            data = base64.b64encode(part.data or b"").decode()
            yield {kind: {"format": named, "source": {"bytes": data}}}
        elif url.startswith("s3://"):
            yield {kind: {"format": named, "source": {"s3Location": {"uri": url}}}}
        else:
            self.cannot(f"{kind} at a URL", instead="its bytes, or an s3:// URL")

    def _own_name(self, given: str | None) -> str:
        """Return a name as the API accepts it; a second document of the same name gets a number."""
        stem = (given or "").rpartition(".")[0] or given or "document"
        base = " ".join(_NOT_IN_NAME.sub(" ", stem).split())[:_LONGEST_NAME] or "document"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base} {number}"
        self._names.add(name)
        return name

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write thinking with its signature; models that accept thinking reject it without one."""
        if part.redacted is not None:
            yield {"reasoningContent": {"redactedContent": part.redacted}}
        elif part.signature is not None:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """Write a tool call."""
        yield {"toolUse": {"toolUseId": part.id, "name": part.name, "input": self.arguments(part)}}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """Write a tool result; a cache marker among its parts is written after it."""
        blocks = self.write(part.parts)
        content = [block for block in blocks if block is not _CACHE_POINT]
        result: _JSONObject = {"toolUseId": part.id, "content": content or [{"text": " "}]}
        if part.error:
            result["status"] = "error"
        yield {"toolResult": result}
        if len(content) < len(blocks):
            yield _CACHE_POINT

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a block in the API's own shape."""
        if part.payload and _OWN_BLOCKS.issuperset(part.payload):
            yield dict(part.payload)
        else:
            self.cannot(f"a part with {', '.join(sorted(map(str, part.payload))) or 'nothing in it'}")
