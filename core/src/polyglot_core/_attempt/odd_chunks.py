"""Reads chunks that a driver cannot decode as a whole: several texts in one chunk, texts in a text, keep-alives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from polyglot_core._values.unreadable import parse
from polyglot_core._wire.error_events import is_error_text, is_keep_alive, is_neutral
from polyglot_core._wire.json_framers import JSONArrayFramer
from polyglot_core._wire.messages import is_json, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyglot_core._wire.messages import Chunk

__all__ = ["END_MARK", "Reading", "first_document", "reading"]

END_MARK = b"[DONE]"
_PREFIX = b"data:"
_PREFIXES = re.compile(rb"(?:data:\s*+)++")
_OF_LISTS = b"[], \t\r\n"
_BETWEEN = b", \t\r\n\0"
_BRACKETS = (b"{", b"[")
_MARK = re.compile(rb"\[[A-Za-z][A-Za-z _-]{0,30}\]")  # of a keep-alive, or of a vendor's
_SKIPPED_LINES = (b":", b"event:", b"id:", b"retry:")
_SHOWN = 100  # bytes of data that a note quotes


class Reading(NamedTuple):
    """What to take in place of a chunk.

    Attributes:
        chunks: The chunks in it, which may be none.
        note: What was odd, as a sentence; empty for what needs no mention.
        kept: Text without meaning of its own that may be the reason if the response is not finished.
    """

    chunks: Iterable[Chunk]
    note: str = ""
    kept: bytes = b""


def reading(chunk: Chunk, error: Exception) -> Reading | None:
    """Return how to read a chunk that `error` says cannot be decoded; None if it cannot be read in another way either.

    Args:
        chunk: The chunk.
        error: What its decoding raised: one of `UNREADABLE`.
    """
    data = chunk.data.strip()
    if not (isinstance(error, msgspec.ValidationError) and is_json(data)):
        return _of_text(chunk, data)
    of_a_field = "- at `$" in str(error) or "got `object`" in str(error)
    if of_a_field:
        return None
    value = parse(data, chunk)
    return None if value is chunk else _of_json(chunk, value)  # `is_json` does not read the UTF-8 in a string


def first_document(chunk: Chunk) -> tuple[Chunk, str] | None:
    """Return the first document of a whole body of several whole JSON documents, and a note; None for any other chunk.

    The note says that the others are left out. They are if the first one is a response and no part of a stream.
    """
    data = chunk.data.strip()
    if chunk.kind != "whole" or not data.startswith(b"{"):
        return None
    objects = [each.data for each in JSONArrayFramer(limit=len(data)).feed(data)]
    is_whole = all(map(is_json, objects)) and _beside(data, objects).strip(_BETWEEN) in {b"", END_MARK}
    if len(objects) == 1 or not is_whole:
        return None
    rest = data[len(objects[0]) :].strip(_BETWEEN)
    left_out = f"{len(rest)} bytes were left out: {rest[:_SHOWN].decode('utf-8', 'replace')!r}"
    return replace(
        chunk, data=objects[0]
    ), f"The body holds more than one JSON document. The first was read; {left_out}."


def _of_text(chunk: Chunk, data: bytes) -> Reading | None:
    """Read data that is no JSON text: several of them, one with something beside it, or a keep-alive."""
    if (prefixes := _PREFIXES.match(data)) is not None:
        rest = data[prefixes.end() :]
        return Reading((replace(chunk, data=rest),), "A chunk of the response was read without its prefix 'data:'.")
    element = data.strip(_OF_LISTS)
    if element != data and element.startswith(b"{") and is_json(element):
        return Reading((replace(chunk, data=element),), "A chunk of the response was read from a line of a list.")
    if (only := _only_object(chunk, data)) is not None:
        return Reading((replace(chunk, data=only),), "A chunk of the response was read without what follows its JSON.")
    if (texts := _texts(data)) is not None:
        return Reading(_parts(chunk, texts), "Several JSON texts in one event were read one by one.")
    return _without_json(chunk, data)


def _without_json(chunk: Chunk, data: bytes) -> Reading | None:
    """Skip data without JSON that is no part of a response: a keep-alive, a mark, or the text of a vendor's event."""
    if is_keep_alive(data) or (data.startswith(_SKIPPED_LINES) and b"\n" not in data):
        return Reading((), "An event whose data is a keep-alive was skipped.")
    if _MARK.fullmatch(data) and not is_error_text(data):
        return Reading((), f"An event that is only a mark was skipped: {data.decode('utf-8', 'replace')}.", data)
    if not is_neutral(chunk.event) and not data.startswith(_BRACKETS):
        name = str(chunk.event)[:_SHOWN]
        return Reading((), f"An event {name!r} was skipped: its data is no JSON.")
    return None


