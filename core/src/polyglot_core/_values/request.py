"""What a user asks for, in terms that no provider owns.

A conversation is messages, a message is parts. Users may write texts and dicts in OpenAI's shape; drivers see only
values of this module and of `parts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from polyglot_core._values.openai_shape import read_parts, read_result, read_tool_call
from polyglot_core._values.parts import Document, Image, Part, Text, ToolCall, ToolResult
from polyglot_core.errors import RequestError

__all__ = ["InferenceRequest", "JSONSchema", "Message", "Messages", "ResponseFormat", "Tool"]

JSONObject = Mapping[str, Any]
"""A JSON object whose values are the provider's business."""


# Messages


class Message(Struct, frozen=True, kw_only=True):
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant`` or ``tool``.
        content: Text, or parts.
        name: Name of the speaker, where a provider distinguishes several.
        extra: Further fields, sent as they are by drivers whose messages are flat objects.
    """

    role: str
    content: str | Sequence[Part] = ""
    name: str | None = None
    extra: JSONObject = {}

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts; no text is no part."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return tuple(self.content)

    @property
    def text(self) -> str:
        """The visible text; other parts are left out."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def to_dict(self) -> dict[str, Any]:
        """The message as JSON can hold it, whole: `from_dict` reads it again. Bytes are base64."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made | {"polyglot": 1}

    @classmethod
    def from_dict(cls, turn: JSONObject) -> Self:
        """Read what `to_dict` made, or a message in OpenAI's shape; fields that it does not name are kept in `extra`.

        Raises:
            RequestError: There is no role, or the content is neither text nor parts.
        """
        if turn.get("polyglot") == 1:
            return cls._from_own(turn)
        fields = dict(turn)
        role = fields.pop("role", None)
        if not isinstance(role, str):
            msg = f"A message needs a role, as in {{'role': 'user', 'content': '…'}}; this one has {sorted(turn)}."
            raise RequestError(msg, phase="encode")
        content, calls = fields.pop("content", None), fields.pop("tool_calls", None)
        name, call_id = fields.pop("name", None), fields.pop("tool_call_id", None)
        parts = read_parts(content)
        if role == "tool":
            parts = (ToolResult(id=call_id, content=read_result(content, parts), name=name),)
        parts += tuple(read_tool_call(call) for call in calls or ())
        plain = isinstance(content, str) and not calls and role != "tool"
        return cls(role=role, content=content if plain else parts, name=None if role == "tool" else name, extra=fields)

    @classmethod
    def _from_own(cls, turn: JSONObject) -> Self:
        try:
            read = msgspec.convert(turn, cls)
            return read if isinstance(read.content, str) else replace(read, content=tuple(read.content))
        except msgspec.ValidationError as error:
            raise RequestError(f"A message that to_dict made cannot be read again: {error}.", phase="encode") from error

    @classmethod
    def tool_result(
        cls, call: ToolCall | str | None, content: str | Sequence[Text | Image | Document], *, error: bool = False
    ) -> Self:
        """The turn that answers a tool call.

        Args:
            call: The call, or its id.
            content: What the tool gave back.
            error: Whether the tool failed and `content` says how.
        """
        id_, name = (call.id, call.name) if isinstance(call, ToolCall) else (call, None)
        given = content if isinstance(content, str) else tuple(content)
        return cls(role="tool", content=(ToolResult(id=id_, content=given, error=error, name=name),))


Messages = str | Message | JSONObject | Sequence[str | Message | JSONObject]
"""A prompt, or the turns of a conversation: texts, `Message` objects, or dicts in OpenAI's shape."""


# What else can be asked


class Tool(Struct, frozen=True):
    """A function that the model may call.

    Attributes:
        name: Name of the function.
        description: When and why to call it, for the model to read.
        parameters: JSON Schema of its arguments.
        strict: Whether the provider is to see to it that the arguments keep to the schema; None leaves it open.
    """

    name: str
    description: str = ""
    parameters: JSONObject = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None

    def fields(self, schema: str = "parameters", *, strict: bool = True) -> dict[str, Any]:
        """The fields that say it, as nearly every dialect has them: what is not given is left out.

        Args:
            schema: The dialect's name for the parameters.
            strict: Whether the dialect has a field for that.
        """
        fields = {"name": self.name, "description": self.description or None, schema: self.parameters}
        return _given({**fields, "strict": self.strict if strict else None})

    @classmethod
    def from_dict(cls, tool: JSONObject) -> Self:
        """Read a tool in OpenAI's shape: ``{"type": "function", "function": {"name": …}}``, or the inner dict alone.

        Raises:
            RequestError: It is not in that shape.
        """
        function = tool.get("function", tool)
        known = {"type"} if function is tool else set()
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            msg = f"A tool is a Tool, or a dict with a function that has a name, not {tool!r:.80}."
            raise RequestError(msg, phase="encode")
        if unknown := set(function) - known - set(cls.__struct_fields__):
            msg = f"A tool has {', '.join(cls.__struct_fields__)}, and not {', '.join(sorted(unknown))}."
            raise RequestError(msg, phase="encode")
        return cls(**{field: function[field] for field in cls.__struct_fields__ if function.get(field) is not None})


class JSONSchema(Struct, frozen=True):
    """A shape that the answer's text must have.

    Attributes:
        schema: JSON Schema, raw.
        name: Name of the shape, which some providers show the model.
        strict: Whether the provider is to see to it that the text keeps to the schema; None leaves it open.
        description: What the shape is for, where a provider shows that to the model.
    """

    schema: JSONObject
    name: str = "answer"
    strict: bool | None = None
    description: str | None = None

    def fields(self) -> dict[str, Any]:
        """The fields that say it, as nearly every dialect has them: what is not given is left out."""
        fields = {"name": self.name, "schema": self.schema, "strict": self.strict, "description": self.description}
        return _given(fields)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


ResponseFormat = Literal["text", "json"] | JSONSchema
"""What the answer's text must be: any text, a JSON object, or JSON of a shape."""


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """One question to one model, as the driver gets it.

    Attributes:
        model: Model to ask.
        messages: The conversation so far, never empty.
        stream: Whether the answer is to come in pieces.
        options: Options of the connection and of the call, laid over each other, under the names of `options.NAMES`.
        tools: Functions that the model may call.
        tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
        parallel_tool_calls: Whether the model may call several tools in one turn; None leaves it to the provider.
        response_format: What the answer's text must be.
        unsupported: What to do about an option that the driver cannot express.
        extra: Fields for the body, sent as they are.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    options: JSONObject = {}
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    unsupported: Literal["raise", "warn", "drop"] = "raise"
    extra: JSONObject = {}

    def with_prefill(self, text: str, **extra: object) -> InferenceRequest:
        """The same request with the beginning of its answer as a last turn of the assistant; `extra` is the turn's."""
        turn = Message(role="assistant", content=text, extra=extra)
        return replace(self, messages=(*self.messages, turn))
