"""Encoding of messages: a role, content as text or a list of parts, a plan, and tool calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import Document, MessageWriter, RawPart, Reasoning, Text, merged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Image, Message, ToolCall, ToolResult

__all__ = ["PLAN", "SOURCES", "Writer"]

_JSONObject = dict[str, Any]

PLAN = "tool_plan"
"""Id of thinking that announces tool calls, for which the dialect has a field of its own."""

SOURCES = "citations"
"""Field with the sources of a message; also of `Text.extra`, with those of a text."""


class Writer(MessageWriter):
    """Writes the messages of one request."""

    files_in_responses = False
    empty_responses = False

    def turn(self, message: Message) -> _JSONObject:
        """Return a message, with the plan and the sources of its texts next to its content."""
        plan = "".join(part.text for part in message.parts if isinstance(part, Reasoning) and part.id == PLAN)
        texts = [part for part in message.parts if isinstance(part, Text)]
        sources = [source for text in texts for source in text.extra.get(SOURCES, ())]
        turn = super().turn(replace(message, provider=None))  # texts that were received one by one stay so
        return {**turn, **({PLAN: plan} if plan else {}), **({SOURCES: sources} if sources else {})}

    def call(self, call: ToolCall) -> _JSONObject:
        """Return a tool call with its further fields."""
        return merged(super().call(call), call.extra)

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write a text with its further fields."""
        yield {"type": "text", "text": part.text, **_without_sources(part)}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image."""
        detail = {} if part.detail is None else {"detail": part.detail}
        yield merged({"type": "image_url", "image_url": {"url": part.data_url, **detail}}, part.extra)

    def write_document(self, _part: Document) -> Iterator[_JSONObject]:
        """Write no document: only a tool result can contain one."""
        self.cannot("a part of type Document", instead="extra={'documents': […]} for its text")
        return iter(())

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write thinking. A plan has its own field, and encrypted thinking is another provider's."""
        if part.text and part.id != PLAN:
            yield {"type": "thinking", "thinking": part.text, **part.extra}

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape."""
        yield dict(part.payload)

    def result(self, result: ToolResult) -> _JSONObject:
        """Return a tool result: text, or documents of text, which the model can cite."""
        pieces = [piece for part in result.said for piece in self._piece(part)]
        content = pieces[0]["text"] if len(pieces) == 1 and "text" in pieces[0] else pieces
        return {"role": "tool", "tool_call_id": result.id, "content": content}

    def _piece(self, part: Text | Image | Document | RawPart) -> Iterator[_JSONObject]:
        text = _text_of(part) if isinstance(part, Document) else None
        if isinstance(part, (Text, RawPart)):
            yield from self.write([part])
        elif isinstance(part, Document) and text is not None:
            yield {"type": "document", "document": {"data": {"text": text}, **({"id": part.name} if part.name else {})}}
        else:
            what = "an image, or a document that is no text, as the result of a tool"
            self.cannot(what, "a user's message after the result")


def _without_sources(part: Text) -> _JSONObject:
    return {name: value for name, value in part.extra.items() if name != SOURCES}


def _text_of(part: Document) -> str | None:
    if part.data is None or not part.mime_type.startswith(("text/", "application/json")):
        return None
    return part.data.decode("utf-8", "replace")
