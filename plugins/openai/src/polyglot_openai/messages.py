"""Messages as the dialect says them: flat objects with a role, content, and tool calls."""

from __future__ import annotations

import base64
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from polyglot_core.plugin import Audio, Document, Image, RawPart, Reasoning, Text, ToolCall, ToolResult, cannot_express

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from polyglot_core.plugin import InferenceRequest, Message
    from polyglot_openai.columns import Columns

__all__ = ["Speaker"]

_JSONObject = dict[str, Any]

_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac", "x-m4a": "m4a"}
"""Words of the dialect for subtypes of ``audio/…``; others are said as they are."""

_EPHEMERAL = {"type": "ephemeral"}


class Speaker:
    """Says the messages of one request.

    Calls without an id get one that is made from their number, and results without an id the id of the oldest such call
    that has no result yet: the dialect joins results to calls by id alone.
    """

    def __init__(self, request: InferenceRequest, columns: Columns, driver: str) -> None:
        self._request = request
        self._columns = columns
        self._driver = driver
        self._calls = 0
        self._unanswered: deque[tuple[str, str]] = deque()

    def messages(self) -> list[_JSONObject]:
        """All messages, in order.

        Raises:
            RequestError: A part cannot be said, and the request makes that an error.
        """
        return [said for message in self._request.messages for said in self._say(message)]

    def _say(self, message: Message) -> Iterator[_JSONObject]:
        """A message of its own for each tool result, and one for all that is no result."""
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            said = {"role": "tool", "tool_call_id": self._answered(result), "content": self._result(result)}
            yield {**said, **message.extra}
        if not results or len(results) < len(message.parts):
            yield {**self._turn(message), **message.extra}

    def _turn(self, message: Message) -> _JSONObject:
        said: _JSONObject = {"role": self._columns.developer_role if message.role == "developer" else message.role}
        if message.name is not None and self._can_say("name", "the name of a speaker"):
            said["name"] = message.name
        reasoning = [part for part in message.parts if isinstance(part, Reasoning)]
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        content = self._content(message.parts)
        if content or not calls:
            said["content"] = content
        said.update(self._thinking(reasoning))
        if calls:
            said["tool_calls"] = [self._call(call) for call in calls]
        return said

    # Content

    def _content(self, parts: Sequence[object]) -> str | list[_JSONObject]:
        """One text as a text, anything else as a list of parts."""
        said = [piece for part in parts if (piece := self._part(part)) is not None]
        if not said:
            return ""
        return said[0]["text"] if len(said) == 1 and set(said[0]) == {"type", "text"} else said

    def _part(self, part: Any) -> _JSONObject | None:  # noqa: ANN401 (the table picks the method by the type)
        """A part, or None for one that stands elsewhere in a message or that is left out."""
        ways: dict[type, Callable[[Any], _JSONObject | None]] = {
            Text: self._text,
            Image: self._image,
            Audio: self._audio,
            Document: self._document,
            RawPart: self._raw,
        }
        say = ways.get(type(part))
        return None if say is None else say(part)

    def _text(self, part: Text) -> _JSONObject:
        said: _JSONObject = {"type": "text", "text": part.text}
        return {**said, "cache_control": _EPHEMERAL} if part.cache and self._columns.cache_marks else said

    def _image(self, part: Image) -> _JSONObject | None:
        if not self._can_say("image", "an image"):
            return None
        image = {"url": part.data_url}
        return {"type": "image_url", "image_url": image if part.detail is None else {**image, "detail": part.detail}}

    def _audio(self, part: Audio) -> _JSONObject | None:
        if not self._can_say("audio", "a sound"):
            return None
        subtype = part.mime_type.partition("/")[2].partition(";")[0]
        data = base64.b64encode(part.data).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}}

    def _document(self, part: Document) -> _JSONObject | None:
        if not self._can_say("document", "a document"):
            return None
        if part.file_id is not None:
            return {"type": "file", "file": {"file_id": part.file_id}}
        if part.url is not None and not part.url.startswith("data:") and not self._columns.document_urls:
            cannot_express(self._request, "a document by its URL", driver=self._driver, instead="its bytes")
            return None
        name = part.name or f"document.{part.mime_type.rpartition('/')[2]}"
        return {"type": "file", "file": {"filename": name, "file_data": part.data_url}}

    def _raw(self, part: RawPart) -> _JSONObject:
        return dict(part.payload)

    def _can_say(self, feature: str, what: str) -> bool:
        if feature not in self._columns.unsupported:
            return True
        cannot_express(self._request, what, driver=self._driver)
        return False

    # Thinking

    def _thinking(self, parts: Sequence[Reasoning]) -> _JSONObject:
        """The thinking in the fields in which the place wants it back; many want none of it."""
        columns = self._columns
        ways: dict[str, Callable[[Sequence[Reasoning]], object]] = {
            columns.reasoning_blocks: _blocks,
            columns.reasoning_signature: _signatures,
            columns.reasoning_encrypted: _encrypted,
        }
        said: _JSONObject = {}
        for place in columns.reasoning_back:
            if value := ways.get(place, _joined)(parts):
                said.update(_put(value, place))
        return said

    # Tools

    def _call(self, call: ToolCall) -> _JSONObject:
        self._calls += 1
        call_id = call.id or f"call_{self._calls}"
        if not call.id:
            self._unanswered.append((call.name, call_id))
        function = {"name": call.name, "arguments": call.arguments_raw or "{}"}
        said: _JSONObject = {"id": call_id, "type": "function", "function": function}
        return {**said, **_put(call.signature, self._columns.call_signature)}

    def _answered(self, result: ToolResult) -> str:
        """The id of the call that a result answers."""
        if result.id:
            return result.id
        for name, call_id in self._unanswered:
            if result.name in {None, name}:
                self._unanswered.remove((name, call_id))
                return call_id
        return f"call_{max(self._calls, 1)}"

    def _result(self, result: ToolResult) -> str | list[_JSONObject]:
        """A result; the dialect has no field for a failure, so the text says it."""
        if not isinstance(result.content, str) and self._columns.result_parts:
            content = self._content((Text("Error: "), *result.content) if result.error else result.content)
        else:
            self._only_text(result)
            content = f"Error: {result.text}" if result.error else result.text
        return content

    def _only_text(self, result: ToolResult) -> None:
        if not isinstance(result.content, str) and any(not isinstance(part, Text) for part in result.content):
            what = "an image or a document as the result of a tool"
            cannot_express(self._request, what, driver=self._driver, instead="a user's message after the result")


