"""What a user asks for, in terms that no provider owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from msgspec import UNSET, Struct, UnsetType, field

from polyglot_core.errors import RequestError

__all__ = ["InferenceRequest", "Message", "Messages", "Tool", "as_messages"]

JSONObject = Mapping[str, Any]
"""A JSON object whose values are the provider's business."""


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``developer``, ``user``, ``assistant`` or ``tool``.
        content: Text, a sequence of parts in OpenAI's shape, or None for an assistant turn that only calls tools.
        name: Name of the speaker, where a provider distinguishes several.
        tool_calls: Calls that an assistant turn made, in OpenAI's shape.
        tool_call_id: On a ``tool`` turn, the call that it answers.
        extra: Further fields, sent as they are.
    """

    role: str
    content: str | Sequence[JSONObject] | UnsetType | None = UNSET
    name: str | None = None
    tool_calls: Sequence[JSONObject] | None = None
    tool_call_id: str | None = None
    extra: JSONObject = {}

    @classmethod
    def from_dict(cls, turn: JSONObject) -> Self:
        """Read a message in OpenAI's shape; fields that it does not name are kept in `extra`.

        Raises:
            RequestError: There is no role.
        """
        fields = dict(turn)
        role = fields.pop("role", None)
        if not isinstance(role, str):
            msg = f"A message needs a role, as in {{'role': 'user', 'content': '…'}}; this one has {sorted(turn)}."
            raise RequestError(msg, phase="encode")
        known = {name: fields.pop(name) for name in ("content", "name", "tool_calls", "tool_call_id") if name in fields}
        return cls(role=role, extra=fields, **known)

    def to_dict(self) -> dict[str, Any]:
        """The message in OpenAI's shape, with only the fields that were given."""
        fields: dict[str, Any] = {"role": self.role}
        if self.content is not UNSET:
            fields["content"] = self.content
        for name in ("name", "tool_calls", "tool_call_id"):
            if (value := getattr(self, name)) is not None:
                fields[name] = value
        return fields | dict(self.extra)


Messages = str | Sequence[str | Message | JSONObject]
"""A prompt, or the turns of a conversation: texts, `Message` objects, or dicts in OpenAI's shape."""


def as_messages(messages: Messages) -> tuple[Message, ...]:
    """Turn what a user gave into `Message` objects; a text is a user's turn.

    Raises:
        RequestError: There are no messages, or one is neither text, `Message` nor a mapping with a role.
    """
    turns = [messages] if isinstance(messages, (str, Message, Mapping)) else list(messages)
    if not turns:
        msg = "There are no messages to answer; give a text or at least one message."
        raise RequestError(msg, phase="encode")
    return tuple(_as_message(turn) for turn in turns)


def _as_message(turn: object) -> Message:
    if isinstance(turn, Message):
        return turn
    if isinstance(turn, str):
        return Message(role="user", content=turn)
    if isinstance(turn, Mapping):
        return Message.from_dict(turn)
    msg = f"A message is a text, a Message or a dict with role and content, not {type(turn).__name__}."
    raise RequestError(msg, phase="encode")


class Tool(Struct, frozen=True):
    """A function that the model may call.

    Attributes:
        name: Name of the function.
        description: When and why to call it, for the model to read.
        parameters: JSON Schema of its arguments.
    """

    name: str
    description: str = ""
    parameters: JSONObject = field(default_factory=lambda: {"type": "object", "properties": {}})


class InferenceRequest(Struct, frozen=True, kw_only=True):
    """One question to one model, as the driver gets it.

    Attributes:
        model: Model to ask.
        messages: The conversation so far, never empty.
        stream: Whether the answer is to come in pieces.
        options: Options of the connection and of the call, laid over each other; ``stream`` is not among them.
        tools: Functions that the model may call.
        tool_choice: ``auto``, ``required``, ``none``, or the name of a tool.
        response_format: What the text must be, in OpenAI's shape.
        extra: Fields for the body, sent as they are.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    options: JSONObject = {}
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    response_format: JSONObject | None = None
    extra: JSONObject = {}
