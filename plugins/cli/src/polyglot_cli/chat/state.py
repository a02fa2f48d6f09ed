"""A conversation: its turns, its settings, and how they are saved."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyglot_cli.folders import write_private
from polyglot_core import Message, Outcome, RequestError, Text, Usage

if TYPE_CHECKING:
    from polyglot_core import Audio, Document, Image, InferenceResponse

__all__ = ["Chat", "Turn", "outcome_note", "read_chat", "write_chat"]

_VERSION = 1


@dataclass(frozen=True)
class Turn:
    """A user's message and its response.

    Attributes:
        user: The message.
        response: The response as a turn; its `complete` is False if it was interrupted or truncated.
    """

    user: Message
    response: Message


@dataclass
class Chat:
    """A conversation.

    Attributes:
        connection: Name of the connection; None for the default.
        model: Model that is requested instead of the connection's.
        system: The system message.
        options: Options of each call.
        turns: The turns, the oldest first.
        attached: What is sent with the next message.
        pending: The last message, if no response to it was received.
        usage: The sum of the tokens of all calls.
        calls: How many responses were received.
    """

    connection: str | None = None
    model: str | None = None
    system: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    attached: list[Text | Image | Audio | Document] = field(default_factory=list)
    pending: Message | None = None
    usage: Usage = field(default_factory=Usage)
    calls: int = 0

    def message(self, text: str) -> Message:
        """Return a user's message with what is attached, which is used up."""
        parts, self.attached = self.attached, []
        return Message(role="user", content=(*parts, Text(text)) if parts else text)

    def request(self, message: Message) -> list[Message]:
        """Return the messages of a request that ends with `message`."""
        system = [] if self.system is None else [Message(role="system", content=self.system)]
        return [*system, *(each for turn in self.turns for each in (turn.user, turn.response)), message]

    def add(self, message: Message, response: InferenceResponse | None) -> None:
        """Add a turn; without any content in the response, keep the message for a retry."""
        if response is not None:
            self.calls += response.usage is not None
            self.usage += response.usage or Usage()
        turn = None if response is None else response.message
        if turn is None or not turn.parts:
            self.pending = message
            return
        self.pending = None
        self.turns.append(Turn(message, turn))

    def taken_back(self) -> Message | None:
        """Remove the last message and return it, to be sent again; None if there is none."""
        if self.pending is not None:
            message, self.pending = self.pending, None
            return message
        return self.turns.pop().user if self.turns else None

    def clear(self) -> None:
        """Remove all turns, and what is attached."""
        self.turns, self.attached, self.pending = [], [], None


def write_chat(chat: Chat, path: str) -> None:
    """Save a conversation as JSON, readable by its owner alone. The file holds no key: keys are of connections.

    Raises:
        click.ClickException: The file cannot be written. One that exists is then unchanged.
    """
    fields = {
        "polyglot_chat": _VERSION,
        "connection": chat.connection,
        "model": chat.model,
        "system": chat.system,
        "options": chat.options,
        "messages": [each.to_dict() for turn in chat.turns for each in (turn.user, turn.response)],
    }
    write_private(Path(path), json.dumps(fields, ensure_ascii=False, indent=1) + "\n")


def read_chat(path: str) -> Chat:
    """Return a saved conversation, or one from a list of messages in OpenAI's format.

    Raises:
        OSError: The file cannot be read.
        RequestError: It is neither.
    """
    with Path(path).open(encoding="utf-8") as file:
        try:
            saved = json.load(file)
        except ValueError as error:
            raise RequestError(f"{path!r} is no JSON: {error}.", phase="encode") from None
    fields = {"messages": saved} if isinstance(saved, list) else saved
    listed = fields.get("messages") if isinstance(fields, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        msg = f"{path!r} is no conversation: it needs a list of messages, or an object with one as 'messages'."
        raise RequestError(msg, phase="encode")
    messages = [Message.from_dict(each, f"messages[{index}]") for index, each in enumerate(listed)]
    return _restored(fields, messages)


def _restored(fields: dict[str, Any], messages: list[Message]) -> Chat:
    chat = Chat(
        connection=_text(fields, "connection"),
        model=_text(fields, "model"),
        system=_text(fields, "system"),
        options=dict(fields.get("options") or {}),
    )
    if messages and messages[0].role == "system":
        chat.system = messages.pop(0).text
    while messages:
        user = messages.pop(0)
        if user.role != "user" or (messages and messages[0].role != "assistant"):
            msg = f"Turns of a chat are by the user and by the assistant in turn; one is of the role {user.role!r}."
            raise RequestError(msg, phase="encode")
        if messages:
            chat.turns.append(Turn(user, messages.pop(0)))
        else:
            chat.pending = user
    return chat


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def outcome_note(response: InferenceResponse) -> str:
    """Return a note on a response that is kept although it is incomplete; empty for a complete one."""
    if response.outcome is Outcome.FINISHED or not response.message.parts:
        return ""
    return f"[{response.outcome.value.replace('_', ' ')}; the text is kept, /retry replaces it]"
