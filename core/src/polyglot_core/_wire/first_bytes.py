"""Chooses the framer of a response whose content type does not fit the request, by the first bytes of the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from polyglot_core._wire.framings import FRAMERS, fits, media_type, media_types
from polyglot_core._wire.json_framers import JSONBodyFramer
from polyglot_core._wire.sse import FIELDS, SSEFramer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyglot_core._wire.messages import Framer, WireRequest

__all__ = ["FirstBytes", "form_of"]

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_LONGEST_NAME = max(map(len, FIELDS))

_TYPES = {"sse": "text/event-stream", "json": "application/json"}
_FORMS = {"sse": "sse", "ndjson": "json", "json-array": "json", "whole": "json"}
_OWN = "own"
_WORDS = {"sse": "server-sent events", "json": "JSON", _OWN: "the stream that was requested"}


def form_of(data: bytes) -> Literal["sse", "json", "other"] | None:
    """Return what a body is by its first bytes: server-sent events, JSON objects or neither; None if more are needed.

    An array of anything but objects is neither.
    """
    text = data.removeprefix(_BOM).lstrip(_SPACE)
    if not text or _BOM.startswith(data):
        return None
    if text.startswith(b"["):
        inner = text[1:].lstrip(_SPACE)
        return None if not inner else "json" if inner.startswith(b"{") else "other"
    if text.startswith(b"{"):
        return "json"
    name, colon, _ = text[: _LONGEST_NAME + 1].partition(b":")
    if colon:
        return "sse" if name in {b"", *FIELDS} else "other"
    return None if any(field.startswith(text) for field in FIELDS) else "other"


class FirstBytes:
    """The bytes of a body until its form is known.

    Args:
        wire: The request.
        headers: Response headers, with lower-case names.
        own: The framer that the request specifies.
        limit: Bytes of one event at most.

    Attributes:
        received: The bytes so far.
        note: A sentence on a framing other than the requested one; empty if there is nothing to say.
    """

    __slots__ = ("_fits", "_limit", "_own", "_type", "_wire", "note", "received")

    def __init__(self, wire: WireRequest, headers: Mapping[str, str], own: Framer, limit: int) -> None:
        self.received = b""
        self.note = ""
        self._wire = wire
        self._own = own
        self._limit = limit
        self._type = media_type(headers.get("content-type"))
        self._fits = self._type is None or fits(wire, self._type)

    @property
    def needed(self) -> bool:
        """Whether the framing depends on the first bytes. It does not if the type is a stream's own."""
        if isinstance(self._wire.framing, str):
            return not (self._fits and self._type == _TYPES["sse"])
        return not self._fits or (self._type is None and media_types(self._wire) is not None)

    def framer(self, data: bytes) -> Framer | None:
        """Return the framer for the body, which begins with `received`; None if more bytes are needed.

        Raises:
            ValueError: The body is neither what was requested nor anything else that can be read.
        """
        self.received += data
        recognized = self._recognized()
        if recognized is None:
            return None
        form = _OWN if recognized else form_of(self.received)
        if form is not None:
            return self._framer(form)
        self.received = self.received.strip(_SPACE)  # else each read of a body of white space would cost all of it
        return None

    def _recognized(self) -> bool | None:
        """Return whether the driver's framer recognizes a body of another type; None if it needs more bytes."""
        recognizes: Callable[[bytes], bool | None] | None = getattr(self._wire.framing, "recognizes", None)
        return False if recognizes is None or self._fits else recognizes(self.received)

    def last(self) -> Framer:
        """Return the framer for a body that has ended before its form was known. Raises as `framer` does."""
        return self._framer("other")

    def _framer(self, form: str) -> Framer:
        framer = self._own if form in {"other", _OWN} else self._framer_of(form)
        if framer is None or (form == "other" and not self._fits):
            raise ValueError(form)
        requested = _FORMS.get(self._wire.framing, form) if isinstance(self._wire.framing, str) else form
        if not self._fits or (form in _TYPES and form != requested):
            self.note = f"The response, of type {self._type or 'unknown'}, was read as {_WORDS[form]}."
        return framer

    def _framer_of(self, form: str) -> Framer | None:
        """Return the framer of a form: the request's own if it reads the form, else one of core, if that can."""
        types = media_types(self._wire)
        if not isinstance(self._wire.framing, str) and (types is None or _TYPES[form] in types):
            return self._own
        if form == "sse":
            return self._event_framer()
        lines = self._wire.framing == "ndjson" and self._type not in FRAMERS["whole"].media_types and self._fits
        return (
            self._own if lines or self._wire.framing in {"whole", "json-array"} else JSONBodyFramer(limit=self._limit)
        )

    def _event_framer(self) -> Framer | None:
        if not isinstance(self._wire.framing, str):
            return None
        return self._own if self._wire.framing == "sse" else SSEFramer(limit=self._limit)
