"""Messages as the dialect says them: a role, content that is a text or a list of parts, and tool calls."""

from __future__ import annotations

import base64
from collections import deque
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
    from collections.abc import Callable, Iterable, Iterator

    from polyglot_core.plugin import InferenceRequest, Message

__all__ = ["Speaker"]

_JSONObject = dict[str, Any]

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac", "x-m4a": "m4a"}
"""Words of the dialect for subtypes of ``audio/…``; others are said as they are."""


class Speaker:
    """Says the messages of one request.

    Calls without an id get one of the nine letters and digits that the provider's own ids have, and results without an
    id get that of the oldest such call without a result: the dialect joins results to calls by id alone.
    """

    def __init__(self, request: InferenceRequest, driver: str) -> None:
        self._request = request
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
            yield {**self._result(result), **message.extra}
        if not results or len(results) < len(message.parts):
            yield {**self._turn(message), **message.extra}

    def _turn(self, message: Message) -> _JSONObject:
        role = _ROLES.get(message.role)
        if role is None:
            self._cannot(f"the role {message.role!r}")
        if message.name is not None:
            self._cannot("the name of a speaker")
        said: _JSONObject = {"role": role or message.role}
        calls = [self._call(part) for part in message.parts if isinstance(part, ToolCall)]
        content = self._content(message.parts)
        if content or not calls:
            said["content"] = content
        return {**said, "tool_calls": calls} if calls else said

    # Content

    def _content(self, parts: Iterable[object]) -> str | list[_JSONObject]:
        """One text as a text, anything else as a list of parts."""
        said = [piece for part in parts if (piece := self._part(part)) is not None]
        if not said:
            return ""
        return said[0]["text"] if len(said) == 1 and set(said[0]) == {"type", "text"} else said

    def _part(self, part: Any) -> _JSONObject | None:  # noqa: ANN401 (the table picks the method by the type)
        """A part, or None for one that stands elsewhere in a message or that is left out."""
        ways: dict[type, Callable[[Any], _JSONObject | None]] = {
            Text: lambda text: {"type": "text", "text": text.text},
            Image: _image,
            Audio: _audio,
            Document: _document,
            Reasoning: _thinking,
            RawPart: lambda raw: dict(raw.payload),
        }
        say = ways.get(type(part))
        return None if say is None else say(part)

    # Tools

    def _call(self, call: ToolCall) -> _JSONObject:
        self._calls += 1
        call_id = call.id or _made_id(self._calls)
        if not call.id:
            self._unanswered.append((call.name, call_id))
        function = {"name": call.name, "arguments": call.arguments_raw or "{}"}
        return {"id": call_id, "type": "function", "function": function}

    def _result(self, result: ToolResult) -> _JSONObject:
        """A result; the dialect has no field for a failure, so the text says it."""
        parts = (Text(result.content),) if isinstance(result.content, str) else result.content
        content = self._content(_marked(parts) if result.error else parts)
        name = {} if result.name is None else {"name": result.name}
        return {"role": "tool", "tool_call_id": self._answered(result), **name, "content": content}

    def _answered(self, result: ToolResult) -> str:
        """The id of the call that a result answers."""
        if result.id:
            return result.id
        for name, call_id in self._unanswered:
            if result.name in {None, name}:
                self._unanswered.remove((name, call_id))
                return call_id
        return _made_id(max(self._calls, 1))

    def _cannot(self, what: str) -> None:
        cannot_express(self._request, what, driver=self._driver)


def _made_id(number: int) -> str:
    return f"call{number:05}"


def _marked(parts: tuple[Text | Image | Document, ...]) -> tuple[Text | Image | Document, ...]:
    first = parts[0] if parts else Text("")
    if isinstance(first, Text):
        return (Text(f"Error: {first.text}"), *parts[1:])
    return (Text("Error:"), *parts)


def _image(part: Image) -> _JSONObject:
    detail = {} if part.detail is None else {"detail": part.detail}
    return {"type": "image_url", "image_url": {"url": part.data_url, **detail}}


def _audio(part: Audio) -> _JSONObject:
    subtype = part.mime_type.partition("/")[2].partition(";")[0]
    data = base64.b64encode(part.data).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}}


def _document(part: Document) -> _JSONObject:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    name = {} if part.name is None else {"document_name": part.name}
    return {"type": "document_url", "document_url": part.data_url, **name}


def _thinking(part: Reasoning) -> _JSONObject | None:
    """A stretch of thinking; encrypted thinking is another provider's and means nothing here."""
    if not part.text:
        return None
    return {"type": "thinking", "thinking": [{"type": "text", "text": part.text}], "closed": True}
