"""Conversations in Google's words: turns of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from polyglot_core.errors import RequestError
from polyglot_core.plugin import Text, TurnWriter, json_access

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_core.plugin import (
        Audio,
        Document,
        Image,
        InferenceRequest,
        Message,
        RawPart,
        Reasoning,
        ToolCall,
        ToolResult,
    )

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_IMAGE_TYPES = {"jpg": "image/jpeg"} | {name: f"image/{name}" for name in ("jpeg", "webp", "gif", "heic", "heif")}
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_OWN_FIELDS = frozenset(
    {
        *("text", "inlinedata", "filedata", "functioncall", "functionresponse", "executablecode"),
        *("codeexecutionresult", "toolcall", "toolresponse"),
    }
)
"""What a part of Google's own has at least one of, in small letters: ``inlineData`` is ``inline_data`` too."""


class Writer(TurnWriter):
    """Writes one conversation as turns of parts. Results name their tool, and no call needs an id.

    Args:
        request: The request.
        base_url: URL of the place, below which it keeps files.
        driver: Name of the driver, for messages.
    """

    roles: ClassVar[Mapping[str, str]] = {**TurnWriter.roles, "assistant": "model"}
    content: ClassVar[str] = "parts"
    id_format: ClassVar[str | None] = None
    tool_names: ClassVar[bool] = True

    def __init__(self, request: InferenceRequest, base_url: str, driver: str) -> None:
        super().__init__(request, driver)
        self._base_url = base_url

    def goes_on(self, before: Message, message: Message) -> bool:
        """Results of one turn's calls have to stand in one turn; other turns stay as they are."""
        return before.role == message.role == "tool"

    def blocks(self, message: Message) -> list[_JSONObject]:
        """The parts of a message, at least one. A signature without a text belongs to the text before it."""
        made: list[_JSONObject] = []
        for part in super().blocks(message):
            if (
                part.keys() == {"text", "thoughtSignature"}
                and not part["text"]
                and made
                and made[-1].keys() == {"text"}
            ):
                made[-1]["thoughtSignature"] = part["thoughtSignature"]
            else:
                made.append(part)
        return made or [{"text": ""}]

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """A text."""
        yield {"text": part.text}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """An image, of which a URL's ending may tell the type."""
        suffix = urlsplit(part.url or "").path.rpartition(".")[2].lower()
        guessed = _IMAGE_TYPES.get(suffix) if part.mime_type == "image/png" else None  # which nobody may have looked at
        detail = {"mediaResolution": {"level": _RESOLUTIONS[part.detail]}} if part.detail in _RESOLUTIONS else {}
        yield {**_file(part, guessed or part.mime_type, part.url), **detail}

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """A sound."""
        yield _inline(part.mime_type, part.base64)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """A file; its name is left out, as a prompt has no place for it."""
        place = part.url or part.file_id or ""
        yield _file(part, part.mime_type, f"{self._base_url}/{place}" if place.startswith("files/") else place)

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """A thought, or a signature that came after it."""
        if part.redacted is not None:
            self.cannot("redacted thinking, which another provider made", instead="the turn without it")
        else:
            yield {"text": part.text, **({"thought": True} if part.text else {}), **_signed(part)}

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """A call."""
        call = {"name": part.name, "args": self.arguments(part), **({"id": part.id} if part.id else {})}
        yield {"functionCall": call, **_signed(part)}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """A result, with its files beside it."""
        if not part.name:
            raise RequestError(
                f"The result of the call {part.id!r} needs the tool's name, and no call before it has that id; "
                "make the turn with Message.tool_result(call, …) of the call itself, or give the ToolResult a name.",
                provider=self.driver,
                phase="encode",
            )
        files = self.write(inner for inner in part.parts if not isinstance(inner, Text))
        answer = {"name": part.name, "response": _outcome(part), "id": part.id, "parts": files}
        yield {"functionResponse": {name: value for name, value in answer.items() if value or name == "response"}}

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """A part of Google's own."""
        fields = {str(name).replace("_", "").lower() for name in part.payload}
        if "type" in fields or not fields & _OWN_FIELDS:
            self.cannot(f"a part with the fields {sorted(part.payload)}", instead="a part of Google's own shape")
        else:
            yield dict(part.payload)


def _signed(part: Reasoning | ToolCall) -> _JSONObject:
    return {"thoughtSignature": part.signature} if part.signature else {}


def _inline(mime_type: str, data: str) -> _JSONObject:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _file(part: Image | Document, mime_type: str, url: str | None) -> _JSONObject:
    """The bytes, or where they are."""
    return _inline(*part.inline) if part.inline else {"fileData": {"mimeType": mime_type, "fileUri": url}}


def _outcome(result: ToolResult) -> _JSONObject:
    """A result as the object that it has to be: JSON as it is, a text under the name that says how it went."""
    if result.error:
        return {"error": result.text}
    value = json_access.parse(result.text)
    return value if isinstance(value, dict) else {"output": result.text}
