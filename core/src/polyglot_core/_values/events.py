"""The events of a response. `decode_chunk` returns these and no others.

Content events have the index of their `choice` and of their `block` in it, both 0 in a dialect that has only one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct

__all__ = [
    "Citation",
    "Details",
    "End",
    "Event",
    "Failure",
    "Finish",
    "Logprobs",
    "MediaDelta",
    "Note",
    "Ping",
    "ReasoningDelta",
    "RefusalDelta",
    "ResponseStarted",
    "Seam",
    "ServerToolEvent",
    "TextDelta",
    "ToolCallDelta",
    "UsageReport",
    "type_problem",
]


class ResponseStarted(Struct, frozen=True, gc=False):
    """The response has begun. Of several such events, the first non-empty value of each field counts.

    Attributes:
        id: The provider's id of the response.
        model: Name of the model that generates the response, which may be more specific than the requested one.
        replaces: True if the values replace those received before, because another model continues the response.
    """

    id: str | None = None
    model: str | None = None
    replaces: bool = False


class TextDelta(Struct, frozen=True, gc=False):
    """A piece of the visible text. An empty one only marks that the choice has begun.

    Attributes:
        text: The new text.
        extra: Further fields of the block that must be sent back. Of each field the first value counts.
    """

    text: str
    choice: int = 0
    block: int = 0
    extra: dict[str, Any] | None = None


class ReasoningDelta(Struct, frozen=True, gc=False):
    """A piece of the model's reasoning, which is not part of the visible text.

    Attributes:
        text: The new reasoning text, or text of its summary.
        signature: Signature that must be sent back unchanged with the reasoning in a later turn.
        redacted: Encrypted reasoning, as received.
        id: The provider's id of the reasoning, if it must be sent back.
        extra: Further fields of the block that must be sent back. Of each field the first value counts.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    id: str | None = None
    choice: int = 0
    block: int = 0
    extra: dict[str, Any] | None = None


class RefusalDelta(Struct, frozen=True, gc=False):
    """A piece of a refusal that the provider sends separately from the response's text.

    Attributes:
        text: The new text of the refusal.
        extra: Further fields of the block that must be sent back. Of each field the first value counts.
    """

    text: str
    choice: int = 0
    block: int = 0
    extra: dict[str, Any] | None = None


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A piece of a tool call.

    Attributes:
        index: The provider's index of the tool call, or None.
        id: Id of the tool call, if this piece has it.
        name: Name of the tool, if this piece has it.
        arguments: The next characters of the arguments' JSON text.
        complete: True if this piece is a whole tool call.
        signature: Signature that must be sent back unchanged with the tool call in a later turn.
        extra: Further fields of the tool call that must be sent back. Of each field the first value counts.
    """

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    complete: bool = False
    choice: int = 0
    block: int = 0
    signature: str | None = None
    extra: dict[str, Any] | None = None


class ServerToolEvent(Struct, frozen=True):
    """Activity of a tool that the provider runs itself, or any other block of the turn without an event of its own.

    Attributes:
        type: The provider's type of the activity, if it has one.
        payload: The provider's object, unchanged. An empty one only marks that the block has begun.
        replay: True if the object is a block of the turn, which is sent back in the position of the first event of its
            block when the conversation continues.
    """

    type: str
    payload: dict[str, Any]
    choice: int = 0
    block: int = 0
    replay: bool = False


class Citation(Struct, frozen=True):
    """A source for a part of the response.

    Attributes:
        payload: The provider's object, unchanged.
        start: Offset of the first character of the block's text that the source supports; None with `end` for the
            whole block.
        end: Offset after the last such character.
    """

    payload: dict[str, Any]
    choice: int = 0
    block: int = 0
    start: int | None = None
    end: int | None = None


class MediaDelta(Struct, frozen=True, gc=False):
    """Bytes of an image, audio or a file that the model generated.

    Attributes:
        mime_type: Media type of the bytes, such as ``image/png``.
        data: The bytes, decoded from base64.
        extra: Further fields of the block that must be sent back. Of each field the first value counts.
        replay: True if the file is a block of the turn, which is sent back when the conversation continues.
    """

    mime_type: str
    data: bytes
    choice: int = 0
    block: int = 0
    extra: dict[str, Any] | None = None
    replay: bool = True


class Logprobs(Struct, frozen=True):
    """Log probabilities of tokens.

    Attributes:
        payload: The provider's object, unchanged.
    """

    payload: dict[str, Any]
    choice: int = 0
    block: int = 0


class UsageReport(Struct, frozen=True):
    """The provider's token counts so far.

    Attributes:
        payload: The provider's usage object, unchanged; `extract_usage` reads it. Where each piece of text brings
            one, a driver may return a `JSONText`, which is decoded only if it is read.
        merge: True if its fields are merged into the previous report, False if it replaces that.
    """

    payload: Mapping[str, Any]
    merge: bool = False


class Details(Struct, frozen=True):
    """Facts of the response beside its content, in the provider's words: a container, safety ratings, a service tier.

    Do not emit it for pure deltas. Of several such events, the last value of each field counts; objects are merged
    field by field.

    Attributes:
        payload: The fields, unchanged.
        choice: Index of the choice that the facts concern; None if they concern the whole response.
    """

    payload: dict[str, Any]
    choice: int | None = None


class Note(Struct, frozen=True, gc=False):
    """What was odd in the response and how it was read, for the notes of the response and the log.

    Attributes:
        text: One sentence.
    """

    text: str


class Ping(Struct, frozen=True, gc=False):
    """A keep-alive of the provider, without content."""


class Finish(Struct, frozen=True, gc=False):
    """The model has finished a choice. Other events, such as `UsageReport`, may follow.

    Attributes:
        reason: A value of `FinishReason`: ``stop``, ``length``, ``tool_calls``, ``content_filter``, ``refusal``,
            ``error``, ``other``, ``unknown``.
        raw: The provider's finish reason.
        explanation: The provider's words on a refusal or a filter, apart from the content. They are the `refusal` of a
            choice that has no other.
    """

    reason: str
    raw: str
    choice: int = 0
    explanation: str | None = None


class Failure(Struct, frozen=True):
    """An error that the provider reported, by the status of the response or inside a response with status 200.

    Attributes:
        message: The provider's message.
        code: The provider's code of the error.
        type: The provider's type of the error.
        status: HTTP status of the response, or the status that the provider states in the body.
        retry_after: Seconds to wait before a retry, as the provider specifies them.
        raw: The first bytes of the error body.
        param: The field of the request that the provider names as the cause.
    """

    message: str
    code: str | None = None
    type: str | None = None
    status: int | None = None
    retry_after: float | None = None
    raw: bytes = b""
    param: str | None = None


class End(Struct, frozen=True, gc=False):
    """The provider's end-of-stream marker. Bytes after it are ignored."""


