"""The parts of a message, as frozen values."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from polyglot_core._values.media_types import media_problem, media_type
from polyglot_core._values.unreadable import parse
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Audio", "Document", "Image", "Part", "RawPart", "Reasoning", "Refusal", "Text", "ToolCall", "ToolResult"]

JSONObject = Mapping[str, Any]
"""A JSON object with values of any type."""

Cache = bool | str
"""A cache mark: True for the provider's default lifetime, or a lifetime such as ``5m`` or ``1h``; False for none."""


class Text(Struct, frozen=True, tag="text"):
    """Visible text.

    Attributes:
        text: The text.
        cache: If set, the prompt up to this part is cached by providers that support explicit cache marks: True, or a
            lifetime such as ``1h``.
        extra: Further fields of the provider's block, which are sent back unchanged.
    """

    text: str
    cache: Cache = False
    extra: JSONObject = {}


class Refusal(Struct, frozen=True, tag="refusal"):
    """A refusal of the model that the provider sends separately from the text.

    Attributes:
        text: The text of the refusal.
        extra: Further fields of the provider's block, which are sent back unchanged.
    """

    text: str
    extra: JSONObject = {}


class _Media(Struct, frozen=True, kw_only=True):
    """Bytes, with a media type that is recognized from them if none is given."""

    _usual: ClassVar[str]
    """Media type of what is not recognized because its bytes are not here."""

    data: bytes | None = None
    mime_type: str = ""
    cache: Cache = False
    extra: JSONObject = {}

    def __post_init__(self) -> None:
        if not self.mime_type:
            force_setattr(self, "mime_type", media_type(self.data, self._usual))

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], mime_type: str = "", **fields: Any) -> Self:  # noqa: ANN401 (fields)
        """Create the part from a file, which is read at once.

        The media type is the one that the first bytes show, whatever the name is. The name only states what kind of
        text a text is, as ``notes.md`` does.

        Args:
            path: The file.
            mime_type: Media type, instead of the one that the bytes show.
            fields: Further fields of the class, such as ``cache``.

        Raises:
            OSError: The file cannot be read; the message has its path.
            RequestError: Another class is for files of its type, or its type is not recognized.
        """
        name = os.fspath(path)
        with open(name, "rb") as file:  # noqa: PTH123 (the import of pathlib takes time)
            data = file.read()
        mime_type = mime_type or media_type(data, cls._usual, name)
        if not mime_type:
            raise RequestError(f"The file {name!r} {media_problem(data, name)}.", phase="encode")
        return cls(data=data, mime_type=mime_type, **fields)

    @property
    def base64(self) -> str:
        """Return the bytes in base64."""
        return base64.b64encode(self.data or b"").decode()


class _File(_Media, frozen=True, kw_only=True):
    """A URL that the provider fetches, or the bytes themselves."""

    url: str | None = None

    @property
    def data_url(self) -> str:
        """Return the URL, or the bytes as a ``data:`` URL."""
        return self.url if self.url is not None else f"data:{self.mime_type};base64,{self.base64}"

    @property
    def inline(self) -> tuple[str, str] | None:
        """Return the media type and the base64 text of the bytes or of a ``data:`` URL; None for any other URL."""
        if self.url is None:
            return None if self.data is None else (self.mime_type, self.base64)
        head, comma, body = self.url.partition(",")
        if not comma or not head.startswith("data:") or not head.endswith(";base64"):
            return None
        return head.removeprefix("data:").removesuffix(";base64") or self.mime_type, body


class Image(_File, frozen=True, tag="image", kw_only=True):
    """An image: a URL that the provider fetches, or the bytes themselves.

    Attributes:
        url: URL of the image.
        data: The bytes.
        mime_type: Media type, such as ``image/png``; by default the one that the bytes show.
        detail: Resolution at which the model reads the image, for providers that offer it: ``low``, ``high`` or
            ``auto``.
        cache: As of `Text`.
        extra: Further fields of the provider's part, which are sent unchanged.
    """

    _usual: ClassVar[str] = "image/png"

    detail: str | None = None


class Audio(_Media, frozen=True, tag="audio", kw_only=True):
    """Audio, as bytes.

    Attributes:
        data: The bytes.
        mime_type: Media type, such as ``audio/wav``; by default the one that the bytes show.
        cache: As of `Text`.
        extra: Further fields of the provider's part, which are sent unchanged.
    """

    _usual: ClassVar[str] = "audio/wav"

    data: bytes  # pyright: ignore[reportGeneralTypeIssues]  # keyword-only, so it may be required

    @property
    def format(self) -> str:
        """Return the usual short name of the media type: ``wav``, ``mp3``, ``flac`` and so on."""
        subtype = self.mime_type.partition("/")[2].partition(";")[0].strip().lower()
        return _AUDIO_FORMATS.get(subtype, subtype)


