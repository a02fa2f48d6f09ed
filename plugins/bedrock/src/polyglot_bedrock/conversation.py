"""Encoding of a conversation as turns of the user and of the assistant, made of blocks that have one name each.

The dialect has two roles. System and developer turns become the system prompt, tool results belong to the user's turn,
and consecutive turns of one role are one turn.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from polyglot_bedrock.blocks import CITED_TEXT
from polyglot_core.plugin import Audio, RawPart, ToolCall, TurnWriter, json_access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_core.plugin import (
        Document,
        Image,
        InferenceRequest,
        Message,
        Part,
        Reasoning,
        Text,
        ToolResult,
    )

__all__ = ["Writer", "cache_point"]

_JSONObject = dict[str, Any]

_IN_SYSTEM = frozenset({"text", "cachePoint", "guardContent"})
_CACHE_POINT = "cachePoint"

_FOREIGN = frozenset(
    {
        *("type", "inlineData", "inline_data", "fileData", "file_data", "functionCall", "function_call"),
        *("functionResponse", "function_response", "executableCode", "codeExecutionResult", "thought"),
    }
)
"""Fields of parts in other dialects. A block with any other name is sent, for the API to judge, which adds more."""

_WITHOUT_THINKING = re.compile(r"deepseek\.")
"""Models that reject a turn with thinking. Source: bug reports of AWS's own clients."""

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


def cache_point(cache: bool | str) -> _JSONObject:  # noqa: FBT001 (as the parts have it)
    """Return the block that marks the end of a prompt to cache, with its lifetime if it is specified."""
    return {_CACHE_POINT: {"type": "default"} if cache is True else {"type": "default", "ttl": cache}}


class Writer(TurnWriter):
    """Writes one conversation as turns of blocks. Every document gets a unique name."""

    cache_marks = True
    files_in_responses = False
    writes_extra = True  # into the inner object of a block

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        super().__init__(request, driver)
        self._names: set[str] = set()
        self._received = False  # whether the turn that is being written was received from this API
        self._takes_unsigned = False  # whether it may have thinking without a signature
        self._results = frozenset(
            json_access.get(part.payload, "toolResult.toolUseId")
            for message in self.given
            for part in message.parts
            if isinstance(part, RawPart)
        )

    def normalize_id(self, call_id: str) -> str:
        """Return the id as the API accepts it. Of one that is too long the end is kept, as it is most likely unique."""
        return _NOT_IN_ID.sub("_", call_id)[-_LONGEST_ID:]

    def blocks(self, message: Message) -> list[_JSONObject]:
        """Return the blocks of a message, without calls whose result an interrupted response lacks."""
        self._received = message.provider is not None and self.is_own(message)
        takes_thinking = _WITHOUT_THINKING.search(self.request.model) is None
        self._takes_unsigned = self._received and message.complete and takes_thinking
        return super().blocks(self.whole(message, self._is_cut_off))

    def _is_cut_off(self, part: Part) -> bool:
        """Return True for a call of one of the provider's own tools without its result."""
        if not isinstance(part, RawPart) or "toolUse" not in part.payload:
            return False
        return json_access.get(part.payload, "toolUse.toolUseId") not in self._results

    def in_system(self, block: _JSONObject) -> bool:
        """Return True if the block is text, or a marker for text."""
        if not _IN_SYSTEM.issuperset(block):
            self.cannot(f"a part of type {next(iter(block))!r} in a system turn")
        return _IN_SYSTEM.issuperset(block)

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text, with its sources if it has some, and its cache marker; the API rejects an empty text."""
        cited = part.extra.get(CITED_TEXT)
        if further := sorted(set(part.extra) - {CITED_TEXT}):
            self.cannot(f"the field {further[0]!r} of a text")
        if isinstance(cited, dict) and (part.text or cited):
            yield {CITED_TEXT: _cited(part.text, cited)}
        elif part.text:
            yield {"text": part.text}
        if part.cache:
            yield cache_point(part.cache)

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image of one of four formats."""
        if part.detail not in {None, "auto"}:
            self.cannot("detail of an image")
        yield from self._file("image", part, _IMAGES)
        if part.cache:
            yield cache_point(part.cache)

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio, for the models that accept it."""
        yield from self._file("audio", part, _SOUNDS)
        if cache := getattr(part, "cache", False):
            yield cache_point(cache)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document with a name."""
        if part.file_id is not None:
            self.cannot("the id of a file", instead="its bytes, or an s3:// URL")
            return
        for block in self._file("document", part, _DOCUMENTS):
            yield {"document": {"name": self._own_name(part.name), **block["document"]}}
        if part.cache:
            yield cache_point(part.cache)

    def _file(self, kind: str, part: Image | Audio | Document, formats: Mapping[str, str]) -> Iterator[_JSONObject]:
        url = None if isinstance(part, Audio) else part.url
        media_type = part.mime_type.partition(";")[0].strip().lower()
        named = formats.get(media_type) or (media_type.partition("/")[2] if self._received else None)
        if named is None:
            self.cannot(f"{kind} of type {part.mime_type!r}", instead=", ".join(dict.fromkeys(formats)))
        elif url is None:
            data = base64.b64encode(part.data or b"").decode()
            yield {kind: {"format": named, "source": {"bytes": data}, **part.extra}}
        elif url.startswith("s3://"):
            yield {kind: {"format": named, "source": {"s3Location": {"uri": url}}, **part.extra}}
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
        """Write thinking with its signature. Models that do not sign it get their own back without one."""
        if part.redacted is not None:
            yield {"reasoningContent": {"redactedContent": part.redacted, **part.extra}}
        elif part.signature is not None:
            thought = {"text": part.text, "signature": part.signature, **part.extra}
            yield {"reasoningContent": {"reasoningText": thought}}
        elif self._takes_unsigned and part.text:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, **part.extra}}}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """Write a tool call."""
        call = {"toolUseId": part.id, "name": part.name, "input": self.arguments(part)}
        yield {"toolUse": {**call, **part.extra}}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """Write a tool result; a cache marker among its parts is written after it."""
        blocks = self.write(part.parts)
        content = [block for block in blocks if _CACHE_POINT not in block]
        points = [block for block in blocks if _CACHE_POINT in block]
        result: _JSONObject = {"toolUseId": part.id, "content": content or [{"text": " "}]}
        if part.error:
            result["status"] = "error"
        yield {"toolResult": result}
        yield from points[-1:]

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a block in the API's own shape."""
        if not part.payload or (not self._received and not _FOREIGN.isdisjoint(part.payload)):
            self.cannot(f"a part with {', '.join(sorted(map(str, part.payload))) or 'nothing in it'}")
        elif isinstance(given := json_access.get(part.payload, "toolUse.input"), str):
            arguments = self.arguments(ToolCall(name="", arguments_raw=given))  # an object, always
            yield {"toolUse": {**part.payload["toolUse"], "input": arguments}}
        else:
            yield dict(part.payload)


def _cited(text: str, received: Mapping[str, Any]) -> _JSONObject:
    """Return a text with its sources as it was received, unless the text was changed since."""
    pieces = json_access.objects(received.get("content"))
    is_unchanged = "".join(json_access.text(piece.get("text")) for piece in pieces) == text
    return dict(received) if is_unchanged else {**received, "content": [{"text": text}]}
