"""Encoding of a conversation as input items: messages, thinking, tool calls and results, in one flat list.

A turn that this dialect sent goes back item by item. `extra` of its parts has the fields of the items, under the names
that `polyglot_openai.responses.items` gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from polyglot_core.errors import RequestError
from polyglot_core.plugin import ConversationWriter, RawPart, RawTool, Reasoning, Refusal, Text, json_access
from polyglot_openai.file_names import name_of
from polyglot_openai.responses.items import INDEX, PART, TO_ANSWER
from polyglot_openai.responses.output import ids_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import Document, Image, InferenceRequest, Message, Part, ToolCall, ToolResult
    from polyglot_openai.responses.facts import Facts

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_CONTENT = ("input_", "output_")
"""How the types of the dialect's parts begin that belong into a message; with refusals. Other types are items."""

_DETAILS = frozenset({None, "low", "high", "auto"})


class Writer(ConversationWriter):
    """Writes the messages of one request."""

    roles: ClassVar[Mapping[str, str]] = {**ConversationWriter.roles, "developer": "developer"}
    writes_extra = True
    instead_of_cache_marks = "extra={'prompt_cache_key': …}: this dialect caches prompts without marks"

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        super().__init__(request, driver)
        self._thinking_type = facts.thinking
        self._stored = request.extra.get("store") is not False
        self._custom_tools = {tool.get("name") for tool in _raw_tools(request) if tool.get("type") == "custom"}
        self._custom_calls: set[str | None] = set()
        self._assistant = False
        self._items = _Items()

    def items(self) -> list[_JSONObject]:
        """Return all items in order.

        Raises:
            RequestError: A part is not supported, and the request makes that an error.
        """
        outputs = _outputs(self.given)
        for message in self.given:
            self._message(message, message.parts if message.complete else _whole(message.parts, outputs))
        return self._items.items

    def _message(self, message: Message, parts: Sequence[Part]) -> None:
        """Write the items of a message: its content, and all other parts as items of their own."""
        role = self.role(message) or message.role
        self._assistant = role == "assistant"
        self._items.begin(role)
        for part in parts:
            if isinstance(part, Reasoning):
                self._reasoning(part)
            elif self._assistant and isinstance(part, (Text, Refusal)) and part.extra:
                self._received(part)
            else:
                self._others(self.write([part]))
        if not parts and message.provider is None:
            self._content([])
        self._items.end(_extra(message), self)

    def _others(self, written: Iterable[_JSONObject]) -> None:
        for item in written:
            if _is_content(item):
                self._content([item])
            else:
                self._items.add(item)

    def _content(self, content: list[_JSONObject]) -> None:
        if self._items.role == "tool":
            raise RequestError(
                "A message of the role 'tool' may contain tool results only; use Message.tool_result(call, …).",
                provider=self.driver,
                phase="encode",
            )
        self._items.add_content(content)

    def _received(self, part: Text | Refusal) -> None:
        """Write a text or a refusal with the fields of its message and of its part."""
        fields = {name: value for name, value in part.extra.items() if name != PART}
        own = dict(part.extra.get(PART) or {})
        number = own.pop(INDEX, 0)
        (content,) = self.write([type(part)(part.text)])
        self._items.add_received(fields, {**content, **own}, continues=bool(number))

    # Content

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text; its type depends on the role."""
        yield {"type": "output_text" if self._assistant else "input_text", "text": part.text, **part.extra}

    def write_refusal(self, part: Refusal) -> Iterator[_JSONObject]:
        """Write a refusal, which only the model's own messages have; elsewhere it is text."""
        if self._assistant:
            yield {"type": "refusal", "refusal": part.text}
        else:
            yield from self.write([Text(part.text)])

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image as input of the model."""
        if part.detail not in _DETAILS:
            self.cannot(f"the detail {part.detail!r} of an image", "low, high or auto")
        if self._can_show("an image"):
            detail = {"detail": part.detail} if part.detail and part.detail in _DETAILS else {}
            yield {"type": "input_image", "image_url": part.data_url, **detail, **part.extra}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a document as input of the model: its id, its URL, or its bytes."""
        if self._can_show("a document"):
            if part.name and part.inline is None:
                self.cannot("the name of a document that is not inline")
            yield {"type": "input_file", **_file(part), **part.extra}

    def _can_show(self, what: str) -> bool:
        if self._assistant:
            self.cannot(f"{what} in a message of the role 'assistant'")
        return not self._assistant

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part or an item in the API's own shape."""
        yield dict(part.payload)

    # Items

    def _reasoning(self, part: Reasoning) -> None:
        """Write thinking that has an id: the endpoint that sent it accepts it. No endpoint accepts other thinking.

        If the endpoint neither stores its responses nor sent the thinking, there is nothing to send back.
        """
        own: _JSONObject = {"type": self._thinking_type, **(part.extra.get(PART) or {})}
        number = own.pop(INDEX, 0)
        shown = own["type"] == "reasoning_text"
        text = {**own, "text": part.text} if part.text or set(own) > {"type"} else None
        name = "content" if shown else "summary"
        if self._items.continues_reasoning(part, received=PART in part.extra, number=number):
            self._items.extend_reasoning(name, text)
            return
        kept = part.redacted or (part.text if shown else self._stored)
        if not kept or (part.id is None and not (part.redacted and part.extra)):
            self._items.leave_out_reasoning()
            return
        fields = {key: value for key, value in part.extra.items() if key not in {PART, "before"}}
        id_ = {} if part.id is None else {"id": part.id}
        texts: _JSONObject = {"summary": [], name: [] if text is None else [text]}
        cipher = {"encrypted_content": part.redacted} if part.redacted else {}
        self._items.add_reasoning({"type": "reasoning", **id_, **texts, **cipher, **fields}, part.extra.get("before"))

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """Write a tool call, of a function or of a tool that takes text."""
        fields = {"type": "function_call", **part.extra}
        if part.name in self._custom_tools:
            fields["type"] = "custom_tool_call"
        call = {"type": fields.pop("type"), "call_id": part.id, "name": part.name}
        if call["type"] == "function_call":
            yield {**call, "arguments": self.arguments_text(part), **fields}
        else:
            self._custom_calls.add(part.id)
            yield {**call, "input": part.arguments_raw, **fields}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """Write a tool result. The dialect has no field for a failed tool, so the text states it."""
        kind = "custom_tool_call_output" if part.id in self._custom_calls else "function_call_output"
        parts = self.write(part.said)
        output = parts[0]["text"] if isinstance(part.content, str) else parts
        yield {"type": kind, "call_id": part.id, "output": output}


