"""Messages as the dialect says them: flat objects with a role, content, and tool calls."""

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
    """Writes the messages of one request, as a place's columns say."""

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        super().__init__(request, driver)
        self._columns = facts

    def role(self, message: Message) -> str:
        """The role, whatever it is; not every place knows developers."""
        return self._columns.developer_role if message.role == "developer" else message.role

    def turn(self, message: Message) -> _JSONObject:
        """A message, with the name of its speaker, and thinking beside its content."""
        said = super().turn(message)
        if message.name is not None and self._can_say("name", "the name of a speaker"):
            said["name"] = message.name
        return {**said, **self._thinking([part for part in message.parts if isinstance(part, Reasoning)])}

    # Content

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """A text, with a mark to cache it where the place takes one."""
        mark = {"cache_control": _EPHEMERAL} if part.cache and self._columns.cache_marks else {}
        yield {"type": "text", "text": part.text, **mark}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """An image."""
        if self._can_say("image", "an image"):
            detail = {} if part.detail is None else {"detail": part.detail}
            yield {"type": "image_url", "image_url": {"url": part.data_url, **detail}}

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """A sound."""
        if self._can_say("audio", "a sound"):
            yield {"type": "input_audio", "input_audio": {"data": part.base64, "format": part.format}}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """A document: its id, its bytes, or its URL where the place takes one."""
        if not self._can_say("document", "a document"):
            return
        if part.file_id is not None:
            yield {"type": "file", "file": {"file_id": part.file_id}}
        elif part.inline is None and not self._columns.document_urls:
            self.cannot("a document by its URL", instead="its bytes")
        else:
            name = part.name or f"document.{part.mime_type.rpartition('/')[2]}"
            yield {"type": "file", "file": {"filename": name, "file_data": part.data_url}}

    def write_reasoning(self, _part: Reasoning) -> Iterator[_JSONObject]:
        """Nothing: it stands beside the content."""
        return iter(())

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """A part in the API's own shape."""
        yield dict(part.payload)

    def _can_say(self, feature: str, what: str) -> bool:
        can = feature not in self._columns.unsupported
        if not can:
            self.cannot(what)
        return can

    # Thinking

    def _thinking(self, parts: Sequence[Reasoning]) -> _JSONObject:
        """The thinking in the fields in which the place wants it back; many want none of it."""
        facts = self._columns
        ways: dict[str, Callable[[Sequence[Reasoning]], object]] = {
            facts.reasoning_blocks: _blocks,
            facts.reasoning_signature: _signatures,
            facts.reasoning_encrypted: _encrypted,
        }
        said: _JSONObject = {}
        for place in facts.reasoning_back:
            if value := ways.get(place, _joined)(parts):
                said.update(_put(value, place))
        return said

    # Tools

    def call(self, call: ToolCall) -> _JSONObject:
        """A call, with its signature where the place gives one."""
        return {**super().call(call), **_put(call.signature, self._columns.call_signature)}

    def result(self, result: ToolResult) -> _JSONObject:
        """A result, of text alone where the place takes no more."""
        if self._columns.result_parts and not isinstance(result.content, str):
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
    """Each stretch of thinking as a text with its signature, as encrypted data, or both, as the place had said it."""
    return [detail for index, part in enumerate(parts) for detail in _detail(part, index)]


def _detail(part: Reasoning, index: int) -> Iterator[_JSONObject]:
    said = {**part.extra, "index": index} if part.id is None else {**part.extra, "index": index, "id": part.id}
    kind = part.extra.get("type")
    if part.text or part.signature:
        signature = {} if part.signature is None else {"signature": part.signature}
        field = "summary" if kind == _SUMMARY else "text"
        yield {**said, "type": _TEXT if kind in {None, _ENCRYPTED} else kind, field: part.text, **signature}
    if part.redacted:
        yield {**said, "type": _ENCRYPTED, "data": part.redacted}


def _put(value: object, place: str) -> _JSONObject:
    """An object that has `value` at a place such as ``a.b``; an empty one where there is no value or no place."""
    if value is None or not place:
        return {}
    said = value
    for name in reversed(place.split(".")):
        said = {name: said}
    return cast("_JSONObject", said)
