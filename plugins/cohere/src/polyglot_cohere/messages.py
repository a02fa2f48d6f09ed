"""Messages as the dialect says them: a role, content as a text or a list of parts, a plan, and tool calls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import Document, Image, RawPart, Reasoning, Text, ToolCall, ToolResult, cannot_express

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_core.plugin import InferenceRequest, Message

__all__ = ["PLAN", "Speaker"]

_JSONObject = dict[str, Any]

PLAN = "tool_plan"
"""Id of thinking that says which tools will be called: the dialect has a field of its own for it."""

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


class Speaker:
    """Says the messages of one request.

    Calls without an id get one that is made from their number, and results without an id the id of the oldest such call
    that has no result yet: the dialect joins results to calls by id alone.
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
        if plan := "".join(map(_plan, message.parts)):
            said[PLAN] = plan
        return {**said, "tool_calls": calls} if calls else said

    # Content

    def _content(self, parts: Iterable[object]) -> str | list[_JSONObject]:
        """One text as a text, anything else as a list of parts."""
        said = [piece for part in parts if (piece := self._part(part)) is not None]
        if not said:
            return ""
        return said[0]["text"] if len(said) == 1 and set(said[0]) == {"type", "text"} else said

    def _part(self, part: object) -> _JSONObject | None:
        """A part, or None for one that stands elsewhere in a message or that is left out."""
        match part:
            case Text(text=text):
                return {"type": "text", "text": text}
            case Image():
                detail = {} if part.detail is None else {"detail": part.detail}
                return {"type": "image_url", "image_url": {"url": part.data_url, **detail}}
            case Reasoning(text=text) if text and not _plan(part):
                return {"type": "thinking", "thinking": text}
            case RawPart(payload=payload):
                return dict(payload)
            case ToolCall() | ToolResult() | Reasoning():  # encrypted thinking is another provider's
                return None
            case _:
                instead = "extra={'documents': […]} for its text" if isinstance(part, Document) else None
                self._cannot(f"a part of type {type(part).__name__}", instead)
                return None

    # Tools

    def _call(self, call: ToolCall) -> _JSONObject:
        self._calls += 1
        call_id = call.id or f"call_{self._calls}"
        if not call.id:
            self._unanswered.append((call.name, call_id))
        function = {"name": call.name, "arguments": call.arguments_raw or "{}"}
        return {"id": call_id, "type": "function", "function": function}

    def _result(self, result: ToolResult) -> _JSONObject:
        """A result; the dialect has no field for a failure, so the text says it."""
        parts = (Text(result.content),) if isinstance(result.content, str) else result.content
        said = [piece for part in parts if (piece := self._piece(part)) is not None]
        if result.error:
            said = _marked(said)
        content = said[0]["text"] if len(said) == 1 and "text" in said[0] else said
        return {"role": "tool", "tool_call_id": self._answered(result), "content": content}

    def _piece(self, part: Text | Image | Document) -> _JSONObject | None:
        """A piece of a result: text, or a document of text, which the model can cite."""
        if isinstance(part, Text):
            return {"type": "text", "text": part.text}
        text = _text_of(part) if isinstance(part, Document) else None
        if text is None:
            what = "an image, or a document that is no text, as the result of a tool"
            self._cannot(what, "a user's message after the result")
            return None
        name = {"id": part.name} if isinstance(part, Document) and part.name else {}
        return {"type": "document", "document": {"data": {"text": text}, **name}}

    def _answered(self, result: ToolResult) -> str:
        """The id of the call that a result answers."""
        if result.id:
            return result.id
        for name, call_id in self._unanswered:
            if result.name in {None, name}:
                self._unanswered.remove((name, call_id))
                return call_id
        return f"call_{max(self._calls, 1)}"

    def _cannot(self, what: str, instead: str | None = None) -> None:
        cannot_express(self._request, what, driver=self._driver, instead=instead)


def _plan(part: object) -> str:
    """The text of a plan; empty for any other part."""
    return part.text if isinstance(part, Reasoning) and part.id == PLAN else ""


def _marked(said: list[_JSONObject]) -> list[_JSONObject]:
    if said and "text" in said[0]:
        return [{"type": "text", "text": f"Error: {said[0]['text']}"}, *said[1:]]
    return [{"type": "text", "text": "Error:"}, *said]


def _text_of(part: Document) -> str | None:
    if part.data is None or not part.mime_type.startswith(("text/", "application/json")):
        return None
    return part.data.decode("utf-8", "replace")
