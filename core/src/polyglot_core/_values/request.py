"""The request, independent of providers.

A conversation consists of messages, a message of parts. Users may write strings, and dicts in OpenAI's format; drivers
receive only the types of this module and of `parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from polyglot_core._values.formats import format_package
from polyglot_core._values.json_values import encode_json, json_problem, restored
from polyglot_core._values.openai_shape import CACHE_MARK, read_cache, read_parts, read_result, read_tool_call
from polyglot_core._values.parts import Audio, Document, Image, Part, RawPart, Text, ToolCall, ToolResult
from polyglot_core._values.secret import Secret
from polyglot_core._values.suggest import nearest
from polyglot_core.errors import RequestError

__all__ = ["InferenceRequest", "JSONSchema", "Message", "Messages", "RawTool", "ResponseFormat", "Tool"]

JSONObject = Mapping[str, Any]
"""A JSON object with values of any type."""


# Messages


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant`` or ``tool``.
        content: A string, or parts.
        name: Name of the speaker, for providers that distinguish several.
        extra: Further fields, which drivers whose messages are flat objects send unchanged.
        provider: Name of the driver whose response this turn is; None for any other turn. That driver sends the turn
            back as it was received, block for block; others leave out what only that provider can read.
        complete: False if the response was interrupted. Blocks that are valid in a whole turn only are then left out.
    """

    role: str
    content: str | Sequence[Part] = ""
    name: str | None = None
    extra: JSONObject = {}
    provider: str | None = None
    complete: bool = True

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return the content as parts; an empty string has none."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return tuple(self.content)

    @property
    def text(self) -> str:
        """Return the text of the text parts."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def to_dict(self) -> dict[str, Any]:
        """Return the message as a dict of JSON values, from which `from_dict` restores it. Bytes are in base64."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made | {"polyglot": 1}

    @classmethod
    def from_dict(cls, turn: JSONObject, where: str = "The message") -> Self:
        """Create a message from the dict of `to_dict`, or from one in OpenAI's format. Other fields go into `extra`.

        A cache mark of the message, ``cache_control``, becomes that of its last part.

        Args:
            turn: The dict.
            where: Its place, for messages, such as ``messages[2]``.

        Raises:
            RequestError: The role is missing, or the content is neither a string nor a list of parts.
        """
        if turn.get("polyglot") == 1:
            return cls._from_own(turn)
        fields = dict(turn)
        role = fields.pop("role", None)
        if len(fields) == 1 and type(role) is str and role != "tool":
            text = fields.get("content")
            if type(text) is str and text:  # as most turns are
                return cls(role=role, content=text)
        if not isinstance(role, str):
            msg = f"{where} requires a role, as in {{'role': 'user', 'content': '…'}}; this one has {_names(turn)}."
            raise RequestError(msg, phase="encode")
        content, calls = fields.pop("content", None), fields.pop("tool_calls", None)
        name, call_id = fields.pop("name", None), fields.pop("tool_call_id", None) if role == "tool" else None
        parts = read_parts(content, f"{where}.content")
        if cache := _markable(parts, calls) and read_cache(fields.get(CACHE_MARK)):
            parts = (*parts[:-1], replace(parts[-1], cache=cache))
            del fields[CACHE_MARK]
        plain = isinstance(content, str) and not calls and role != "tool" and not cache
        if role == "tool":
            given = content if not cache else parts
            parts = (ToolResult(id=call_id, content=read_result(given, parts, f"{where}.content"), name=name),)
        parts += _tool_calls(calls, f"{where}.tool_calls")
        if not parts or (role == "tool" and call_id is None):  # what it lacks may be misspelt
            _refuse([given for given in fields if nearest(str(given), _FIELDS)], where, _FIELDS)
        return cls(role=role, content=content if plain else parts, name=None if role == "tool" else name, extra=fields)

    @classmethod
    def _from_own(cls, turn: JSONObject) -> Self:
        read = restored(turn, cls)
        return read if isinstance(read.content, str) else replace(read, content=tuple(read.content))

    @classmethod
    def tool_result(cls, call: ToolCall | str | None, content: object, *, error: bool = False) -> Self:
        """Return the message with the result of a tool call.

        Args:
            call: The tool call, or its id.
            content: The tool's result: text, or parts (`Text`, `Image`, `Document`, `RawPart`), alone or in a list. Any
                other value is sent as JSON text: a dict, a list, a number, True, False, None, a dataclass or a Struct.
            error: True if the tool failed and `content` describes the failure.

        Raises:
            RequestError: The result, or something in it, is no JSON value.
        """
        id_, name = (call.id, call.name) if isinstance(call, ToolCall) else (call, None)
        return cls(role="tool", content=(ToolResult(id=id_, content=_result(content), error=error, name=name),))


