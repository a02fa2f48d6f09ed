"""Encoding of messages: flat objects with a role, content and tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from polyglot_core.plugin import MessageWriter, Reasoning, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from polyglot_core.plugin import Audio, Document, Image, InferenceRequest, Message, RawPart, ToolCall, ToolResult
    from polyglot_openai.chat.facts import Facts

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_EPHEMERAL = {"type": "ephemeral"}
_TEXT, _SUMMARY, _ENCRYPTED = "reasoning.text", "reasoning.summary", "reasoning.encrypted"


class Writer(MessageWriter):
    """Writes the messages of one request according to the facts of the endpoint."""

    sends_extra = True

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        super().__init__(request, driver)
        self._facts = facts

    def role(self, message: Message) -> str:
        """Return the role as it is, except for ``developer``, which not every endpoint supports."""
        return self._facts.developer_role if message.role == "developer" else message.role

    def turn(self, message: Message) -> _JSONObject:
        """Return a message with the name of its speaker, and with thinking in fields next to the content."""
        fields = super().turn(message)
        if message.name is not None and self._supports("name", "the name of a speaker"):
            fields["name"] = message.name
        return {**fields, **self._thinking([part for part in message.parts if isinstance(part, Reasoning)])}

    # Content

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text, with a cache marker if the endpoint supports one."""
        mark = {"cache_control": _EPHEMERAL} if part.cache and self._facts.cache_marks else {}
        yield {"type": "text", "text": part.text, **mark}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image."""
        if self._supports("image", "an image"):
            detail = {} if part.detail is None else {"detail": part.detail}
            yield {"type": "image_url", "image_url": {"url": part.data_url, **detail}}

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio."""
        if self._supports("audio", "a sound"):
            yield {"type": "input_audio", "input_audio": {"data": part.base64, "format": part.format}}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document by its id, its bytes, or by its URL if the endpoint supports that."""
        if not self._supports("document", "a document"):
            return
        if part.file_id is not None:
            yield {"type": "file", "file": {"file_id": part.file_id}}
        elif part.inline is None and not self._facts.document_urls:
            self.cannot("a document by its URL", instead="its bytes")
        else:
            name = part.name or f"document.{part.mime_type.rpartition('/')[2]}"
            yield {"type": "file", "file": {"filename": name, "file_data": part.data_url}}

    def write_reasoning(self, _part: Reasoning) -> Iterator[_JSONObject]:
        """Write no part: thinking is sent next to the content."""
        return iter(())

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape."""
        yield dict(part.payload)

    def _supports(self, feature: str, what: str) -> bool:
        can = feature not in self._facts.unsupported
        if not can:
            self.cannot(what)
        return can

    # Thinking

    def _thinking(self, parts: Sequence[Reasoning]) -> _JSONObject:
        """Return the thinking in the fields in which the endpoint accepts it; many endpoints accept none."""
        facts = self._facts
        ways: dict[str, Callable[[Sequence[Reasoning]], object]] = {
            facts.reasoning_blocks: _blocks,
            facts.reasoning_signature: _signatures,
            facts.reasoning_encrypted: _encrypted,
        }
        fields: _JSONObject = {}
        for path in facts.reasoning_back:
            if value := ways.get(path, _joined)(parts):
                fields.update(_put(value, path))
        return fields

    # Tools

    def call(self, call: ToolCall) -> _JSONObject:
        """Return a tool call, with its signature if the endpoint signs tool calls."""
        return {**super().call(call), **_put(call.signature, self._facts.call_signature)}

    def result(self, result: ToolResult) -> _JSONObject:
        """Return a tool result: parts if the endpoint accepts them, else text only."""
        if self._facts.result_parts and not isinstance(result.content, str):
            return super().result(result)
        texts = [part.text for part in result.said if isinstance(part, Text)]
        if len(texts) < len(result.said):
            self.cannot("an image or a document as the result of a tool", instead="a user's message after the result")
        return {"role": "tool", "tool_call_id": result.id, "content": "".join(texts)}


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
        yield {**fields, "type": _TEXT if kind in {None, _ENCRYPTED} else kind, field: part.text, **signature}
    if part.redacted:
        yield {**fields, "type": _ENCRYPTED, "data": part.redacted}


def _put(value: object, path: str) -> _JSONObject:
    """Return an object with `value` at a path such as ``a.b``; an empty one if there is no value or no path."""
    if value is None or not path:
        return {}
    nested = value
    for name in reversed(path.split(".")):
        nested = {name: nested}
    return cast("_JSONObject", nested)
