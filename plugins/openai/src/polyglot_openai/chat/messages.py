"""Encoding of messages: flat objects with a role, content and tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from polyglot_core.plugin import Image, MessageWriter, RawPart, Reasoning, Refusal, Text, ToolCall, json_access
from polyglot_openai.chat.deltas import IN_CONTENT
from polyglot_openai.chat.paths import laid_over, put
from polyglot_openai.file_names import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeGuard

    from polyglot_core.plugin import Audio, Document, InferenceRequest, Message, Part, ToolResult
    from polyglot_openai.chat.facts import Facts

__all__ = ["Writer", "cache_mark"]

_JSONObject = dict[str, Any]

_TEXT, _SUMMARY, _ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"
_BLOCKS = ("thinking", "redacted_thinking")
"""Types of thinking in blocks as Anthropic names them; the others begin with ``reasoning.``."""

_SHAPES = frozenset({"summary", "thinking", "text"})
"""Fields that hold the text of thinking that is a part of the content."""


def cache_mark(cache: bool | str, facts: Facts) -> _JSONObject:  # noqa: FBT001 (the value of a field, not a switch)
    """Return the field that marks the end of what is to be cached; no field if the endpoint has none."""
    if not cache or not facts.cache_marks:
        return {}
    return {"cache_control": {"type": "ephemeral", **({"ttl": cache} if isinstance(cache, str) else {})}}


class Writer(MessageWriter):
    """Writes the messages of one request according to the facts of the endpoint."""

    sends_extra = True
    files_in_responses = False
    dialect: ClassVar[frozenset[str]] = frozenset({"openai", "azure-openai"})

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        self.cache_marks = facts.cache_marks  # type: ignore[misc]  # of this endpoint
        super().__init__(request, driver)
        self._facts = facts

    def role(self, message: Message) -> str:
        """Return the role as it is, except for ``developer``, which not every endpoint supports."""
        return self._facts.developer_role if message.role == "developer" else message.role

    def turn(self, message: Message) -> _JSONObject:
        """Return a message with the name of its speaker, and with fields next to the content for what has one."""
        parts = message.parts
        if len(parts) == 1 and message.name is None and _is_plain_text(parts[0]):  # as most are
            return {"role": self.role(message), "content": parts[0].text}
        parts = tuple(part for part in parts if not _is_beside(part, message))
        # thinking next to the content does not divide the texts, which most servers take as one string only
        content = tuple(part for part in parts if not isinstance(part, Reasoning) or _is_in_content(part))
        fields = super().turn(replace(message, content=content))
        if message.name is not None and self._supports("name", "the name of a speaker"):
            fields["name"] = message.name
        beside = self._beside([part for part in message.parts if _is_beside(part, message)])
        if beside and fields.get("content") == "":
            fields["content"] = None
        return laid_over(laid_over(fields, beside), self._thinking(message))

    def _beside(self, parts: Sequence[Part]) -> _JSONObject:
        """Return a refusal, generated images, and fields of the message, in fields next to the content."""
        fields: _JSONObject = {}
        for part in parts:
            if isinstance(part, Refusal):
                fields["refusal"] = fields.get("refusal", "") + part.text
            elif isinstance(part, Image):
                fields.setdefault("images", []).append(_image(part))
            elif isinstance(part, RawPart):
                for name, value in part.payload.items():
                    before = fields.get(name)
                    both = isinstance(before, list) and isinstance(value, list)
                    fields[name] = [*before, *value] if both else value  # type: ignore[misc]  # both are lists
        return fields

    # Content

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text, with a cache marker if the endpoint supports one."""
        yield self._part({"type": "text", "text": part.text}, part)

    def write_refusal(self, part: Refusal) -> Iterator[_JSONObject]:
        """Write a refusal that was a part of the content."""
        yield {"type": "refusal", "refusal": part.text, **part.extra}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image."""
        if self._supports("image", "an image"):
            yield self._part(_image(part), part)

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio."""
        if self._supports("audio", "a sound"):
            sound = {"data": part.base64, "format": part.format}
            yield laid_over({"type": "input_audio", "input_audio": sound}, dict(part.extra))

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document by its id, its bytes, or by its URL if the endpoint supports that."""
        if not self._supports("document", "a document"):
            return
        if part.file_id is not None:
            if part.name:
                self.cannot("the name of a document that has a file_id")
            yield self._part({"type": "file", "file": {"file_id": part.file_id}}, part)
        elif part.inline is None and not self._facts.document_urls:
            self.cannot("a document by its URL", instead="its bytes")
        else:
            yield self._part({"type": "file", "file": {"filename": name_of(part), "file_data": part.data_url}}, part)

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write thinking that was a part of the content; other thinking is sent next to the content."""
        if _is_in_content(part):
            yield _thought(part)

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape."""
        yield dict(part.payload)

    def _part(self, written: _JSONObject, part: Text | Image | Document) -> _JSONObject:
        """Return a part with its cache marker and its further fields."""
        return laid_over({**written, **cache_mark(part.cache, self._facts)}, dict(part.extra))

    def _supports(self, feature: str, what: str) -> bool:
        can = feature not in self._facts.unsupported
        if not can:
            self.cannot(what)
        return can

    # Thinking

    def _thinking(self, message: Message) -> _JSONObject:
        """Return the thinking in the fields in which the endpoint accepts it; many endpoints accept none."""
        parts = [part for part in message.parts if isinstance(part, Reasoning) and not _is_in_content(part)]
        facts = self._facts
        ways: dict[str, Callable[[Sequence[Reasoning]], object]] = {
            facts.reasoning_blocks: _blocks if facts.reasoning_blocks != "thinking_blocks" else _signed_blocks,
            facts.reasoning_signature: _signatures,
            facts.reasoning_encrypted: _encrypted,
        }
        fields: _JSONObject = {}
        for path in facts.reasoning_back:
            if value := ways.get(path, _joined)(parts):
                fields = laid_over(fields, put(value, path))
        if not fields and facts.reasoning_default and any(isinstance(part, ToolCall) for part in message.parts):
            return put(facts.reasoning_default, facts.reasoning_back[0]) if facts.reasoning_back else {}
        return fields

    # Tools

    def call(self, call: ToolCall) -> _JSONObject:
        """Return a tool call with its further fields, and its signature if the endpoint signs tool calls."""
        if call.extra.get("type") == "custom":  # its input is any text
            written = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments_raw}}
        else:
            written = super().call(call)
        return laid_over(laid_over(written, dict(call.extra)), put(call.signature, self._facts.call_signature))

    def result(self, result: ToolResult) -> _JSONObject:
        """Return a tool result: parts if the endpoint accepts them, else one text, or several with their fields."""
        if self._facts.result_parts and not isinstance(result.content, str):
            return super().result(result)
        texts = tuple(part for part in result.said if isinstance(part, Text))
        if len(texts) < len(result.said):
            self.cannot("an image or a document as the result of a tool", instead="a user's message after the result")
        if any(part.extra or (part.cache and self._facts.cache_marks) for part in texts):
            return super().result(replace(result, content=texts, error=False))
        return {"role": "tool", "tool_call_id": result.id, "content": "".join(part.text for part in texts)}


def _is_plain_text(part: Part) -> TypeGuard[Text]:
    return type(part) is Text and not part.cache and not part.extra


def _is_beside(part: Part, message: Message) -> bool:
    """Return True for a part that belongs into a field next to the content.

    A `RawPart` without a type holds fields of the message. A generated image has its type among its further fields if
    it was received in such a field.
    """
    if isinstance(part, Refusal):
        return not part.extra
    if isinstance(part, Image):
        return message.role == "assistant" and "type" in part.extra
    return isinstance(part, RawPart) and "type" not in part.payload


def _is_in_content(part: Reasoning) -> bool:
    """Return True if thinking was received as a part of the content."""
    return part.extra.get("type") in IN_CONTENT and not _SHAPES.isdisjoint(part.extra)


def _thought(part: Reasoning) -> _JSONObject:
    """Return a part of the content with thinking, in the shape in which it was received."""
    field = next(name for name in part.extra if name in _SHAPES)
    shape = part.extra[field]
    sealed = {} if part.signature is None else {"signature": part.signature}
    if not isinstance(shape, list):
        return {**part.extra, field: part.text, **sealed}
    inner = dict(next(iter(json_access.objects(shape)), {}))
    return {**part.extra, field: [{**inner, "text": part.text, **sealed}]}


def _image(part: Image) -> _JSONObject:
    detail = {} if part.detail is None else {"detail": part.detail}
    return laid_over({"type": "image_url", "image_url": {"url": part.data_url, **detail}}, dict(part.extra))


def _joined(parts: Iterable[Reasoning]) -> str:
    return "".join(part.text for part in parts)


def _signatures(parts: Iterable[Reasoning]) -> str:
    return "".join(part.signature or "" for part in parts)


def _encrypted(parts: Iterable[Reasoning]) -> str:
    return "".join(part.redacted or "" for part in parts)


def _blocks(parts: Sequence[Reasoning]) -> list[_JSONObject]:
    """Return each block of thinking as text with its signature, as encrypted data, or as both, like it was received."""
    return [detail for index, part in enumerate(parts) for detail in _detail(part, index)]


def _detail(part: Reasoning, index: int) -> Iterator[_JSONObject]:
    fields = {**part.extra, "index": index} if part.id is None else {**part.extra, "index": index, "id": part.id}
    kind = part.extra.get("type")
    if part.text or part.signature:
        signature = {} if part.signature is None else {"signature": part.signature}
        field = "summary" if kind == _SUMMARY else "text"
        yield {**fields, "type": _TEXT if kind in (None, _ENCRYPTED) else kind, field: part.text, **signature}
    if part.redacted:
        yield {**fields, "type": _ENCRYPTED, "data": part.redacted}


def _signed_blocks(parts: Sequence[Reasoning]) -> list[_JSONObject]:
    """Return the blocks that have a signature or are encrypted, as Anthropic's API names their fields.

    That API, behind a gateway, rejects thinking without a signature.
    """
    blocks: list[_JSONObject] = []
    for part in parts:
        fields = {name: value for name, value in part.extra.items() if name != "type" or value not in _BLOCKS}
        if part.redacted:
            blocks.append({**fields, "type": "redacted_thinking", "data": part.redacted})
        elif part.signature:
            blocks.append({**fields, "type": "thinking", "thinking": part.text, "signature": part.signature})
    return blocks
