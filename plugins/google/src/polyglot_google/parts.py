"""Encoding of a conversation as turns of parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from polyglot_core.errors import RequestError
from polyglot_core.plugin import RawPart, Text, TurnWriter, json_access, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyglot_core.plugin import (
        Audio,
        Document,
        Image,
        InferenceRequest,
        Message,
        Part,
        Reasoning,
        ToolCall,
        ToolResult,
    )

__all__ = ["Writer"]

_JSONObject = dict[str, Any]

_IMAGE_TYPES = {"jpg": "image/jpeg"} | {name: f"image/{name}" for name in ("jpeg", "webp", "gif", "heic", "heif")}
_NAMES_FILES = "vertex"
_RESOLUTION = "media_resolution_"
_RESOLUTIONS = ("low", "medium", "high", "ultra_high")
_PAIRS = {"executableCode": "codeExecutionResult", "toolCall": "toolResponse"}
"""Uses of Google's tools, and the part with the result, which must follow in a turn that is sent back."""
_OWN_FIELDS = frozenset(
    {
        *("text", "inlinedata", "filedata", "functioncall", "functionresponse", "executablecode"),
        *("codeexecutionresult", "toolcall", "toolresponse"),
    }
)
"""Fields of raw parts, in lower case without underscores, as ``inlineData`` and ``inline_data`` are equal."""


class Writer(TurnWriter):
    """Writes one conversation as turns of parts. Results name their tool, and tool calls need no id.

    Args:
        request: The request.
        base_url: URL of the endpoint, below which it keeps files.
        driver: Name of the driver, for error messages.
    """

    roles: ClassVar[Mapping[str, str]] = {**TurnWriter.roles, "assistant": "model"}
    longest_tool_name: ClassVar[int] = 128
    tool_name: ClassVar[str] = "[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"
    sends_extra: ClassVar[bool] = True
    instead_of_cache_marks: ClassVar[str | None] = "extra={'cachedContent': …}"
    content: ClassVar[str] = "parts"
    id_format: ClassVar[str | None] = None
    tool_names: ClassVar[bool] = True
    dialect: ClassVar[frozenset[str]] = frozenset({"gemini", "vertex"})

    def __init__(self, request: InferenceRequest, base_url: str, driver: str) -> None:
        super().__init__(request, driver)
        self._base_url = base_url
        self._received = False  # the turn that is being written is a response of this dialect

    def goes_on(self, before: Message, message: Message) -> bool:
        """Return True for the results of one turn's tool calls, which must be in one turn; others are kept apart."""
        return before.role == message.role == "tool"

    def blocks(self, message: Message) -> list[_JSONObject]:
        """Return the parts of a message, at least one. Those of a response are the ones that were received.

        An interrupted response, and one of another provider, may have none. In any other turn a signature
        without text belongs to the text before it.
        """
        self._received = message.provider is not None and self.is_own(message)
        if self._received:
            parts = message.parts if message.complete else _without_unanswered(message.parts)
            return self.write(parts) or ([{"text": ""}] if message.complete else [])
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
        return made or ([] if message.provider else [{"text": ""}])

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        """Write text."""
        yield merged({"text": part.text}, part.extra)

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        """Write an image; the media type may follow from the suffix of its URL."""
        suffix = urlsplit(part.url or "").path.rpartition(".")[2].lower()
        # image/png is the default, so the user may not have set it
        guessed = _IMAGE_TYPES.get(suffix) if part.mime_type == "image/png" else None
        written = {**_file(part, guessed or part.mime_type, part.url), **self._resolution(part.detail)}
        yield merged(written, part.extra)

    def _resolution(self, detail: str | None) -> _JSONObject:
        """Return the resolution for the detail of an image; empty for Google's default."""
        if detail in {None, "auto"}:
            return {}
        level = str(detail).lower().removeprefix(_RESOLUTION)
        if level not in _RESOLUTIONS:
            self.cannot(f"detail={detail!r} of an image", instead=f"{', '.join(_RESOLUTIONS)} or auto")
            return {}
        return {"mediaResolution": {"level": (_RESOLUTION + level).upper()}}

    def write_audio(self, part: Audio) -> Iterator[_JSONObject]:
        """Write audio."""
        yield merged(_inline(part.mime_type, part.base64), part.extra)

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        """Write a file. Only Vertex AI has a field for its name."""
        path = part.url or part.file_id or ""
        url = f"{self._base_url}/{path}" if path.startswith("files/") else path
        written = _file(part, part.mime_type, url)
        if part.name and self.driver == _NAMES_FILES:
            written = {kind: {**file, "displayName": part.name} for kind, file in written.items()}
        elif part.name:
            self.cannot("the name of a document", instead="a text with the name before it")
        yield merged(written, part.extra)

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        """Write thinking, or a signature that was received after it."""
        if part.redacted is not None:
            self.cannot("redacted thinking, which is from another provider", instead="the turn without it")
        else:
            signed = _signed(part)
            bare = {"text": ""} if signed and not self._received else {}
            text = {"text": part.text, "thought": True} if part.text else bare
            if written := merged({**text, **signed}, part.extra):
                yield written

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        """Write a tool call."""
        text = "" if self._received and not part.arguments_raw else self.arguments_text(part)
        call = {"name": part.name, "args": msgspec.Raw(text.encode()), "id": part.id}
        given = {name: value for name, value in call.items() if value or (name == "args" and text)}
        yield merged({"functionCall": given, **_signed(part)}, part.extra)

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        """Write a tool result with its files."""
        if not part.name:
            raise RequestError(
                f"The result of the tool call {part.id!r} needs the tool's name, and no tool call has that id. "
                "Make the turn with Message.tool_result(call, …), or set the name of the ToolResult.",
                provider=self.driver,
                phase="encode",
            )
        files = self.write(inner for inner in part.parts if not isinstance(inner, Text))
        for text in part.parts:
            if isinstance(text, Text):
                for name in text.extra:
                    self.cannot(f"the field {name!r} of a text in the result of a tool")
        body = {"name": part.name, "response": _outcome(part), "id": part.id, "parts": files}
        yield {"functionResponse": {name: value for name, value in body.items() if value or name == "response"}}

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        """Write a part in the API's own shape. In a response that was received, it may have any fields."""
        fields = {str(name).replace("_", "").lower() for name in part.payload}
        if not self._received and ("type" in fields or not fields & _OWN_FIELDS):
            self.cannot(f"a part with the fields {sorted(part.payload)}", instead="a part of Google's own shape")
        else:
            yield dict(part.payload)


