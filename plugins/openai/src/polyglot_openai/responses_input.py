"""A conversation as input items: messages, thinking, calls and results stand beside each other, in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from polyglot_core.errors import RequestError
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
    from collections.abc import Iterable, Iterator, Sequence

    from polyglot_core.plugin import InferenceRequest, Message
    from polyglot_openai.responses_columns import Columns

__all__ = ["Conversation"]

_JSONObject = dict[str, Any]

_DRIVER = "openai-responses"
_ROLES = ("system", "developer", "user", "assistant", "tool")
_CONTENT = frozenset({"input_text", "input_image", "input_file", "input_audio", "output_text", "refusal"})
"""Types of the dialect's own parts that stand in a message; all other types are items beside it."""


class Conversation:
    """Says the messages of one request.

    Calls without an id get one that is made from their number, and results without an id the id of the oldest such call
    that has no result yet: the dialect joins results to calls by id alone.
    """

    def __init__(self, request: InferenceRequest, columns: Columns) -> None:
        self._request = request
        self._columns = columns
        self._stored = request.extra.get("store") is not False
        self._custom_tools = _custom_tools(request.extra.get("tools"))
        self._custom_calls: set[str] = set()
        self._calls = 0
        self._unanswered: list[tuple[str, str]] = []

    def items(self) -> list[_JSONObject]:
        """All items, in order.

        Raises:
            RequestError: There is no such role, or something cannot be said and the request makes that an error.
        """
        items: list[_JSONObject] = []
        for turn in self._request.messages:
            for item in self._turn(turn):
                if not _goes_on(items, item):
                    items.append(item)
        return items

    def _turn(self, turn: Message) -> Iterator[_JSONObject]:
        """A message for each run of content, and an item for each part between two runs."""
        self._check(turn)
        if turn.parts and not any(_is_content(part) for part in turn.parts) and _extra(turn):
            self._cannot_say("further fields of a message without content")
        content: list[_JSONObject] = []
        for part in turn.parts:
            if _is_content(part):
                content += self._part(part, turn.role)
                continue
            if content:
                yield _message(turn, content)
                content = []
            if (item := self._item(part)) is not None:
                yield item
        if content or not turn.parts:
            yield _message(turn, content)

    def _check(self, turn: Message) -> None:
        if turn.role not in _ROLES:
            raise RequestError(
                f"A message has the role {turn.role!r}; roles are {', '.join(_ROLES)}.",
                provider=_DRIVER,
                phase="encode",
            )
        if turn.name is not None:
            self._cannot_say("the name of a speaker")

    # Content

    def _part(self, part: Text | Image | Audio | Document | RawPart, role: str) -> list[_JSONObject]:
        """A part of a message, or nothing where it is left out."""
        if isinstance(part, Text):
            return [{"type": "output_text" if role == "assistant" else "input_text", "text": part.text}]
        if isinstance(part, RawPart):
            return [dict(part.payload)]
        if isinstance(part, Audio) or role == "assistant":
            self._cannot_say(f"{type(part).__name__} in a message of the role {role!r}")
            return []
        return [_image(part) if isinstance(part, Image) else _document(part)]

    # Items

    def _item(self, part: object) -> _JSONObject | None:
        """A part that is an item of its own, or None for one that nobody would take."""
        if isinstance(part, Reasoning):
            return self._thinking(part)
        if isinstance(part, ToolCall):
            return self._call(part)
        if isinstance(part, ToolResult):
            return self._result(part)
        return dict(part.payload) if isinstance(part, RawPart) else None

    def _thinking(self, part: Reasoning) -> _JSONObject | None:
        """Thinking that has an id, for the place that gave it. None for other thinking, which no place takes back.

        Nor is there anything to take back where the place neither keeps its answers nor gave the thinking out.
        """
        shown = self._columns.thinking == "reasoning_text"
        given_out = part.redacted or (part.text if shown else self._stored)
        if part.id is None or not given_out:
            return None
        texts = [{"type": self._columns.thinking, "text": part.text}] if part.text else []
        said: _JSONObject = {"type": "reasoning", "id": part.id, "summary": [] if shown else texts}
        if shown:
            said["content"] = texts
        if part.redacted:
            said["encrypted_content"] = part.redacted
        return said

    def _call(self, call: ToolCall) -> _JSONObject:
        self._calls += 1
        call_id = call.id or f"call_{self._calls}"
        if not call.id:
            self._unanswered.append((call.name, call_id))
        if call.name in self._custom_tools:
            self._custom_calls.add(call_id)
            return {"type": "custom_tool_call", "call_id": call_id, "name": call.name, "input": call.arguments_raw}
        arguments = call.arguments_raw or "{}"
        return {"type": "function_call", "call_id": call_id, "name": call.name, "arguments": arguments}

    def _result(self, result: ToolResult) -> _JSONObject:
        """A result; the dialect has no field for a failure, so the text says it."""
        call_id = self._answered(result)
        kind = "custom_tool_call_output" if call_id in self._custom_calls else "function_call_output"
        output: str | list[_JSONObject]
        if isinstance(result.content, str):
            output = f"Error: {result.content}" if result.error else result.content
        else:
            content = (Text("Error: "), *result.content) if result.error else result.content
            output = [said for part in content for said in self._part(part, "tool")]
        return {"type": kind, "call_id": call_id, "output": output}

    def _answered(self, result: ToolResult) -> str:
        """The id of the call that a result answers."""
        if result.id:
            return result.id
        for name, call_id in self._unanswered:
            if result.name in {None, name}:
                self._unanswered.remove((name, call_id))
                return call_id
        return f"call_{max(self._calls, 1)}"

    def _cannot_say(self, what: str) -> None:
        cannot_express(self._request, what, driver=_DRIVER)


