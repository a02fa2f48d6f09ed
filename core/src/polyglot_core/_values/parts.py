"""What a message is made of: frozen values, and how they are read from dicts in OpenAI's shape."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from polyglot_core._values.unreadable import UNREADABLE

__all__ = ["Audio", "Document", "Image", "Part", "RawPart", "Reasoning", "Text", "ToolCall", "ToolResult"]

JSONObject = Mapping[str, Any]
"""A JSON object whose values are the provider's business."""


class Text(Struct, frozen=True, tag="text"):
    """Visible text.

    Attributes:
        text: The text.
        cache: Whether a provider that lets its users mark what to cache is to cache the prompt up to here.
    """

    text: str
    cache: bool = False


class _File(Struct, frozen=True, kw_only=True):
    """A URL that the provider fetches, or the bytes themselves."""

    url: str | None = None
    data: bytes | None = None
    mime_type: str = ""

    @property
    def data_url(self) -> str:
        """The URL, or the bytes as a ``data:`` URL."""
        return self.url if self.url is not None else _data_url(self.mime_type, self.data or b"")

    @property
    def inline(self) -> tuple[str, str] | None:
        """Type and base64 of the bytes, whether they came as such or in a ``data:`` URL; None for any other URL."""
        if self.url is None:
            return None if self.data is None else (self.mime_type, base64.b64encode(self.data).decode())
        head, comma, body = self.url.partition(",")
        if not comma or not head.startswith("data:") or not head.endswith(";base64"):
            return None
        return head.removeprefix("data:").removesuffix(";base64") or self.mime_type, body


class Image(_File, frozen=True, tag="image", kw_only=True):
    """An image: a URL that the provider fetches, or the bytes themselves.

    Attributes:
        url: Where the provider finds it.
        data: The bytes.
        mime_type: Their type, such as ``image/png``.
        detail: How closely to look, where a provider offers that: ``low``, ``high`` or ``auto``.
    """

    mime_type: str = "image/png"
    detail: str | None = None


class Audio(Struct, frozen=True, tag="audio", kw_only=True):
    """A sound, as bytes.

    Attributes:
        data: The bytes.
        mime_type: Their type, such as ``audio/wav``.
    """

    data: bytes
    mime_type: str = "audio/wav"

    @property
    def format(self) -> str:
        """The usual short name of the type: ``wav``, ``mp3``, ``flac`` and so on."""
        subtype = self.mime_type.partition("/")[2].partition(";")[0].strip().lower()
        return _AUDIO_FORMATS.get(subtype, subtype)

    @property
    def base64(self) -> str:
        """The bytes in base64."""
        return base64.b64encode(self.data).decode()


_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac", "x-m4a": "m4a"}
"""Short names of subtypes of ``audio/…``; other subtypes are their own."""


class Document(_File, frozen=True, tag="document", kw_only=True):
    """A file to read: a URL that the provider fetches, the bytes themselves, or the id of one that it has.

    Attributes:
        url: Where the provider finds it.
        data: The bytes.
        file_id: The provider's id of a file that was sent to it before.
        mime_type: Type of the bytes, such as ``application/pdf``.
        name: File name.
    """

    file_id: str | None = None
    mime_type: str = "application/pdf"
    name: str | None = None


class Reasoning(Struct, frozen=True, tag="reasoning", kw_only=True):
    """A stretch of thinking, with what a provider needs to take it back in a later turn.

    Attributes:
        text: The thinking, or a summary of it.
        signature: What the provider gave with it, to be given back unchanged.
        redacted: Thinking that came encrypted.
        id: The provider's id of it.
        extra: What else the provider said of it, to be given back unchanged.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    id: str | None = None
    extra: JSONObject = {}


class ToolCall(Struct, frozen=True, tag="tool_call", kw_only=True):
    """A call to one of the user's tools.

    Attributes:
        name: The tool's name.
        id: The provider's id of the call, or None.
        arguments_raw: JSON text of the arguments, as it came.
        complete: Whether the call is whole; False while it still streams, and for good if the stream broke off in it.
        signature: What the provider gave with the call, to be given back unchanged in a later turn.
    """

    name: str
    id: str | None = None
    arguments_raw: str = ""
    complete: bool = False
    signature: str | None = None

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments, parsed; no text is an empty dict, None is a text that is no JSON object."""
        return _parse_arguments(self.arguments_raw)

    @property
    def ready(self) -> bool:
        """Whether the call may be run: it is complete, and its arguments are a JSON object."""
        return self.complete and self.arguments is not None


class ToolResult(Struct, frozen=True, tag="tool_result", kw_only=True):
    """What a tool gave back.

    Attributes:
        id: Id of the call that it answers.
        content: Text, or parts such as images.
        error: Whether the tool failed and `content` says how.
        name: The tool's name, which some providers want again.
    """

    id: str | None
    content: str | tuple[Text | Image | Document, ...]
    error: bool = False
    name: str | None = None

    @property
    def text(self) -> str:
        """The text of the result; other parts are left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def parts(self) -> tuple[Text | Image | Document, ...]:
        """The content as parts."""
        return (Text(self.content),) if isinstance(self.content, str) else self.content

    @property
    def said(self) -> tuple[Text | Image | Document, ...]:
        """The content as parts, with a failure said in the text, for dialects that have no field for it."""
        parts = self.parts
        if not self.error:
            return parts
        for place, part in enumerate(parts):
            if isinstance(part, Text):
                return (*parts[:place], replace(part, text=f"Error: {part.text}"), *parts[place + 1 :])
        return (Text("Error:"), *parts)


class RawPart(Struct, frozen=True, tag="raw"):
    """A part in a provider's own shape, which only that provider's driver can send."""

    payload: JSONObject


Part = Text | Image | Audio | Document | Reasoning | ToolCall | ToolResult | RawPart


def _parse_arguments(text: str) -> dict[str, Any] | None:
    if not text.strip() or text.strip() == "null":  # Groq sends null for a tool without parameters
        return {}
    try:
        value = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return value if isinstance(value, dict) else None


def _data_url(mime_type: str, data: bytes) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


# Reading