_AUDIO_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac", "x-m4a": "m4a", "mp4": "m4a"}
"""Short names of subtypes of ``audio/…``. The short name of any other subtype is the subtype."""


class Document(_File, frozen=True, tag="document", kw_only=True):
    """A file: a URL that the provider fetches, the bytes themselves, or the id of a file that was uploaded before.

    Attributes:
        url: URL of the file.
        data: The bytes.
        file_id: The provider's id of an uploaded file.
        mime_type: Media type, such as ``application/pdf``; by default the one that the bytes show. Text without a
            recognized form is ``text/plain``.
        name: File name.
        cache: As of `Text`.
        extra: Further fields of the provider's part, which are sent unchanged.
    """

    _usual: ClassVar[str] = "application/pdf"

    file_id: str | None = None
    name: str | None = None


class Reasoning(Struct, frozen=True, tag="reasoning", kw_only=True):
    """A block of the model's reasoning, with the fields that a provider requires to accept it in a later turn.

    Attributes:
        text: The reasoning, or a summary of it.
        signature: The provider's signature, which is sent back unchanged.
        redacted: Encrypted reasoning, as received.
        id: The provider's id of the block.
        extra: Further fields of the provider, which are sent back unchanged.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    id: str | None = None
    extra: JSONObject = {}


class ToolCall(Struct, frozen=True, tag="tool_call", kw_only=True):
    """A tool call: the model requests the result of one of the user's tools.

    Attributes:
        name: Name of the tool.
        id: The provider's id of the tool call, or None.
        arguments_raw: JSON text of the arguments, as received.
        complete: True if the whole tool call was received; False while it is streamed, or if the stream was
            interrupted in it.
        signature: The provider's signature, which is sent back unchanged in a later turn.
        extra: Further fields of the provider, which are sent back unchanged.
    """

    name: str
    id: str | None = None
    arguments_raw: str = ""
    complete: bool = False
    signature: str | None = None
    extra: JSONObject = {}

    @property
    def arguments(self) -> dict[str, Any] | None:
        """Return the parsed arguments: an empty dict for an empty text, None if the text is not a JSON object."""
        return _parse_arguments(self.arguments_raw)

    @property
    def ready(self) -> bool:
        """Return True if the tool can be run: the tool call is complete and has a name and an object of arguments."""
        return bool(self.complete and self.name and self.arguments is not None)


class RawPart(Struct, frozen=True, tag="raw"):
    """A part in a provider's own format, which only that provider's driver can send.

    Attributes:
        payload: The provider's object, which is sent unchanged.
    """

    payload: JSONObject


class ToolResult(Struct, frozen=True, tag="tool_result", kw_only=True):
    """The result of a tool call.

    Attributes:
        id: Id of the tool call.
        content: Text, or parts such as images. A `RawPart` is in the provider's own format.
        error: True if the tool failed and `content` describes the failure.
        name: Name of the tool, which some providers require.
    """

    id: str | None
    content: str | tuple[Text | Image | Document | RawPart, ...]
    error: bool = False
    name: str | None = None

    @property
    def text(self) -> str:
        """Return the text of the text parts."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def parts(self) -> tuple[Text | Image | Document | RawPart, ...]:
        """Return the content as parts."""
        return (Text(self.content),) if isinstance(self.content, str) else self.content

    @property
    def said(self) -> tuple[Text | Image | Document | RawPart, ...]:
        """Return the content as parts. "Error:" precedes the text of a failure, for dialects without an error field."""
        parts = self.parts
        if not self.error:
            return parts
        for index, part in enumerate(parts):
            if isinstance(part, Text):
                return (*parts[:index], replace(part, text=f"Error: {part.text}"), *parts[index + 1 :])
        return (Text("Error:"), *parts)


Part = Text | Image | Audio | Document | Reasoning | Refusal | ToolCall | ToolResult | RawPart


def _parse_arguments(text: str) -> dict[str, Any] | None:
    if not text.strip() or text.strip() == "null":  # Groq sends null for a tool without parameters
        return {}
    value = parse(text)
    return value if isinstance(value, dict) else None