class Seam(Struct, frozen=True, gc=False):
    """A failed attempt is followed by another one. Core emits this event; a driver never does.

    Attributes:
        how: ``retry`` (the same request), ``fallback`` (another connection), or how an interrupted response is
            resumed: ``restart``, ``prefill``, ``provider``.
        error: Name of the error's class.
        message: The error's message.
        wait: Seconds until the next request is sent.
        connection: Name of the connection that the next request uses.
        keeps: True if the content received so far is kept and continued, False if the response starts anew.
    """

    how: str
    error: str
    message: str
    wait: float = 0.0
    connection: str | None = None
    keeps: bool = False


Event = (
    ResponseStarted
    | TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ToolCallDelta
    | ServerToolEvent
    | Citation
    | MediaDelta
    | Logprobs
    | UsageReport
    | Details
    | Note
    | Ping
    | Finish
    | Failure
    | End
    | Seam
)


def type_problem(event: Event) -> str | None:
    """Return which field of an event has a value of the wrong type, its type, and the right ones; None if none has."""
    names, values_of, types = _fields(type(event))
    values = values_of(event)
    if all(map(isinstance, values, types)):
        return None
    wrong = next(each for each in zip(names, values, types, strict=True) if not isinstance(*each[1:]))
    wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wrong[2])
    return f"{wrong[0]} is {type(wrong[1]).__name__} and not {wanted}"


@lru_cache(maxsize=32)
def _fields(
    kind: type[Struct],
) -> tuple[tuple[str, ...], Callable[[Event], tuple[Any, ...]], tuple[tuple[type, ...], ...]]:
    """Return the names of an event's fields, what returns their values, and the types that each value may have."""
    hints = {name: _classes(hint) for name, hint in get_type_hints(kind).items() if not name.startswith("_")}
    return tuple(hints), _values_of(*hints), tuple(hints.values())


def _values_of(*names: str) -> Callable[[Event], tuple[Any, ...]]:
    return attrgetter(*names) if len(names) > 1 else lambda event: tuple(getattr(event, name) for name in names)


def _classes(hint: Any) -> tuple[type, ...]:  # noqa: ANN401 (what an annotation may be)
    if isinstance(hint, UnionType):
        return tuple(kind for each in get_args(hint) for kind in _classes(each))
    return (int, float) if hint is float else (get_origin(hint) or hint,)