def _joined(parts: Iterable[Reasoning]) -> str:
    return "".join(part.text for part in parts)


def _signatures(parts: Iterable[Reasoning]) -> str:
    return "".join(part.signature or "" for part in parts)


def _encrypted(parts: Iterable[Reasoning]) -> str:
    return "".join(part.redacted or "" for part in parts)


def _blocks(parts: Sequence[Reasoning]) -> list[_JSONObject]:
    """Each stretch of thinking as a text with its signature, as encrypted data, or both."""
    return [detail for index, part in enumerate(parts) for detail in _detail(part, index)]


def _detail(part: Reasoning, index: int) -> Iterator[_JSONObject]:
    place: _JSONObject = {"index": index} if part.id is None else {"index": index, "id": part.id}
    if part.text or part.signature:
        signature = {} if part.signature is None else {"signature": part.signature}
        yield {"type": "reasoning.text", "text": part.text, **signature, **place}
    if part.redacted:
        yield {"type": "reasoning.encrypted", "data": part.redacted, **place}


def _put(value: object, place: str) -> _JSONObject:
    """An object that has `value` at a place such as ``a.b``; an empty one where there is no value or no place."""
    if value is None or not place:
        return {}
    said = value
    for name in reversed(place.split(".")):
        said = {name: said}
    return cast("_JSONObject", said)
