"""Repairs JSON that servers send and msgspec rejects: after decoding has failed, the repaired text is decoded again.

Five defects are known. Half of a surrogate pair as an escape: some servers split a character and send each half in a
delta of its own, and msgspec accepts pairs only. ``NaN`` and ``Infinity``, which Python's ``json`` writes and RFC 8259
does not allow. Numbers beyond the range of a double. Control characters within a string that are not escaped. A byte
order mark before the text.

Half of a pair cannot be encoded as UTF-8. While the driver decodes, a mark of two characters replaces it;
`SurrogateJoiner` turns the marks into characters before the events are passed on.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from polyglot_core._values.events import End, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyglot_core._values.events import Event

__all__ = ["SurrogateJoiner", "repaired"]

# A match is all valid JSON up to the next token that may need repair, and that token. Strings are matched whole, so
# that nothing within them is taken for a number. No part can match in two ways, so the time is linear.
_SOUND = (
    rb"""(?:[^"\dNI-]++|"(?:[^"\\\x00-\x1f]++|\\[^u])*+"|-?\d[\d.eE+-]{0,3}+(?![\d.eE+-])|N(?!aN)|I(?!nfinity))*+"""
)
_TOKEN = re.compile(rb"(" + _SOUND + rb""")("(?:[^"\\]++|\\.)*+"?|-?(?:NaN|Infinity)|[\d-][\d.eE+-]*+|\Z)""", re.DOTALL)
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([dD][89a-fA-F][0-9a-fA-F]{2})|\\.|([\x00-\x1f])",
    re.DOTALL,
)

_BOM = b"\xef\xbb\xbf"

# A mark is a noncharacter, which Unicode reserves for use within programs, and the half moved to the private use area.
_TAG = "\U0001fffe"
_HIGH, _LOW, _MOVED = 0xD800, 0xDC00, 0xE000
_MARK = re.compile(f"{_TAG}([\ue000-\ue3ff]){_TAG}([\ue400-\ue7ff])|{_TAG}[\ue000-\ue7ff]?")
_HIGH_AT_END = re.compile(f"{_TAG}[\ue000-\ue3ff]\\Z")
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"

_TEXTS: dict[type, str] = {TextDelta: "text", ReasoningDelta: "text", RefusalDelta: "text", ToolCallDelta: "arguments"}
"""The field of an event whose text continues in the next event of its kind."""


def repaired(data: bytes) -> bytes | None:
    """Return the JSON text with the known defects repaired; None if it has none of them.

    ``NaN``, infinities and numbers beyond the range of a double become null; a byte order mark is dropped; invalid
    UTF-8 becomes U+FFFD, as in event streams (Source: HTML standard, server-sent events). Half of a surrogate pair
    becomes a mark, so events decoded from the result must pass a `SurrogateJoiner`.
    """
    found = _TOKEN.sub(_token, _as_utf8(data.removeprefix(_BOM)))
    return None if found == data else found


def _as_utf8(data: bytes) -> bytes:
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode()
    return data


def _token(match: re.Match[bytes]) -> bytes:
    sound, token = match.groups()
    if token.startswith(b'"'):
        return sound + _ESCAPE.sub(_escape, token)
    return sound + (b"null" if token.endswith((b"NaN", b"Infinity")) or _is_beyond(token) else token)


def _escape(match: re.Match[bytes]) -> bytes:
    if match[2] is not None:
        return b"\\u%04x" % match[2][0]
    if match[1] is None:
        return match[0]
    return (_TAG + chr(int(match[1], 16) - _HIGH + _MOVED)).encode()


def _is_beyond(token: bytes) -> bool:
    try:
        return math.isinf(float(token))
    except ValueError:  # not a number either
        return False


class SurrogateJoiner:
    """Turns the marks in the events of one attempt into characters.

    A high half at the end of a text is held back until more of the same text is received: together with the low half it
    is one character. A half that remains alone becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[object, ...], Any] = {}  # events whose text is the mark of a high half

    def apply(self, events: Sequence[Event]) -> list[Event]:
        """Return the events with characters in place of marks."""
        return [each for event in events for each in self._settle(event)]

    def rest(self) -> list[Event]:
        """Return the texts still held back; no more events follow."""
        return list(self._flush(None))

    def _settle(self, event: Event) -> Iterator[Event]:
        if type(event) in _TEXTS:
            yield from self._more(event)
            return
        if isinstance(event, Finish):
            yield from self._flush(event.choice)
        elif isinstance(event, End):
            yield from self._flush(None)
        yield _without_marks(event)

    def _more(self, event: Any) -> Iterator[Event]:  # noqa: ANN401 (an event of one of the kinds in _TEXTS)
        field = _TEXTS[type(event)]
        key = (type(event), event.choice, getattr(event, "index", None))
        held, text = self._held.pop(key, None), getattr(event, field)
        if held is not None and _is_continued_by(event):
            text = getattr(held, field) + text
        elif held is not None:
            yield _without_marks(held)
        if mark := _HIGH_AT_END.search(text):
            self._held[key] = _rest(event, mark[0])
            text = text[: mark.start()]
        yield _without_marks(replace(event, **{field: text}))

    def _flush(self, choice: int | None) -> Iterator[Event]:
        """Yield what is held of a choice, or of all of them: no more of its text follows."""
        for key, held in list(self._held.items()):
            if choice in {None, held.choice}:
                yield _without_marks(self._held.pop(key))


def _is_continued_by(event: Any) -> bool:  # noqa: ANN401 (an event of one of the kinds)
    """Return whether an event continues the text before it, in any block, but in no new or complete tool call."""
    return not isinstance(event, ToolCallDelta) or not (event.complete or (event.index is None and event.name))


def _rest(event: Any, text: str) -> Event:  # noqa: ANN401 (an event of one of the kinds in _TEXTS)
    """Return an event that continues the text of `event` with `text`, and has nothing else."""
    if isinstance(event, ToolCallDelta):
        return ToolCallDelta(event.index, arguments=text, choice=event.choice, block=event.block)
    rest: Event = type(event)(text, choice=event.choice, block=event.block)
    return rest


def _without_marks(value: Any) -> Any:  # noqa: ANN401 (an event, or any value in it)
    """Return `value` with characters in place of marks, at any depth."""
    if isinstance(value, str):
        return _MARK.sub(_character, value) if _TAG in value else value
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    if isinstance(value, dict):
        return {_without_marks(name): _without_marks(item) for name, item in value.items()}
    if isinstance(value, Struct):
        return replace(value, **{name: _without_marks(getattr(value, name)) for name in value.__struct_fields__})
    return value


def _character(match: re.Match[str]) -> str:
    """Return the character of two halves, or the replacement character for a half alone."""
    if match[1] is None:
        return _UNKNOWN
    return chr(0x10000 + ((ord(match[1]) - _MOVED) << 10) + ord(match[2]) - _MOVED - (_LOW - _HIGH))
