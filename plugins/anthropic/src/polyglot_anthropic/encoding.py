"""What is asked: a conversation as turns of the user and of the assistant, made of blocks.

The dialect knows two roles. System and developer turns become the one ``system`` prompt, results of tools belong to the
user's turn, and turns of one role that follow each other are one turn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    JSONSchema,
    RawPart,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    cannot_express,
    translate_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyglot_anthropic.columns import Columns
    from polyglot_core.plugin import Connection, InferenceRequest, Message, Tool

__all__ = ["body_of"]

_JSONObject = dict[str, Any]

_OPTIONS = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
    "reasoning_effort": "output_config.effort",
    "reasoning_budget": "thinking",
    "service_tier": "service_tier",
    "user": "metadata.user_id",
}

_TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}

_CACHE = {"type": "ephemeral"}
_SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = {"user": "user", "tool": "user", "assistant": "assistant"}

_OWN_BLOCKS = frozenset(
    {
        *("text", "image", "document", "search_result", "container_upload", "compaction"),
        *("thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"),
    }
)
"""Types of blocks that are passed on as they are, besides those that end in ``tool_result``."""

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")  # what an id may not hold here; ids of other providers do


def body_of(connection: Connection, request: InferenceRequest, columns: Columns) -> _JSONObject:
    """The body without model and version, which stand elsewhere in some places.

    Raises:
        RequestError: The dialect has no words for something that was asked.
    """
    driver = connection.driver
    system, turns = _Writer(request, columns, driver).conversation()
    body: _JSONObject = {"messages": turns, **_options(request, columns, driver)}
    if system:
        body["system"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if (choice := _tool_choice(request)) is not None:
        body["tool_choice"] = choice
    if request.response_format == "json":
        cannot_express(request, "response_format 'json'", driver=driver, instead="a JSON Schema")
    elif isinstance(request.response_format, JSONSchema):
        schema = {"type": "json_schema", "schema": request.response_format.schema}
        body["output_config"] = {**body.get("output_config", {}), "format": schema}
    if request.stream:
        body["stream"] = True
    return body


# Options and tools


def _options(request: InferenceRequest, columns: Columns, driver: str) -> _JSONObject:
    body = translate_options(replace(request, options=_plain_options(request, driver)), _OPTIONS, driver=driver)
    if isinstance(stop := body.get("stop_sequences"), str):
        body["stop_sequences"] = [stop]
    usual = columns.max_tokens
    if (budget := body.pop("thinking", None)) is not None:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}
        usual += budget if isinstance(budget, int) else 0  # thinking counts towards the limit
    return {"max_tokens": usual, **body}


def _plain_options(request: InferenceRequest, driver: str) -> _JSONObject:
    """The options, with what the dialect has only half a name for taken out or renamed."""
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


def _tool(tool: Tool) -> _JSONObject:
    body: _JSONObject = {"name": tool.name, "input_schema": tool.parameters}
    if tool.description:
        body["description"] = tool.description
    if tool.strict is not None:
        body["strict"] = tool.strict
    return body


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


class _Writer:
    """Writes one conversation.

    The dialect joins results to calls by id. Calls without one are numbered, and a result without one answers the
    oldest of them that has no result yet, by its tool's name if it has that.
    """

    def __init__(self, request: InferenceRequest, columns: Columns, driver: str) -> None:
        self._request = request
        self._driver = driver
        self._takes_unsigned = columns.unsigned_thinking
        self._calls = 0
        self._unanswered: list[tuple[str, str]] = []

    def conversation(self) -> tuple[list[_JSONObject], list[_JSONObject]]:
        """The blocks of the system prompt, and the turns. A turn without content is left out: the API takes none."""
        system: list[_JSONObject] = []
        turns: list[_JSONObject] = []
        for message in self._request.messages:
            role = self._role(message)
            blocks = list(self._blocks(message.parts))
            if message.role in _SYSTEM_ROLES:
                system += self._only_text(blocks)
            elif not blocks or role is None:
                continue
            elif turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            else:
                turns.append({"role": role, "content": blocks})
        return system, turns

    def _role(self, message: Message) -> str | None:
        """The role in the dialect's words; what else a turn may say of itself has none."""
        role = _ROLES.get(message.role)
        if role is None and message.role not in _SYSTEM_ROLES:
            self._cannot(f"the role {message.role!r}")
        if message.name:
            self._cannot("the name of a speaker")
        if fields := sorted(name for name, value in message.extra.items() if value):
            self._cannot(f"the field {fields[0]!r} of a message")
        return role

    def _blocks(self, parts: Sequence[object]) -> Iterator[_JSONObject]:
        for part in parts:
            yield from _WRITERS[type(part)](self, part)

    def _only_text(self, blocks: list[_JSONObject]) -> Iterator[_JSONObject]:
        for block in blocks:
            if block.get("type") == "text":
                yield block
            else:
                self._cannot(f"a part of type {block.get('type')!r} in a system turn")

    def _cannot(self, what: str, instead: str | None = None) -> None:
        cannot_express(self._request, what, driver=self._driver, instead=instead)

    # Writers: one a kind of part

    def write_text(self, part: Text) -> Iterator[_JSONObject]:
        if part.text:  # the API takes no empty text
            mark = {"cache_control": _CACHE} if part.cache else {}
            yield {"type": "text", "text": part.text, **mark}

    def write_image(self, part: Image) -> Iterator[_JSONObject]:
        yield {"type": "image", "source": _source(part)}

    def write_document(self, part: Document) -> Iterator[_JSONObject]:
        title = {"title": part.name} if part.name else {}
        if part.file_id is not None:
            yield {"type": "document", "source": {"type": "file", "file_id": part.file_id}, **title}
        elif part.data is not None and part.mime_type == "text/plain":
            text = part.data.decode("utf-8", "replace")
            yield {"type": "document", "source": {"type": "text", "media_type": part.mime_type, "data": text}, **title}
        elif part.url is None and part.mime_type != "application/pdf":
            self._cannot(f"a document of type {part.mime_type}", instead="text/plain or application/pdf")
        else:
            yield {"type": "document", "source": _source(part), **title}

    def write_audio(self, _part: Audio) -> Iterator[_JSONObject]:
        self._cannot("audio")
        yield from ()

    def write_reasoning(self, part: Reasoning) -> Iterator[_JSONObject]:
        if part.redacted is not None:
            yield {"type": "redacted_thinking", "data": part.redacted}
        elif part.signature is not None:
            yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
        elif self._takes_unsigned:
            yield {"type": "thinking", "thinking": part.text}
        # Without a signature it is what another provider's model thought, and the API takes back only its own.

    def write_tool_call(self, part: ToolCall) -> Iterator[_JSONObject]:
        self._calls += 1
        id_ = _NO_ID.sub("_", part.id or f"call_{self._calls}")
        if not part.id:
            self._unanswered.append((part.name, id_))
        if part.arguments is None:
            self._cannot(f"a call of {part.name!r} whose arguments are no JSON object")
        yield {"type": "tool_use", "id": id_, "name": part.name, "input": part.arguments or {}}

    def write_tool_result(self, part: ToolResult) -> Iterator[_JSONObject]:
        block: _JSONObject = {"type": "tool_result", "tool_use_id": self._answered(part)}
        if isinstance(part.content, str):
            block["content"] = part.content
        else:
            inner = list(self._blocks(part.content))
            # Blocks inside of a result cannot be marked; the mark belongs to the result.
            if any(nested.pop("cache_control", None) for nested in inner):
                block["cache_control"] = _CACHE
            block["content"] = inner
        if part.error:
            block["is_error"] = True
        yield block

    def _answered(self, part: ToolResult) -> str:
        """The id of the call that a result answers."""
        if part.id:
            return _NO_ID.sub("_", part.id)
        waiting = [call for call in self._unanswered if part.name in {None, call[0]}]
        if not waiting:
            return f"call_{max(self._calls, 1)}"
        self._unanswered.remove(waiting[0])
        return waiting[0][1]

    def write_raw(self, part: RawPart) -> Iterator[_JSONObject]:
        kind = str(part.payload.get("type"))
        if kind in _OWN_BLOCKS or kind.endswith("tool_result"):
            yield dict(part.payload)
        else:
            self._cannot(f"a part of type {kind!r}")


_WRITERS: Mapping[type, Callable[[_Writer, Any], Iterator[_JSONObject]]] = {
    Text: _Writer.write_text,
    Image: _Writer.write_image,
    Audio: _Writer.write_audio,
    Document: _Writer.write_document,
    Reasoning: _Writer.write_reasoning,
    ToolCall: _Writer.write_tool_call,
    ToolResult: _Writer.write_tool_result,
    RawPart: _Writer.write_raw,
}


def _source(part: Image | Document) -> _JSONObject:
    """Where the bytes are: at a URL, or here."""
    if not part.data_url.startswith("data:"):
        return {"type": "url", "url": part.data_url}
    head, _, data = part.data_url.removeprefix("data:").partition(",")
    return {"type": "base64", "media_type": head.removesuffix(";base64"), "data": data}