_FIELDS = ("role", "content", "tool_calls", "tool_call_id")
"""Fields of a message in OpenAI's format that it lacks if they are misspelt."""


def _names(fields: JSONObject) -> list[str]:
    return sorted(map(str, fields))


def _markable(parts: Sequence[Part], calls: object) -> bool:
    """Return True if the last part of a message can hold a cache mark."""
    return not calls and bool(parts) and isinstance(parts[-1], (Text, Image, Audio, Document))


def _tool_calls(calls: object, where: str) -> tuple[ToolCall, ...]:
    if calls is None:
        return ()
    if not isinstance(calls, (list, tuple)):
        msg = f"{where} is of type {type(calls).__name__}, and should be a list of tool calls."
        raise RequestError(msg, phase="encode")
    return tuple(read_tool_call(call, f"{where}[{index}]") for index, call in enumerate(calls))


_RESULT_PARTS = (Text, Image, Document, RawPart)


def _result(content: object) -> str | tuple[Text | Image | Document | RawPart, ...]:
    """Return the content of a tool result: text and parts as they are, any other value as JSON text."""
    if isinstance(content, str):
        return content
    if isinstance(content, _RESULT_PARTS):
        return (content,)
    if isinstance(content, (list, tuple)) and content and all(isinstance(part, _RESULT_PARTS) for part in content):
        return tuple(content)
    if problem := _no_part(content) or json_problem(content, "The result of the tool"):
        msg = f"{problem}. A result is text, a list of parts (Text, Image, Document, RawPart), or a JSON value."
        raise RequestError(msg, phase="encode")
    return encode_json(content, "The result of the tool").decode()


def _no_part(content: object) -> str | None:
    """Return a clause on the first part among other values, which is not to become JSON text; None if there is none."""
    items = content if isinstance(content, (list, tuple)) else (content,)
    named = (type(item).__name__ for item in items if isinstance(item, Part))
    return next((f"The result of the tool holds {name} among other values, or cannot hold it" for name in named), None)


Messages = str | Message | JSONObject | Sequence[str | Message | JSONObject]
"""A prompt, or the turns of a conversation: strings, `Message` objects, or dicts in OpenAI's format."""


# Tools and response formats


class Tool(Struct, frozen=True):
    """A function that the model may call.

    Attributes:
        name: Name of the function.
        description: What the function does and when to call it, for the model.
        parameters: JSON Schema of its arguments.
        strict: Whether the provider must enforce the schema; None uses the provider's default.
        cache: If set, the prompt up to this tool is cached by providers that support explicit cache marks: True, or a
            lifetime such as ``1h``.
        extra: Further fields of the provider's tool object, which are sent unchanged.
    """

    name: str
    description: str = ""
    parameters: JSONObject = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    cache: bool | str = False
    extra: JSONObject = {}

    def fields(self, schema: str = "parameters", *, strict: bool = True) -> dict[str, Any]:
        """Return the tool's fields as nearly every dialect has them, without those that are not set.

        `cache` and `extra` are not among them: a driver adds them where its dialect has them, or reports them with
        `cannot_express`.

        Args:
            schema: The dialect's name for `parameters`.
            strict: True if the dialect has a field ``strict``.
        """
        fields = {"name": self.name, "description": self.description or None, schema: self.parameters}
        return _given({**fields, "strict": self.strict if strict else None})

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> Tool:
        """Create a tool from a function: its name, its docstring with those of the arguments, and its annotations.

        Raises:
            RequestError: An argument has no type, or one without a JSON Schema.
            ConfigError: The package that describes functions is not installed.
        """
        return format_package("Tool.from_function()").tool_of(function)

    @classmethod
    def from_dict(cls, tool: JSONObject, where: str = "The tool") -> Self:
        """Create a tool from OpenAI's format: ``{"type": "function", "function": {"name": …}}``, or the inner dict.

        ``cache_control`` becomes `cache`, and the fields beside ``function`` go into `extra`. ``input_schema`` is taken
        for ``parameters``.

        Args:
            tool: The dict.
            where: Its place, for messages, such as ``tools[0]``.

        Raises:
            RequestError: The dict is not in that format.
        """
        nested, known = "function" in tool, cls.__struct_fields__
        function = tool["function"] if nested else tool
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            msg = f"{where} must be a Tool, or a dict with a function that has a name, not {tool!r:.80}."
            raise RequestError(msg, phase="encode")
        beside = {name: value for name, value in tool.items() if name not in {"type", "function"}} if nested else {}
        inside = {name: value for name, value in function.items() if name != "type" or nested}
        schema = inside.pop("input_schema", None)
        fields = {name: inside.pop(name) for name in known if name in inside}
        if nested:
            _refuse(
                inside.keys() - {CACHE_MARK},
                f"{where}.function",
                cls.__struct_fields__,
                "; put a field of the provider beside it",
            )
        else:
            _refuse(
                [name for name in inside if nearest(str(name), cls.__struct_fields__)], where, cls.__struct_fields__
            )
        rest = {**inside, **beside, **(fields.pop("extra", None) or {})}
        if (cache := read_cache(rest.get(CACHE_MARK))) is not None:
            fields["cache"] = cache
            del rest[CACHE_MARK]
        given: dict[str, Any] = {"parameters": schema, **fields, "extra": rest}
        return cls(**{name: value for name, value in given.items() if value is not None})


