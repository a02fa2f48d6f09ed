"""Finds a JSON value in a text: the whole text, a fenced block, or the first object or list between other words."""

from __future__ import annotations

import json
import re
from typing import Any

from polyglot_answers.json_reader import JSONFault, JSONReader

__all__ = ["json_in", "read_json"]

_FENCE = re.compile(r"^[ \t]*```[ \t]*([A-Za-z0-9_+-]*)[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"[{\[]")
_MOST_STARTS = 64
_decoder = json.JSONDecoder()


def json_in(text: str) -> Any:
    """Return the JSON value in a text, without any repair.

    The whole text is tried first, then each fenced block, then the text from each opening brace or bracket on. The
    first that is JSON is the value; prose around it is ignored.

    Raises:
        JSONFault: There is no JSON value in the text; with the position of the fault in the whole text.
    """
    try:
        return read_json(text, 0)
    except JSONFault as fault:
        first = fault
    for match in _FENCE.finditer(text):
        try:
            return read_json(match[2], match.start(2))
        except JSONFault as fault:
            first = fault if match[1].lower() in {"json", ""} else first
    end = 0
    for count, mark in enumerate(_MARKS.finditer(text)):
        if count == _MOST_STARTS:
            break
        if mark.start() < end:
            continue
        try:
            value, end = _decoder.raw_decode(text, mark.start())
        except (ValueError, RecursionError):
            continue
        return value
    raise first


def read_json(text: str, offset: int = 0) -> Any:
    """Return the JSON value that a text is.

    Args:
        text: The text.
        offset: Its offset in the text of which it is a part, for the error.

    Raises:
        JSONFault: The text is no JSON.
    """
    reader = JSONReader()
    try:
        reader.feed(text)
        return reader.close()
    except JSONFault as fault:
        raise JSONFault(fault.reason, fault.position + offset) from None