def _is_content(part: object) -> TypeGuard[Text | Image | Audio | Document | RawPart]:
    if isinstance(part, RawPart):
        return part.payload.get("type") in _CONTENT
    return isinstance(part, (Text, Image, Audio, Document))


def _extra(turn: Message) -> _JSONObject:
    """Further fields of a message, without those that say nothing, as dumps of other clients' objects have them."""
    return {name: value for name, value in turn.extra.items() if value not in (None, [], {})}


def _message(turn: Message, content: Sequence[_JSONObject]) -> _JSONObject:
    """One text as a text, anything else as a list of parts.

    Raises:
        RequestError: It is the turn of a tool, whose results are no content.
    """
    if turn.role == "tool":
        raise RequestError(
            "A message of the role 'tool' holds something else than results; use Message.tool_result(call, …).",
            provider=_DRIVER,
            phase="encode",
        )
    plain = len(content) == 1 and set(content[0]) == {"type", "text"}
    said = (content[0]["text"] if plain else list(content)) if content else ""
    return {"type": "message", "role": turn.role, "content": said, **_extra(turn)}


def _image(image: Image) -> _JSONObject:
    said = {"type": "input_image", "image_url": image.data_url}
    return said if image.detail is None else {**said, "detail": image.detail}


def _document(document: Document) -> _JSONObject:
    if document.file_id is not None:
        return {"type": "input_file", "file_id": document.file_id}
    if document.url is not None and not document.url.startswith("data:"):
        return {"type": "input_file", "file_url": document.url}
    name = document.name or f"document.{document.mime_type.rpartition('/')[2]}"
    return {"type": "input_file", "filename": name, "file_data": document.data_url}


def _goes_on(items: Sequence[_JSONObject], item: _JSONObject) -> bool:
    """Whether `item` is a further stretch of the thinking in the last item, and has been put there.

    What is encrypted stands with the first stretch, so an item that has it is one of its own, whatever its id.
    """
    last = items[-1] if items else {}
    if {item.get("type"), last.get("type")} != {"reasoning"} or "encrypted_content" in item:
        return False
    if item.get("id") is None or item["id"] != last.get("id"):
        return False
    for name in ("summary", "content"):
        if item.get(name):
            last[name] = [*last.get(name, ()), *item[name]]
    return True


def _custom_tools(tools: object) -> set[object]:
    """Names of tools that take text instead of JSON, which are given in `extra`, as the provider's own are."""
    given: Iterable[object] = tools if isinstance(tools, (list, tuple)) else ()
    return {tool.get("name") for tool in given if isinstance(tool, Mapping) and tool.get("type") == "custom"}