def _refuse(names: Iterable[str], where: str, known: Sequence[str], instead: str = "") -> None:
    """Raise if there is any name: it is not one of the known fields."""
    for name in names:
        hint = f"; did you mean {close!r}?" if (close := nearest(str(name), known)) else f"{instead}."
        raise RequestError(f"{where} has the fields {', '.join(known)}, and not {name}{hint}", phase="encode")


class RawTool(Struct, frozen=True):
    """A tool in a provider's own format, such as one that the provider runs itself.

    Attributes:
        payload: The provider's object, which is sent unchanged.
    """

    payload: JSONObject

    @property
    def name(self) -> str:
        """Return the name of the tool, which may be in an inner object; its type if it has no name."""
        inner = (each.get("name") for each in self.payload.values() if isinstance(each, Mapping))
        named = self.payload.get("name") or next((name for name in inner if name), None)
        return str(named or self.payload.get("type") or "")


class JSONSchema(Struct, frozen=True):
    """A JSON Schema that the response's text must match.

    Attributes:
        schema: The JSON Schema, which is sent unchanged but for the two annotations below.
        name: Name of the schema, which some providers pass to the model. It becomes the ``title`` of the schema where
            the dialect has no field for it; the default is then left out.
        strict: Whether the provider must enforce the schema; None uses the provider's default.
        description: Purpose of the schema, which some providers pass to the model. It becomes the ``description`` of
            the schema where the dialect has no field for it.
    """

    schema: JSONObject
    name: str = "answer"
    strict: bool | None = None
    description: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return the schema's fields as nearly every dialect has them, without those that are not set."""
        fields = {"name": self.name, "schema": self.schema, "strict": self.strict, "description": self.description}
        return _given(fields)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


ResponseFormat = Literal["text", "json"] | JSONSchema
"""The required format of the response's text: any text, a JSON object, or JSON that matches a schema."""


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """One request to one model, as the driver receives it.

    Attributes:
        model: Name of the model.
        messages: The conversation so far, never empty.
        stream: True if the response is streamed.
        options: Options of the connection, overridden by those of the call.
        tools: Functions that the model may call, and tools in the provider's own format.
        tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
        parallel_tool_calls: Whether the model may make several tool calls in one turn; None uses the provider's
            default.
        response_format: Required format of the response's text.
        unsupported: What happens with an option that the driver cannot express: ``raise``, ``warn`` or ``drop``.
        extra: Further fields of the request body, sent unchanged.
        headers: Headers of this call, with names in lower case. Core adds them; a driver reads them only if it signs
            requests.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    options: JSONObject = {}
    tools: tuple[Tool | RawTool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    unsupported: Literal["raise", "warn", "drop"] = "raise"
    extra: JSONObject = {}
    headers: Mapping[str, str | Secret] = {}

    def with_prefill(self, text: str, **extra: object) -> InferenceRequest:
        """Return this request with `text`, the beginning of the response, as a last turn of the assistant.

        Args:
            text: The beginning of the response.
            extra: Further fields of that turn.
        """
        turn = Message(role="assistant", content=text, extra=extra)
        return replace(self, messages=(*self.messages, turn))