def _without_unanswered(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of an interrupted turn without the uses of Google's tools that have no result."""
    kept: list[Part] = []
    results: set[str] = set()  # result parts that follow
    for part in reversed(parts):
        fields = part.payload.keys() if isinstance(part, RawPart) else frozenset()
        results |= fields & set(_PAIRS.values())
        if uses := fields & _PAIRS.keys():
            wanted = {_PAIRS[use] for use in uses}
            if not wanted <= results:
                continue
            results -= wanted
        kept.append(part)
    return kept[::-1]


def _signed(part: Reasoning | ToolCall) -> _JSONObject:
    return {"thoughtSignature": part.signature} if part.signature else {}


def _inline(mime_type: str, data: str) -> _JSONObject:
    return {"inlineData": {"mimeType": mime_type, "data": data}}


def _file(part: Image | Document, mime_type: str, url: str | None) -> _JSONObject:
    """Return the inline bytes of a file, or its URI."""
    return _inline(*part.inline) if part.inline else {"fileData": {"mimeType": mime_type, "fileUri": url}}


def _outcome(result: ToolResult) -> _JSONObject:
    """Return a result as the object that the API requires: JSON as it is, text as ``output`` or ``error``."""
    if result.error:
        return {"error": result.text}
    value = json_access.parse(result.text)
    return value if isinstance(value, dict) else {"output": result.text}
