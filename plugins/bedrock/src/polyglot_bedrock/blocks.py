"""The blocks of a message: the events that the pieces of a streamed block, or a whole block, become.

A block is an object with one member, which names its kind. A stream opens a block explicitly only if it has attributes:
text and thinking have none. Kinds without events of their own are emitted whole, so that they can be sent back.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Citation,
    MediaDelta,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_core.plugin import Event

__all__ = ["CITED_TEXT", "OpenBlock", "read_delta", "whole_block"]

_JSONObject = dict[str, Any]

CITED_TEXT = "citationsContent"
"""Kind of a text with its sources, and the field of `extra` that holds all of such a block but its text."""

_TEXT, _REASONING, _IMAGE, _TOOL_USE, _TOOL_RESULT = "text", "reasoningContent", "image", "toolUse", "toolResult"
_WITHOUT_START = frozenset({_TEXT, _REASONING})
_SERVER_TOOL = "server_tool_use"
_OF_CALLS = frozenset({"toolUseId", "name", "input"})
_OF_THINKING = frozenset({"text", "signature", "redactedContent", "reasoningText"})


class OpenBlock:
    """A streamed block between its begin and its end.

    Attributes:
        index: Index of the block in the content of the message.
        kind: Name of its member.
        fields: Its attributes.
        is_call: True for a call of one of the user's tools.
        pieces: Pieces of the input's text, or items of a result.
        added: What deltas of unknown kinds add, by field.
        citations: The sources of a text.
        redacted: Pieces of encrypted thinking, each in base64.
        has_bytes: True if an image has bytes.
    """

    __slots__ = ("added", "citations", "fields", "has_bytes", "index", "is_call", "kind", "pieces", "redacted")

    def __init__(self, kind: str, fields: _JSONObject, index: int) -> None:
        self.index = index
        self.kind = kind
        self.fields = dict(fields)
        self.is_call = kind == _TOOL_USE and fields.get("type") != _SERVER_TOOL
        self.pieces: list[Any] = []
        self.added: dict[str, list[Any]] = {}
        self.citations: list[Any] = []
        self.redacted: list[str] = []
        self.has_bytes = False

    def begin(self) -> Iterator[Event]:
        """Yield the events of the start of the block, which reserve its position in the turn."""
        if self.is_call:
            yield _call_begins(self.fields, self.index)
        else:
            yield ServerToolEvent(_name(self.kind, self.fields), {}, block=self.index)

    def end(self) -> Iterator[Event]:
        """Yield the events of the end of the block."""
        if self.is_call:
            early = "" if self.pieces else json_access.text(self.fields.get("input") or None)
            extra = _without(self.fields, _OF_CALLS)
            yield ToolCallDelta(self.index, arguments=early, complete=True, block=self.index, extra=extra)
        elif self.kind == _IMAGE and self.has_bytes:
            if extra := _without(self.fields, {"format", "source"}):
                yield MediaDelta(self.image_type, b"", block=self.index, extra=extra)
        elif self.kind not in _WITHOUT_START:
            yield _raw(self.kind, self._whole(), self.index)
        if self.citations:
            yield TextDelta("", block=self.index, extra={CITED_TEXT: {"citations": self.citations}})
        if self.redacted:
            yield ReasoningDelta(redacted=_joined(self.redacted), block=self.index)
        if self.kind == _REASONING and self.fields:
            yield ReasoningDelta(block=self.index, extra=self.fields)

    @property
    def image_type(self) -> str:
        """The media type of an image."""
        return f"image/{self.fields.get('format') or 'png'}"

    def _whole(self) -> _JSONObject:
        """Return the attributes of a block as a plain response has them; input that is not JSON stays text."""
        if self.kind == _TOOL_RESULT:
            return {**self.fields, "content": self.pieces}
        if self.kind != _TOOL_USE:
            return {**self.fields, **{name: _sum(self.fields.get(name), pieces) for name, pieces in self.added.items()}}
        text = "".join(map(json_access.text, self.pieces)) or json_access.text(self.fields.get("input")) or "{}"
        return {**self.fields, "input": json_access.parse(text, text)}


def _sum(before: object, pieces: Sequence[Any]) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a field with what deltas add to it: texts are joined; the last of other values counts."""
    values = pieces if before is None else [before, *pieces]
    return "".join(values) if all(isinstance(value, str) for value in values) else values[-1]


