"""The turn of a candidate: its parts as events, each in a block of its own, so that it can be sent back part for part.

A part continues the last block only where a stream was split: it is the first part of its chunk, of the same kind as
the last part before, and has no field that has to be sent back with it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_core.plugin import (
    MediaDelta,
    Note,
    ReasoningDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    json_access,
)
from polyglot_google.json_pieces import JSONPieces
from polyglot_google.sources import Sources
from polyglot_google.text_offsets import TextOffsets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from polyglot_core.plugin import Event
    from polyglot_google.shapes import JSONObject

__all__ = ["TEXT", "THOUGHT", "Turn"]

TEXT, THOUGHT = "text", "thought"

_TEXTS = frozenset({str, int, float})
_SIGNATURE = "thoughtSignature"
_ABSENT: Mapping[str, tuple[Any, ...]] = {"thought": (None, False), _SIGNATURE: (None, "")}
"""Values that equal a missing field; for all others only null does."""
_ATTRIBUTES = frozenset({"thought", _SIGNATURE, "videoMetadata", "mediaResolution", "partMetadata"})
_CALL_FIELDS = frozenset({"id", "name", "args", "partialArgs", "willContinue"})
_URL_SAFE = str.maketrans("-_", "+/", "= \r\n")


class _OpenCall:
    """A tool call whose arguments are received value by value."""

    __slots__ = ("id", "name", "pieces", "written")

    def __init__(self, name: str, call_id: str | None) -> None:
        self.name = name
        self.id = call_id
        self.pieces = JSONPieces()
        self.written = False  # some of the arguments were received


class Turn:
    """What was received of a candidate's turn.

    Args:
        index: Index of the candidate.

    Attributes:
        index: As above.
        block: Number of the last block.
        open: Kind of the last block, if a part of that kind continues it: `TEXT`, `THOUGHT`, or the media type of a
            sound; else None.
        text: The visible text.
        sources: The sources of the text.
        facts: The details that were emitted, by name.
        announced: True if the last chunk announced more of the open tool call.
    """

    __slots__ = ("_call", "_calls", "announced", "block", "facts", "index", "open", "sources", "text")

    def __init__(self, index: int) -> None:
        self.index = index
        self.block = -1
        self.open: str | None = None
        self.text = TextOffsets()
        self.sources = Sources(index, self.text)
        self.facts: JSONObject = {}
        self.announced = False
        self._calls = 0
        self._call: _OpenCall | None = None

    def parts(self, parts: list[Any], arguments: Iterator[str]) -> Iterator[Event]:
        """Yield the events of the parts of one chunk.

        Args:
            parts: The parts. A string stands for a text; a note reports any other value that is not an object.
            arguments: The arguments of the tool calls among them, as JSON text.

        Raises:
            DecodeError: There are pieces of arguments without a tool call, or their paths are invalid.
        """
        self.announced = False
        for number, value in enumerate(parts):
            part = {TEXT: value} if type(value) in _TEXTS else value
            if not isinstance(part, dict):
                if part is not None:
                    yield Note(f"A part of the response is no object but a {type(part).__name__}; it was left out.")
                continue
            fields = {name: value for name, value in part.items() if value not in _ABSENT.get(name, (None,))}
            names = [name for name in _READERS if name in fields]
            rest = {name: value for name, value in fields.items() if name not in _READERS}
            if len(names) > 1:  # the API allows one of them only
                for name in names:
                    yield from self._part({name: fields[name], **rest}, name, arguments, first=not number)
                    rest = {}
            elif fields:
                yield from self._part(fields, names[0] if names else None, arguments, first=not number)

    def close(self) -> Iterator[Event]:
        """Complete the tool call that is open, if there is one."""
        call, self._call = self._call, None
        if call is not None:
            if text := call.pieces.close():
                yield ToolCallDelta(self._calls, arguments=text, choice=self.index, block=self.block)
            yield ToolCallDelta(self._calls, complete=True, choice=self.index, block=self.block)

    def _part(self, fields: JSONObject, name: str | None, arguments: Iterator[str], *, first: bool) -> Iterator[Event]:
        signature = fields.get(_SIGNATURE, "")
        if name == "functionCall" and isinstance(fields[name], dict):
            yield from self._call_events(fields, next(arguments, None))
        elif name == TEXT and type(fields[name]) in _TEXTS and isinstance(signature, str):
            yield from self._text_events(fields, first=first)
        elif name == "inlineData" and isinstance(fields[name], dict):
            yield from self._file_events(fields, first=first)
        elif fields.keys() == {_SIGNATURE} and isinstance(signature, str):
            yield ReasoningDelta("", signature, None, None, self.index, self._begin())
        elif fields.keys() != {"thought"}:
            yield self._raw(fields)

    def _begin(self, kind: str | None = None) -> int:
        """Begin a block, which further parts of a kind may continue; return its number."""
        self.block += 1
        self.open = kind
        return self.block

    def _raw(self, fields: JSONObject) -> Event:
        kind = next((name for name in fields if name not in _ATTRIBUTES), next(iter(fields)))
        return ServerToolEvent(kind, fields, self.index, self._begin(), replay=True)

    # Text and thinking

    def _text_events(self, fields: JSONObject, *, first: bool) -> Iterator[Event]:
        extra = {name: value for name, value in fields.items() if name not in {"text", "thought"}}
        text, thought = str(fields["text"]), bool(fields.get("thought"))
        kind = THOUGHT if thought else TEXT
        if not text and not extra:
            return
        if extra or not first or self.open != kind:
            self._begin(None if extra else kind)
            if not thought:
                self.text.begin(self.block)
        if thought:
            yield self._thought(text, extra)
        else:
            if text:
                self.text.pieces.append(text)
            yield TextDelta(text, self.index, self.block, extra or None)

    def _thought(self, text: str, extra: JSONObject) -> Event:
        if not text:
            extra = {"text": "", "thought": True, **extra}
        return ReasoningDelta(text, extra.pop(_SIGNATURE, None), None, None, self.index, self.block, extra or None)

    # Files

    def _file_events(self, fields: JSONObject, *, first: bool) -> Iterator[Event]:
        """Yield a file. What the model drew while thinking, and what bytes do not express, is sent back as received."""
        blob = fields["inlineData"]
        kind, data = blob.get("mimeType"), _bytes(blob.get("data"))
        if data is None or fields.get("thought"):
            if data is None:
                yield Note("The response has a file whose data is not base64; it is kept in server_tools.")
            yield self._raw(fields)
            return
        rest = {name: value for name, value in blob.items() if name not in {"mimeType", "data"} and value is not None}
        extra = {name: value for name, value in fields.items() if name != "inlineData"}
        extra |= {"inlineData": rest} if rest else {}
        mime_type = kind if isinstance(kind, str) and kind else "application/octet-stream"
        if extra or not first or self.open != mime_type:
            self._begin(mime_type if mime_type.startswith("audio/") and not extra else None)
        exact = mime_type == kind and base64.b64encode(data).decode() == blob["data"]
        yield MediaDelta(mime_type, data, self.index, self.block, extra if exact and extra else None, replay=exact)
        if not exact:
            yield ServerToolEvent("inlineData", fields, self.index, self.block, replay=True)
            self.open = None

    # Tool calls

    def _call_events(self, fields: JSONObject, arguments: str | None) -> Iterator[Event]:
        call: JSONObject = fields["functionCall"]
        name, call_id = _word(call.get("name")), _word(call.get("id")) or None
        pieces, more = json_access.objects(call.get("partialArgs")), bool(call.get("willContinue"))
        text = json_access.text(call.get("args")) if arguments is None else arguments
        signature, extra = _call_extra(fields)
        if self._call is None or not _goes_on(self._call, name, call_id):
            yield from self.close()
            if pieces and not name:
                raise msgspec.DecodeError("the response has arguments of a tool call before the tool call")
            if not (name or call_id or text or signature or extra):
                return  # the end of a tool call that is closed already
            self._calls += 1
            block, whole = self._begin(), not (more or pieces)
            given = text if whole else ""
            yield ToolCallDelta(self._calls, call_id, name, given, whole, self.index, block, signature, extra)
            if whole:
                return
            self._call = _OpenCall(name, call_id)
        elif signature or extra:
            yield ToolCallDelta(self._calls, choice=self.index, block=self.block, signature=signature, extra=extra)
        yield from self._argument_events(self._call, pieces, text)
        self.announced = more
        if not more:
            yield from self.close()

    def _argument_events(self, call: _OpenCall, pieces: list[JSONObject], text: str) -> Iterator[Event]:
        """Yield further arguments. All of them once more, after their pieces, contain nothing new."""
        for piece in pieces:
            if more := _piece_text(call.pieces, piece):
                call.written = True
                yield ToolCallDelta(self._calls, arguments=more, choice=self.index, block=self.block)
        if text and not call.written:
            call.written = True
            yield ToolCallDelta(self._calls, arguments=text, choice=self.index, block=self.block)


_READERS = (TEXT, "functionCall", "inlineData")
"""Fields of a part that are read; the API allows one in each part. Parts without any are kept as they are."""


def _goes_on(call: _OpenCall, name: str, call_id: str | None) -> bool:
    """Return whether a piece with this name and this id belongs to the tool call that is open."""
    return name in {"", call.name} and (call_id is None or call.id in {None, call_id})


def _call_extra(fields: JSONObject) -> tuple[str | None, JSONObject | None]:
    """Return the signature of a tool call, and the further fields of the part, those of the tool call nested in it."""
    extra = {name: value for name, value in fields.items() if name != "functionCall"}
    call = {name: value for name, value in fields["functionCall"].items() if name not in _CALL_FIELDS}
    signature = extra.pop(_SIGNATURE) if isinstance(extra.get(_SIGNATURE), str) else None
    extra |= {"functionCall": call} if call else {}
    return signature, extra or None


def _piece_text(arguments: JSONPieces, piece: JSONObject) -> str:
    given = (piece.get(name) for name in ("stringValue", "numberValue", "boolValue"))
    value = next((value for value in given if isinstance(value, (str, int, float))), None)
    if value is None and "nullValue" not in piece:
        return ""
    return arguments.add(_word(piece.get("jsonPath")), value, continues=bool(piece.get("willContinue")))


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _bytes(data: object) -> bytes | None:
    """Return the bytes of base64 text, in either alphabet, with or without padding; None if the text is not base64."""
    if not isinstance(data, str):
        return None
    decode: Callable[..., bytes] = binascii.a2b_base64
    try:
        return decode(data, strict_mode=True)
    except ValueError:
        plain = data.translate(_URL_SAFE)
    try:
        return decode(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        return None