def _of_json(chunk: Chunk, payload: object) -> Reading | None:
    """Read JSON that is not an object: nothing, a list of chunks, a chunk as a text."""
    if isinstance(payload, str) and payload.strip():
        text = payload.encode("utf-8", "replace").strip()
        if text == END_MARK or (text.startswith((*_BRACKETS, b'"')) and is_json(text)):
            return Reading((replace(chunk, data=text),), "A chunk of the response was read from JSON within a text.")
        return Reading((), f"An event that is only a text was skipped: {payload[:_SHOWN]!r}.", text)
    if isinstance(payload, list) and payload:
        return _of_list(chunk, payload)
    return Reading((), f"An event without an object was skipped: {str(payload)[:_SHOWN]}.")


def _of_list(chunk: Chunk, payload: list[object]) -> Reading | None:
    """Read a list of chunks; a list of anything else cannot be read."""
    if not all(isinstance(each, dict) for each in payload):
        return None
    elements = [msgspec.json.encode(each) for each in payload]
    if len(elements) == 1:
        return Reading((replace(chunk, data=elements[0]),), "A chunk of the response was read from a list of one.")
    return Reading(_parts(chunk, elements), "A list of chunks in one event was read one by one.")


def _only_object(chunk: Chunk, data: bytes) -> bytes | None:
    """Return the object at the beginning of data without a further one: with NUL behind it, or anything in a body."""
    if not data.startswith(b"{"):
        return None
    objects = [each.data for each in JSONArrayFramer(limit=len(data)).feed(data)]
    if len(objects) != 1 or objects == [data] or not is_json(objects[0]):
        return None
    rest = data[len(objects[0]) :].strip(_BETWEEN)
    return objects[0] if not rest or (chunk.kind == "whole" and b"{" not in rest) else None


def _texts(data: bytes) -> Iterable[bytes] | None:
    """Return the JSON texts in data that holds several: one on each line, or one directly behind the other."""
    if not data.startswith(_BRACKETS):
        return None
    first, line_feed, _ = data.partition(b"\n")
    if line_feed and is_json(first.strip().removeprefix(_PREFIX)):
        return lines_of(data)
    if not data.startswith(b"{"):
        return None
    objects = [each.data for each in JSONArrayFramer(limit=len(data)).feed(data)]
    if not objects or objects == [data] or not is_json(objects[0]):
        return None
    beside = _beside(data, objects).strip(_BETWEEN)
    if beside not in {b"", END_MARK}:
        return None
    return [*objects, END_MARK] if beside else objects


def _beside(data: bytes, objects: list[bytes]) -> bytes:
    """Return what is between and behind the objects in `data`."""
    between, position = [], 0
    for each in objects:
        start = data.index(each, position)
        between.append(data[position:start])
        position = start + len(each)
    return b"".join([*between, data[position:]])


def _parts(chunk: Chunk, texts: Iterable[bytes]) -> Iterator[Chunk]:
    for text in texts:
        if text.strip():
            yield replace(chunk, data=text.strip(), raw=text, kind="part")