def _joined(pieces: Sequence[str]) -> str:
    """Return the base64 of the joined bytes: each piece is padded for itself. A single piece stays as it is."""
    try:
        return pieces[0] if len(pieces) == 1 else base64.b64encode(b"".join(map(_bytes, pieces))).decode()
    except binascii.Error:
        return "".join(pieces)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _without(fields: _JSONObject, names: frozenset[str] | set[str]) -> _JSONObject | None:
    """Return the fields without some; None if there are no others."""
    return {name: value for name, value in fields.items() if name not in names} or None


def _call_begins(fields: _JSONObject, index: int, arguments: str = "") -> ToolCallDelta:
    call_id, name = (json_access.text(fields.get(field)) or None for field in ("toolUseId", "name"))
    return ToolCallDelta(index, call_id, name, arguments, block=index)


def _raw(kind: str, value: object, index: int) -> ServerToolEvent:
    """Return the event of a block without events of its own, which is sent back in its position."""
    return ServerToolEvent(_name(kind, value), {kind: value}, block=index, replay=True)


def _name(kind: str, value: object) -> str:
    """Return the name of one of the provider's own tools, the type of its result, or else the kind of the block."""
    return json_access.text(json_access.get(value, "name" if kind == _TOOL_USE else "type")) or kind


# Pieces of a streamed block


