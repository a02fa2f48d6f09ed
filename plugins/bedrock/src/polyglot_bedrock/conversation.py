"""A conversation as turns of the user and of the assistant, made of blocks that have one name each.

The dialect knows two roles. System and developer turns become the system prompt, results of tools belong to the user's
turn, and turns of one role that follow each other are one turn.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    RawPart,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    cannot_express,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import InferenceRequest, Message

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = {"user": "user", "tool": "user", "assistant": "assistant"}
_IN_SYSTEM = frozenset({"text", "cachePoint", "guardContent"})
_CACHE_POINT = {"cachePoint": {"type": "default"}}

_OWN_BLOCKS = frozenset(
    {
        *("text", "image", "document", "video", "audio", "searchResult", "guardContent", "cachePoint"),
        *("toolUse", "toolResult", "reasoningContent", "citationsContent"),
    }
)
"""Names of blocks that are passed on as they are."""

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

_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")  # what an id may not hold here; ids of other providers do
_LONGEST_ID = 64
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9\-()\[\] ]")  # what the name of a document may not hold
_LONGEST_NAME = 190


class Writer:
    """Writes one conversation.

    The dialect joins results to calls by id. Calls without one are numbered, and a result without one answers the
    oldest of them that has no result yet, by its tool's name if it has that. Documents have names, each its own.
    """

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        self._request = request
        self._driver = driver
        self._calls = 0
        self._unanswered: list[tuple[str, str]] = []
        self._names: set[str] = set()

    def conversation(self) -> tuple[list[_JSONObject], list[_JSONObject]]:
        """The blocks of the system prompt, and the turns. A turn without content is left out: the API takes none."""
        system: list[_JSONObject] = []
        turns: list[_JSONObject] = []
        for message in self._request.messages:
            role = self._role(message)
            blocks = list(self._blocks(message.parts))
            if message.role in _SYSTEM_ROLES:
                system += self._of_system(blocks)
            elif not blocks or role is None:
                continue
            elif turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        return system, turns

    def _role(self, message: Message) -> str | None:
        """The role in the dialect's words; what else a turn may say of itself has none."""
        role = _ROLES.get(message.role)
        if role is None and message.role not in _SYSTEM_ROLES:
            self._cannot(f"the role {message.role!r}")
        if message.name:
            self._cannot("the name of a speaker")
        if fields := sorted(name for name, value in message.extra.items() if value):
            self._cannot(f"the field {fields[0]!r} of a message")
        return role

    def _blocks(self, parts: Sequence[object]) -> Iterator[_JSONObject]:
        for part in parts:
            yield from _WRITERS[type(part)](self, part)

    def _of_system(self, blocks: list[_JSONObject]) -> Iterator[_JSONObject]:
        for block in blocks:
            if _IN_SYSTEM.issuperset(block):
                yield block
            else:
                self._cannot(f"a part of type {next(iter(block))!r} in a system turn")

    def _cannot(self, what: str, instead: str | None = None) -> None:
        cannot_express(self._request, what, driver=self._driver, instead=instead)

    # Writers: one a kind of part

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """A text, and the mark behind it; the API takes no empty text."""
        if part.text:
            yield {"text": part.text}
        if part.cache:
            yield _CACHE_POINT

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """An image of one of four formats."""
        yield from self._file("image", part, _IMAGES)

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """A sound, for the models that hear."""
        yield from self._file("audio", part, _SOUNDS)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """A document with a name."""
        if part.file_id is not None:
            self._cannot("the id of a file", instead="its bytes, or an s3:// URL")
            return
        for block in self._file("document", part, _DOCUMENTS):
            block["document"]["name"] = self._own_name(part.name)
            yield block

    def _file(self, kind: str, part: Image | Audio | Document, formats: Mapping[str, str]) -> Iterator[_JSONObject]:
        url = None if isinstance(part, Audio) else part.url
        named = formats.get(part.mime_type.partition(";")[0].strip().lower())
        if named is None:
            self._cannot(f"{kind} of type {part.mime_type!r}", instead=", ".join(dict.fromkeys(formats)))
        elif url is None:
            data = base64.b64encode(part.data or b"").decode()
            yield {kind: {"format": named, "source": {"bytes": data}}}
        elif url.startswith("s3://"):
            yield {kind: {"format": named, "source": {"s3Location": {"uri": url}}}}
        else:
            self._cannot(f"{kind} at a URL", instead="its bytes, or an s3:// URL")

    def _own_name(self, given: str | None) -> str:
        """A name as the API takes it; a second document of one name gets a number."""
        stem = (given or "").rpartition(".")[0] or given or "document"
        base = " ".join(_NOT_IN_NAME.sub(" ", stem).split())[:_LONGEST_NAME] or "document"
        name, number = base, 1
        while name in self._names:
            number += 1
            name = f"{base} {number}"
        self._names.add(name)
        return name

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Thinking that came from here: without a signature no model that wants it back takes it."""
        if part.redacted is not None:
            yield {"reasoningContent": {"redactedContent": part.redacted}}
        elif part.signature is not None:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """A call; one without an id gets one."""
        self._calls += 1
        id_ = _as_id(part.id or f"call_{self._calls}")
        if not part.id:
            self._unanswered.append((part.name, id_))
        if part.arguments is None:
            self._cannot(f"a call of {part.name!r} whose arguments are no JSON object")
        yield {"toolUse": {"toolUseId": id_, "name": part.name, "input": part.arguments or {}}}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """A result; what its parts say of the cache is said behind it."""
        parts = (Text(part.content),) if isinstance(part.content, str) else part.content
        blocks = list(self._blocks(parts))
        content = [block for block in blocks if block is not _CACHE_POINT]
        result: _JSONObject = {"toolUseId": self._answered(part), "content": content or [{"text": " "}]}
        if part.error:
            result["status"] = "error"
        yield {"toolResult": result}
        if len(content) < len(blocks):
            yield _CACHE_POINT

    def _answered(self, part: ToolResult) -> str:
        """The id of the call that a result answers."""
        if part.id:
            return _as_id(part.id)
        waiting = [call for call in self._unanswered if part.name in {None, call[0]}]
        if not waiting:
            return f"call_{max(self._calls, 1)}"
        self._unanswered.remove(waiting[0])
        return waiting[0][1]

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """A block in the API's own shape."""
        if part.payload and _OWN_BLOCKS.issuperset(part.payload):
            yield dict(part.payload)
        else:
            self._cannot(f"a part with {', '.join(sorted(map(str, part.payload))) or 'nothing in it'}")


_WRITERS: Mapping[type, Callable[[Writer, Any], Iterator[_JSONObject]]] = {
    Text: Writer.write_text,
    Image: Writer.write_image,
    Audio: Writer.write_audio,
    Document: Writer.write_document,
    Reasoning: Writer.write_reasoning,
    ToolCall: Writer.write_tool_call,
    ToolResult: Writer.write_tool_result,
    RawPart: Writer.write_raw,
}


def _as_id(given: str) -> str:
    """The id as the API takes it; of one that is too long the end is kept, which tells ids apart best."""
    return _NOT_IN_ID.sub("_", given)[-_LONGEST_ID:]
