"""Parts of messages in Google's words."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from polyglot_core.errors import RequestError
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    RawPart,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    cannot_express,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core.plugin import InferenceRequest, Message

__all__ = ["PartWriter"]

_JSONObject = dict[str, Any]
_Part = Text | Image | Audio | Document | Reasoning | ToolCall | ToolResult | RawPart

_IMAGE_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
}
_RESOLUTIONS = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_OWN_FIELDS = frozenset(
    {
        *("text", "inlineData", "inline_data", "fileData", "file_data", "functionCall", "function_call"),
        *("functionResponse", "function_response", "executableCode", "executable_code"),
        *("codeExecutionResult", "code_execution_result", "toolCall", "tool_call", "toolResponse", "tool_response"),
    }
)
"""What a part of Google's own has at least one of."""


class PartWriter:
    """Writes the parts of one request's messages.

    Args:
        request: The request: its tool calls give their names to the results, which have none of their own.
        base_url: URL of the place, below which it keeps files.
        driver: Name of the driver, for messages.
    """

    def __init__(self, request: InferenceRequest, base_url: str, driver: str) -> None:
        self._request = request
        self._base_url = base_url
        self._driver = driver
        parts = [part for message in request.messages for part in message.parts]
        self._tool_names: dict[str | None, str] = {
            part.id: part.name for part in parts if isinstance(part, ToolCall) and part.id
        }
        self._writers: dict[type, Callable[[Any], _JSONObject | None]] = {
            Text: lambda part: {"text": part.text},
            Image: self._image,
            Audio: lambda part: _inline(part.mime_type, part.data),
            Document: self._document,
            Reasoning: self._reasoning,
            ToolCall: self._tool_call,
            ToolResult: self._tool_result,
            RawPart: self._raw,
        }

    def cannot(self, what: str, instead: str | None = None) -> None:
        """Deal with something that has no words here, as the request wishes.

        Raises:
            RequestError: Unless the request wishes otherwise.
        """
        cannot_express(self._request, what, driver=self._driver, instead=instead)

    def parts(self, message: Message) -> list[_JSONObject]:
        """The parts of a message, of which there is always one.

        Raises:
            RequestError: There are no words for something in it.
        """
        if message.name is not None:
            self.cannot("the name of a speaker")
        if message.extra:
            self.cannot(f"the fields {sorted(message.extra)} of a message", instead="a RawPart")
        written: list[_JSONObject] = []
        for part in message.parts:
            if isinstance(part, Reasoning) and not part.text and part.signature and _can_be_signed(written):
                written[-1]["thoughtSignature"] = part.signature
            elif (made := self._writers[type(part)](part)) is not None:
                written.append(made)
        return written or [{"text": ""}]

    # One method for each kind of part; None is nothing to write

    def _image(self, image: Image) -> _JSONObject:
        mime_type = image.mime_type
        if image.url is not None and mime_type == "image/png":  # which is also what nobody has looked at
            suffix = urlsplit(image.url).path.rpartition(".")[2].lower()
            mime_type = _IMAGE_TYPES.get(suffix, mime_type)
        made = _inline(mime_type, image.data or b"") if image.url is None else _file(mime_type, image.url)
        if image.detail in _RESOLUTIONS:
            made["mediaResolution"] = {"level": _RESOLUTIONS[image.detail]}
        return made

    def _document(self, document: Document) -> _JSONObject:
        """A file; its name is left out, as a prompt has no place for it."""
        if document.data is not None:
            return _inline(document.mime_type, document.data)
        place = document.url or document.file_id or ""
        return _file(document.mime_type, f"{self._base_url}/{place}" if place.startswith("files/") else place)

    def _reasoning(self, thought: Reasoning) -> _JSONObject | None:
        if thought.redacted is not None:
            self.cannot("redacted thinking, which another provider made", instead="the turn without it")
            return None
        signed = {"thoughtSignature": thought.signature} if thought.signature else {}
        return {"text": thought.text, **({"thought": True} if thought.text else {}), **signed}

    def _tool_call(self, call: ToolCall) -> _JSONObject:
        arguments = call.arguments
        if arguments is None:
            raise self._refusal(f"The arguments of the call to {call.name!r} are no JSON object; leave the call out.")
        named = {"id": call.id} if call.id else {}
        signed = {"thoughtSignature": call.signature} if call.signature else {}
        return {"functionCall": {"name": call.name, "args": arguments, **named}, **signed}

    def _tool_result(self, result: ToolResult) -> _JSONObject:
        name = result.name or self._tool_names.get(result.id)
        if not name:
            raise self._refusal(
                f"The result of the call {result.id!r} needs the tool's name, and no call before it has that id; "
                "make the turn with Message.tool_result(call, …) of the call itself, or give the ToolResult a name."
            )
        answer: _JSONObject = {"name": name, "response": _outcome(result)}
        if result.id:
            answer["id"] = result.id
        if not isinstance(result.content, str):
            files = [self._writers[type(part)](part) for part in result.content if not isinstance(part, Text)]
            answer.update({"parts": files} if files else {})
        return {"functionResponse": answer}

    def _raw(self, raw: RawPart) -> _JSONObject | None:
        if "type" in raw.payload or not raw.payload.keys() & _OWN_FIELDS:
            self.cannot(f"a part with the fields {sorted(raw.payload)}", instead="a part of Google's own shape")
            return None
        return dict(raw.payload)

    def _refusal(self, why: str) -> RequestError:
        return RequestError(why, provider=self._driver, phase="encode")


def _can_be_signed(written: list[_JSONObject]) -> bool:
    """Whether the last part is a text that has no signature: one that comes without a text belongs to it."""
    return bool(written) and written[-1].keys() == {"text"}


def _inline(mime_type: str, data: bytes) -> _JSONObject:
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def _file(mime_type: str, url: str) -> _JSONObject:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        own_type = head.removeprefix("data:").removesuffix(";base64")
        return {"inlineData": {"mimeType": own_type or mime_type, "data": data}}
    return {"fileData": {"mimeType": mime_type, "fileUri": url}}


def _outcome(result: ToolResult) -> _JSONObject:
    """A result as the object that it has to be: JSON as it is, a text under the name that says how it went."""
    if result.error:
        return {"error": result.text}
    try:
        value = msgspec.json.decode(result.text)
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"output": result.text}
