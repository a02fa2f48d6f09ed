"""Encoding of a conversation as input items: messages, thinking, tool calls and results, in one flat list."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from polyglot_core.errors import RequestError
from polyglot_core.plugin import ConversationWriter, json_access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import (
        Document,
        Image,
        InferenceRequest,
        Message,
        RawPart,
        Reasoning,
        Text,
        ToolCall,
        ToolResult,
    )
    from polyglot_openai.responses.facts import Facts

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_CONTENT = frozenset({"input_text", "input_image", "input_file", "input_audio", "output_text", "refusal"})
"""Types of the dialect's parts that belong into a message; all other types are items of their own."""


class Writer(ConversationWriter):
    """Writes the messages of one request."""

    roles: ClassVar[Mapping[str, str]] = {**ConversationWriter.roles, "developer": "developer"}

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        super().__init__(request, driver)
        self._thinking_type = facts.thinking
        self._stored = request.extra.get("store") is not False
        tools = json_access.objects(
            request.extra.get("tools")
        )  # those that take text instead of JSON are defined by the provider
        self._custom_tools = {tool.get("name") for tool in tools if tool.get("type") == "custom"}
        self._custom_calls: set[str | None] = set()
        self._assistant = False

    def items(self) -> list[_JSONObject]:
        """Return all items in order.

        Raises:
            RequestError: A part is not supported, and the request makes that an error.
        """
        items: list[_JSONObject] = []
        for message in self.given:
            for item in self._items(message):
                if not _joined_to_last(items, item):
                    items.append(item)
        return items

    def _items(self, message: Message) -> Iterator[_JSONObject]:
        """Yield one message for each run of content, and the items between the runs."""
        role = self.role(message) or message.role
        self._assistant = role == "assistant"
        written = self.write(message.parts)
        if message.parts and _extra(message) and not any(map(_is_content, written)):
            self.cannot("further fields of a message without content")
        if not message.parts:
            yield self._message(message, [])
        for in_message, run in groupby(written, _is_content):
            if in_message:
                yield self._message(message, list(run))
            else:
                yield from run

    def _message(self, message: Message, content: Sequence[_JSONObject]) -> _JSONObject:
        """Return a message whose content is a string if it is one text, else a list of parts."""
        if message.role == "tool":
            raise RequestError(
                "A message of the role 'tool' may contain tool results only; use Message.tool_result(call, …).",
                provider=self.driver,
                phase="encode",
            )
        plain = len(content) == 1 and set(content[0]) == {"type", "text"}
        text = (content[0]["text"] if plain else content) or ""
        return {"type": "message", "role": message.role, "content": text, **_extra(message)}

    # Content

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text; its type depends on the role."""
        yield {"type": "output_text" if self._assistant else "input_text", "text": part.text}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image as input of the model."""
        if self._can_show("an image"):
            detail = {} if part.detail is None else {"detail": part.detail}
            yield {"type": "input_image", "image_url": part.data_url, **detail}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document as input of the model: its id, its URL, or its bytes."""
        if self._can_show("a document"):
            yield {"type": "input_file", **_file(part)}

    def _can_show(self, what: str) -> bool:
        if self._assistant:
            self.cannot(f"{what} in a message of the role 'assistant'")
        return not self._assistant

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part or an item in the API's own shape."""
        yield dict(part.payload)

    # Items

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write thinking that has an id: the endpoint that sent it accepts it. No endpoint accepts other thinking.

        If the endpoint neither stores its responses nor sent the thinking, there is nothing to send back.
        """
        shown = self._thinking_type == "reasoning_text"
        received = part.redacted or (part.text if shown else self._stored)
        if part.id is None or not received:
            return
        texts = [{"type": self._thinking_type, "text": part.text}] if part.text else []
        cipher = {"encrypted_content": part.redacted} if part.redacted else {}
        fields = {"summary": [], "content": texts} if shown else {"summary": texts}
        yield {"type": "reasoning", "id": part.id, **fields, **cipher}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """Write a tool call, of a function or of a tool that takes text."""
        call = {"call_id": part.id, "name": part.name}
        if part.name in self._custom_tools:
            self._custom_calls.add(part.id)
            yield {"type": "custom_tool_call", **call, "input": part.arguments_raw}
        else:
            yield {"type": "function_call", **call, "arguments": part.arguments_raw or "{}"}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """Write a tool result. The dialect has no field for a failed tool, so the text states it."""
        kind = "custom_tool_call_output" if part.id in self._custom_calls else "function_call_output"
        parts = self.write(part.said)
        output = parts[0]["text"] if isinstance(part.content, str) else parts
        yield {"type": kind, "call_id": part.id, "output": output}


def _is_content(item: _JSONObject) -> bool:
    return item.get("type") in _CONTENT


def _extra(message: Message) -> _JSONObject:
    """Return further fields of a message without empty ones, which dumps of other clients' objects contain."""
    return {name: value for name, value in message.extra.items() if value not in (None, [], {})}


def _file(document: Document) -> _JSONObject:
    if document.file_id is not None:
        return {"file_id": document.file_id}
    if document.inline is None:
        return {"file_url": document.url}
    name = document.name or f"document.{document.mime_type.rpartition('/')[2]}"
    return {"filename": name, "file_data": document.data_url}


def _joined_to_last(items: Sequence[_JSONObject], item: _JSONObject) -> bool:
    """Add `item` to the last item if both are stretches of the same thinking. Return True if it was added.

    Encrypted thinking belongs to the first stretch, so an item that has some begins a new one, whatever its id.
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