class _Items:
    """The items written so far.

    Attributes:
        items: The items, in order.
        role: Role of the current message.
    """

    def __init__(self) -> None:
        self.items: list[_JSONObject] = []
        self.role = ""
        self._start = 0
        self._plain: list[_JSONObject] = []  # messages of the current turn that have no fields of their own
        self._moves: list[tuple[_JSONObject, str]] = []
        self._reasoning: _JSONObject | None = None  # the item that the next stretch of thinking may continue
        self._without_reasoning = False

    def begin(self, role: str) -> None:
        """Begin a message."""
        self.role = role
        self._start = len(self.items)
        self._without_reasoning = False
        self._plain, self._moves = [], []

    def end(self, extra: _JSONObject, writer: Writer) -> None:
        """End a message, whose own fields belong to its content."""
        if extra and not self._plain and len(self.items) > self._start:
            writer.cannot("further fields of a message without content")
        for message in self._plain:
            content = message["content"]
            if len(content) == 1 and set(content[0]) == {"type", "text"}:
                message["content"] = content[0]["text"]
            message["content"] = message["content"] or ""
            message.update(extra)
        if self._moves:
            self._move()

    def add(self, item: _JSONObject) -> None:
        """Add an item. A stretch of a message is joined to the message."""
        last = self.items[-1] if len(self.items) > self._start else {}
        if item.get("type") == "message" and item.get("id") and item["id"] == last.get("id"):
            last["content"] = [*last["content"], *item["content"]]
        else:
            self._append(item)

    def add_content(self, content: list[_JSONObject]) -> None:
        """Add content to the current message, or to a new one after an item."""
        if self._plain and self.items[-1] is self._plain[-1]:
            self._plain[-1]["content"] += content
        else:
            self._plain.append({"type": "message", "role": self.role, "content": content})
            self._append(self._plain[-1])

    def add_received(self, fields: _JSONObject, content: _JSONObject, *, continues: bool) -> None:
        """Add content of a message as it was received: to the last message if it continues that."""
        last = self.items[-1] if len(self.items) > self._start else {}
        if continues and isinstance(last.get("content"), list):
            last["content"].append(content)
        else:
            self._append({"type": "message", "role": self.role, "content": [content], **fields})

    def continues_reasoning(self, part: Reasoning, *, received: bool, number: int) -> bool:
        """Return whether thinking belongs to the last item.

        Encrypted thinking belongs to the first stretch, so one that has some begins a new item, whatever its id.
        """
        if received:
            return bool(number)
        last = self._reasoning
        return last is not None and not part.redacted and part.id is not None and part.id == last.get("id")

    def extend_reasoning(self, name: str, text: _JSONObject | None) -> None:
        """Add a stretch to the last item, unless that was left out."""
        if self._reasoning is not None and text is not None:
            self._reasoning[name] = [*self._reasoning.get(name, ()), text]

    def add_reasoning(self, item: _JSONObject, before: str | None) -> None:
        """Add thinking, which may belong before an item that was received earlier."""
        self._without_reasoning = False
        self.items.append(item)
        self._reasoning = item
        if before is not None:
            self._moves.append((item, before))

    def leave_out_reasoning(self) -> None:
        """Record that thinking is not sent. The items after it are sent without the ids that refer to it."""
        self._reasoning = None
        self._without_reasoning = True

    def _append(self, item: _JSONObject) -> None:
        self._reasoning = None
        if self._without_reasoning and item.get("type") in {"message", "function_call", "custom_tool_call"}:
            item = {name: value for name, value in item.items() if name != "id"} if "id" in item else item
        self.items.append(item)

    def _move(self) -> None:
        """Put the items that were received too late before those that they precede."""
        known = {id_ for item in self.items[self._start :] for id_ in ids_of(item)}
        moves: dict[str, list[_JSONObject]] = {}
        for item, before in self._moves:
            if before in known:
                moves.setdefault(before, []).append(item)
        moved = {id(item) for items in moves.values() for item in items}
        turn: list[_JSONObject] = []
        for item in self.items[self._start :]:
            if id(item) not in moved:
                turn += [before for id_ in ids_of(item) for before in moves.pop(id_, ())]
                turn.append(item)
        self.items[self._start :] = turn


