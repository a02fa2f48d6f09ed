"""Encoding of the request: a conversation as turns of the user and of the assistant, made of blocks.

The dialect has two roles. System and developer turns become the one ``system`` prompt, tool results belong to the
user's turn, and consecutive turns of one role are one turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import (
    JSONSchema,
    RawPart,
    RawTool,
    ToolCall,
    TurnWriter,
    annotated_schema,
    cannot_express,
    json_access,
    translate_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_anthropic.facts import Facts
    from polyglot_core.plugin import (
        Connection,
        Document,
        Image,
        InferenceRequest,
        Message,
        Part,
        Reasoning,
        Text,
        Tool,
        ToolResult,
    )

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences[]",
    "reasoning_effort": "output_config.effort",
    "reasoning_budget": "thinking",
    "service_tier": "service_tier",
    "user": "metadata.user_id",
}

_TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}

_FOREIGN = re.compile(
    r"(input|output)_.*|.*_url|.*_call(_output)?|file|message|reasoning|reference|refusal|item_reference|None"
)
"""Types of parts that other dialects have. Any other type is sent, for the API to judge, which adds types often."""

_INVALID_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")  # characters that an id may not contain here; other providers' ids do


def body_of(connection: Connection, request: InferenceRequest, facts: Facts) -> _JSONObject:
    """Return the body without model and version, which some endpoints expect elsewhere.

    Raises:
        RequestError: The request uses a feature that the dialect does not have.
    """
    driver = connection.driver
    system, turns = _Writer(request, facts, driver).conversation()
    body: _JSONObject = {"messages": turns, **_options(request, facts, driver)}
    if system:
        body["system"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if (choice := _tool_choice(request)) is not None:
        body["tool_choice"] = choice
    if request.response_format == "json":
        cannot_express(request, "response_format 'json'", driver=driver, instead="a JSON Schema")
    elif isinstance(request.response_format, JSONSchema):
        schema = {"type": "json_schema", "schema": annotated_schema(request, request.response_format, driver=driver)}
        body["output_config"] = {**body.get("output_config", {}), "format": schema}
    if request.stream:
        body["stream"] = True
    return body


# Options and tools


def _options(request: InferenceRequest, facts: Facts, driver: str) -> _JSONObject:
    body = translate_options(replace(request, options=_plain_options(request, driver)), _OPTIONS, driver=driver)
    limit = facts.max_tokens
    if (budget := body.pop("thinking", None)) is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}
        limit += budget if isinstance(budget, int) else 0  # thinking counts towards the limit
    return {"max_tokens": limit, **body}


def _plain_options(request: InferenceRequest, driver: str) -> _JSONObject:
    """Return the options without those that the dialect supports only in part, or under another name."""
    options = dict(request.options)
    metadata = options.pop("metadata", None) or {}
    metadata = dict(metadata) if isinstance(metadata, Mapping) else {repr(metadata): None}
    if (user := metadata.pop("user_id", None)) is not None:
        options["user"] = user
    if metadata:
        what = f"option 'metadata' with {', '.join(sorted(metadata))}"
        cannot_express(request, what, driver=driver, instead="user_id, the only name that metadata has")
    if options.get("reasoning_effort") == "minimal":
        cannot_express(request, "reasoning_effort 'minimal'", driver=driver, instead="'low'")
        del options["reasoning_effort"]
    return options


def _tool(tool: Tool | RawTool) -> _JSONObject:
    if isinstance(tool, RawTool):
        return dict(tool.payload)
    return {**tool.fields("input_schema"), **_cache_mark(tool.cache), **tool.extra}


def _cache_mark(cache: bool | str) -> _JSONObject:  # noqa: FBT001 (as the parts have it)
    """Return the field that marks the end of a prompt to cache, with its lifetime if it is specified."""
    if not cache:
        return {}
    return {"cache_control": {"type": "ephemeral"} if cache is True else {"type": "ephemeral", "ttl": cache}}


def _tool_choice(request: InferenceRequest) -> _JSONObject | None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None and (parallel is None or not request.tools):
        return None
    kind = _TOOL_CHOICES.get(choice or "auto")
    body: _JSONObject = {"type": "tool", "name": choice} if kind is None else {"type": kind}
    if parallel is not None and kind != "none":
        body["disable_parallel_tool_use"] = not parallel
    return body


# The conversation


class _Writer(TurnWriter):
    """Writes one conversation as turns of blocks. A turn of this API is written as it was received, block for block."""

    tool_name = "[a-zA-Z0-9_-]{1,128}"
    longest_tool_name = 128
    sends_extra = True
    cache_marks = True
    files_in_responses = False

    def __init__(self, request: InferenceRequest, facts: Facts, driver: str) -> None:
        super().__init__(request, driver)
        self._accepts_unsigned = facts.unsigned_thinking
        self._received = False  # whether the turn that is being written was received in this dialect
        self._whole = False  # and received to its end
        self._results = frozenset(
            part.payload.get("tool_use_id")
            for message in self.given
            for part in message.parts
            if isinstance(part, RawPart)
        )

    def normalize_id(self, call_id: str) -> str:
        return _INVALID_IN_IDS.sub("_", call_id)

    def blocks(self, message: Message) -> list[_JSONObject]:
        self._received = message.provider is not None and self.is_own(message)
        self._whole = self._received and message.complete
        return super().blocks(self.whole(message, self._is_cut_off))

    def _is_cut_off(self, part: Part) -> bool:
        """Return True for a call of one of the API's own tools without its result."""
        if not isinstance(part, RawPart) or not str(part.payload.get("type")).endswith("tool_use"):
            return False
        return part.payload.get("id") not in self._results

    def in_system(self, block: _JSONObject) -> bool:
        if (kind := block.get("type")) != "text":
            self.cannot(f"a part of type {kind!r} in a system turn")
        return kind == "text"

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        if part.text:  # the API rejects an empty text
            yield {"type": "text", "text": part.text, **_cache_mark(part.cache), **part.extra}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        if part.detail not in {None, "auto"}:
            self.cannot("detail of an image")
        yield {"type": "image", "source": _source(part), **_cache_mark(part.cache), **part.extra}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        source = _source(part)
        if part.file_id is not None:
            source = {"type": "file", "file_id": part.file_id}
        elif part.data is not None and part.mime_type.startswith("text/"):  # the API has one type for all text
            text = part.data.decode("utf-8", "replace")
            source = {"type": "text", "media_type": "text/plain", "data": text}
        elif part.url is None and part.mime_type != "application/pdf":
            self.cannot(f"a document of type {part.mime_type}", instead="text or application/pdf")
            return
        title = {"title": part.name} if part.name else {}
        yield {"type": "document", "source": source, **title, **_cache_mark(part.cache), **part.extra}

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        if part.redacted is not None:
            yield {"type": "redacted_thinking", "data": part.redacted, **part.extra}
        elif part.signature is not None:
            yield {"type": "thinking", "thinking": part.text, "signature": part.signature, **part.extra}
        elif self._accepts_unsigned or self._whole:
            yield {"type": "thinking", "thinking": part.text, **part.extra}
        # Other thinking without a signature is from another provider's model, or was cut off; the API rejects it.

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        yield {"type": "tool_use", "id": part.id, "name": part.name, "input": self.arguments(part), **part.extra}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        block: _JSONObject = {"type": "tool_result", "tool_use_id": part.id, "content": part.content}
        if not isinstance(part.content, str):
            inner = block["content"] = self.write(part.content)
            # Blocks inside of a result cannot be marked; the marker belongs to the result.
            marks = [mark for nested in inner if (mark := nested.pop("cache_control", None))]
            if marks:
                block["cache_control"] = max(marks, key=_lifetime)
        if part.error:
            block["is_error"] = True
        yield block

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        kind = str(part.payload.get("type"))
        if not self._received and _FOREIGN.fullmatch(kind):
            self.cannot(f"a part of type {kind!r}")
        elif kind.endswith("tool_use") and isinstance(given := part.payload.get("input"), str):
            yield {**part.payload, "input": self.arguments(ToolCall(name="", arguments_raw=given))}  # an object, always
        else:
            yield dict(part.payload)


def _lifetime(mark: object) -> bool:
    """Return the order of lifetimes: an hour is longer than five minutes, the default."""
    return bool(json_access.get(mark, "ttl") == "1h")


def _source(part: Image | Document) -> _JSONObject:
    """Return the source of the bytes: inline, or a URL."""
    if part.inline is None:
        return {"type": "url", "url": part.url}
    media_type, data = part.inline
    return {"type": "base64", "media_type": media_type, "data": data}