def read_delta(kind: str, value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    """Yield the events of one member of a delta. `state` holds the open blocks by their index."""
    read = _DELTAS.get(kind)
    if read is not None:
        yield from read(value, index, state)
        return
    opened: OpenBlock | None = state.get(str(index))
    if opened is None:
        opened = _opened(kind, index, state)
        yield from opened.begin()
    merge = value if opened.kind == kind and isinstance(value, dict) else {kind: value}
    for name, piece in merge.items():
        opened.added.setdefault(name, []).append(piece)


def _opened(kind: str, index: int, state: dict[str, Any]) -> OpenBlock:
    """Return the open block, or one that begins now."""
    found: OpenBlock = state.setdefault(str(index), OpenBlock(kind, {}, index))
    return found


def _text_delta(value: object, index: int, _state: dict[str, Any]) -> Iterator[Event]:
    yield TextDelta(json_access.text(value), block=index)


def _reasoning_delta(value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    if not isinstance(value, dict):
        return
    text, signature, redacted = (json_access.text(value.get(name)) for name in ("text", "signature", "redactedContent"))
    if text or signature:
        yield ReasoningDelta(text, signature or None, block=index)
    if redacted:
        opened = _opened(_REASONING, index, state)
        if not opened.redacted:
            yield ReasoningDelta(block=index)  # takes the position of the block
        opened.redacted.append(redacted)
    if further := _without(value, _OF_THINKING):
        _opened(_REASONING, index, state).fields |= further


def _citation_delta(value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    _opened(_TEXT, index, state).citations.append(value)
    if isinstance(value, dict):
        yield Citation(value, block=index)


def _tool_use_delta(value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    opened: OpenBlock | None = state.get(str(index))
    if not (text := json_access.text(json_access.get(value, "input"))):
        return
    if opened is not None:
        opened.pieces.append(text)
    if opened is None or opened.is_call:
        yield ToolCallDelta(index, arguments=text, block=index)


def _tool_result_delta(value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    if str(index) not in state:
        yield from _opened(_TOOL_RESULT, index, state).begin()
    _opened(_TOOL_RESULT, index, state).pieces += value if isinstance(value, list) else [value]


def _image_delta(value: object, index: int, state: dict[str, Any]) -> Iterator[Event]:
    opened = _opened(_IMAGE, index, state)
    if (data := _source_bytes(value)) is not None:
        opened.has_bytes = True
        yield MediaDelta(opened.image_type, data, block=index)
    if isinstance(value, dict):
        opened.fields |= value if data is None else (_without(value, {"source"}) or {})


def _source_bytes(media: object) -> bytes | None:
    """Return the bytes of a file; None if it has none, or has them elsewhere."""
    try:
        data = _bytes(json_access.text(json_access.get(media, "source.bytes")))
    except (binascii.Error, ValueError):
        return None
    return data or None


_DELTAS: dict[str, Callable[[object, int, dict[str, Any]], Iterator[Event]]] = {
    _TEXT: _text_delta,
    _REASONING: _reasoning_delta,
    "citation": _citation_delta,
    _TOOL_USE: _tool_use_delta,
    _TOOL_RESULT: _tool_result_delta,
    _IMAGE: _image_delta,
}


# Whole blocks


def whole_block(kind: str, value: object, index: int) -> Iterator[Event]:
    """Yield the events of a block that was received whole."""
    read = _READ_BLOCKS.get(kind)
    if read is None or not isinstance(value, str if kind == _TEXT else dict):
        yield _raw(kind, value, index)
    else:
        yield from read(value, index)


def _text(value: object, index: int) -> Iterator[Event]:
    yield TextDelta(json_access.text(value), block=index)


def _tool_use(value: _JSONObject, index: int) -> Iterator[Event]:
    if json_access.get(value, "type") == _SERVER_TOOL:
        yield _raw(_TOOL_USE, value, index)
        return
    opened = OpenBlock(_TOOL_USE, value, index)
    yield from opened.begin()
    yield from opened.end()


def _reasoning(value: _JSONObject, index: int) -> Iterator[Event]:
    inner = value.get("reasoningText", value)
    found = inner if isinstance(inner, dict) else {"text": inner}
    text, signature, redacted = (
        json_access.text(found.get(name)) or None for name in ("text", "signature", "redactedContent")
    )
    if not (text or signature or redacted):
        yield _raw(_REASONING, value, index)
        return
    extra = _without({**value, **found}, _OF_THINKING)
    yield ReasoningDelta(text or "", signature, redacted, block=index, extra=extra)


def _cited_text(value: _JSONObject, index: int) -> Iterator[Event]:
    pieces = json_access.objects(value.get("content"))
    text = "".join(json_access.text(piece.get("text")) for piece in pieces)
    plain = value.get("content") == [{"text": text}]
    yield TextDelta(text, block=index, extra={CITED_TEXT: (_without(value, {"content"}) or {}) if plain else value})
    for citation in json_access.objects(value.get("citations")):
        yield Citation(citation, block=index)


def _generated(kind: str, usual: str) -> Callable[[_JSONObject, int], Iterator[Event]]:
    """Return the reader of an image or of audio."""

    def read(value: _JSONObject, index: int) -> Iterator[Event]:
        data = _source_bytes(value)
        if data is None:
            yield _raw(kind, value, index)
            return
        media_type = f"{kind}/{json_access.text(value.get('format')) or usual}"
        yield MediaDelta(media_type, data, block=index, extra=_without(value, {"format", "source"}))

    return read


def _file(kind: str, types: str) -> Callable[[_JSONObject, int], Iterator[Event]]:
    """Return the reader of a file that is sent back as it is, because a part cannot hold all that it has."""

    def read(value: _JSONObject, index: int) -> Iterator[Event]:
        yield _raw(kind, value, index)
        if (data := _source_bytes(value)) is not None:
            yield MediaDelta(f"{types}/{value.get('format') or 'octet-stream'}", data, block=index, replay=False)

    return read


_READ_BLOCKS: dict[str, Callable[[Any, int], Iterator[Event]]] = {
    _TEXT: _text,
    _TOOL_USE: _tool_use,
    _REASONING: _reasoning,
    CITED_TEXT: _cited_text,
    _IMAGE: _generated(_IMAGE, "png"),
    "audio": _generated("audio", "wav"),
    "document": _file("document", "application"),
    "video": _file("video", "video"),
}