def _is_content(item: _JSONObject) -> bool:
    kind = str(item.get("type") or "")
    return kind.startswith(_CONTENT) or kind == "refusal"


def _extra(message: Message) -> _JSONObject:
    """Return further fields of a message without empty ones, which dumps of other clients' objects contain."""
    return {name: value for name, value in message.extra.items() if value not in (None, [], {})}


def _raw_tools(request: InferenceRequest) -> list[Mapping[str, Any]]:
    """Return the tools in the dialect's own format, such as those that take text instead of JSON."""
    given = [tool.payload for tool in request.tools if isinstance(tool, RawTool)]
    return [*given, *json_access.objects(request.extra.get("tools"))]


def _file(document: Document) -> _JSONObject:
    if document.file_id is not None:
        return {"file_id": document.file_id}
    if document.inline is None:
        return {"file_url": document.url}
    return {"filename": name_of(document), "file_data": document.data_url}


# Turns that were interrupted


def _outputs(messages: Iterable[Message]) -> set[str]:
    """Return the ids of the calls that have an output in the conversation."""
    payloads = [part.payload for message in messages for part in message.parts if isinstance(part, RawPart)]
    return {str(each.get("call_id")) for each in payloads if str(each.get("type") or "").endswith("_output")}


def _whole(parts: Iterable[Part], outputs: set[str]) -> list[Part]:
    """Return the parts of an interrupted turn that are valid: no call without its output, no thinking without its item.

    The item that follows thinking must be whole, which a text without the fields of its message is not.
    """
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, RawPart) and _lacks_output(part, outputs):
            _remove_last_reasoning(kept)
            continue
        if isinstance(part, (Text, Refusal)) and set(part.extra) <= {"phase"}:
            _remove_last_reasoning(kept)
        kept.append(part)
    _remove_last_reasoning(kept)
    return kept


def _lacks_output(part: RawPart, outputs: set[str]) -> bool:
    call_id = part.payload.get("call_id")
    return part.payload.get("type") in TO_ANSWER and call_id is not None and str(call_id) not in outputs


def _remove_last_reasoning(parts: list[Part]) -> None:
    while parts and isinstance(parts[-1], Reasoning):
        parts.pop()
