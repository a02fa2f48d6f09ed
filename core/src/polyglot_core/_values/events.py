"""What a chunk can mean: a closed union of frozen values. A driver's `decode_chunk` returns nothing else.

Content events carry the `choice` that they belong to and the `block` of it, both 0 where a dialect knows only one.
"""

from __future__ import annotations

from functools import lru_cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct

__all__ = [
    "Citation",
    "End",
    "Event",
    "Failure",
    "Finish",
    "Logprobs",
    "MediaDelta",
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
    """The provider's names for the response and for the model that answers; the first non-empty ones are kept.

    Attributes:
        id: The provider's id of the response.
        model: The model that answers; its name may be longer than that of the model which was asked.
    """

    id: str | None = None
    model: str | None = None


class TextDelta(Struct, frozen=True, gc=False):
    """More of the visible answer. An empty text says only that the choice has begun.

    Attributes:
        text: What is new.
    """

    text: str
    choice: int = 0
    block: int = 0


class ReasoningDelta(Struct, frozen=True, gc=False):
    """More of the model's thinking, never part of the answer's text.

    Attributes:
        text: The thinking, or a summary of it.
        signature: What a provider wants back, unchanged, to trust the thinking in a later turn.
        redacted: Thinking that came encrypted.
        id: The provider's id of the thinking, where it is wanted back.
        extra: What else the provider says of the block and wants back, where it does; of each field the first counts.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    id: str | None = None
    choice: int = 0
    block: int = 0
    extra: dict[str, Any] | None = None


class RefusalDelta(Struct, frozen=True, gc=False):
    """More of a refusal that the provider keeps apart from the answer's text.

    Attributes:
        text: What is new.
    """

    text: str
    choice: int = 0
    block: int = 0


class ToolCallDelta(Struct, frozen=True, gc=False):
    """A piece of a call to one of the user's tools.

    Attributes:
        index: The call's number as the provider gives it, or None.
        id: The call's id, where this piece has one.
        name: The tool's name, where this piece has it.
        arguments: The next characters of the JSON text of the arguments.
        complete: Whether this piece is the whole call.
        signature: What a provider wants back, unchanged, with the call in a later turn.
    """

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    complete: bool = False
    choice: int = 0
    block: int = 0
    signature: str | None = None


class ServerToolEvent(Struct, frozen=True):
    """Something about a tool that the provider runs itself.

    Attributes:
        type: What kind of thing it is, in the provider's own word where it has one.
        payload: The provider's own object.
        replay: Whether the provider wants the object back, where it stood, when the conversation goes on.
    """

    type: str
    payload: dict[str, Any]
    choice: int = 0
    block: int = 0
    replay: bool = False


class Citation(Struct, frozen=True):
    """A source for a part of the answer.

    Attributes:
        payload: The provider's own object, whole.
    """

    payload: dict[str, Any]
    choice: int = 0
    block: int = 0


class MediaDelta(Struct, frozen=True, gc=False):
    """Bytes of an image, a sound or a file that the model made.

    Attributes:
        mime_type: Their type, such as ``image/png``.
        data: The bytes, decoded.
    """

    mime_type: str
    data: bytes
    choice: int = 0
    block: int = 0


class Logprobs(Struct, frozen=True):
    """Log probabilities of the tokens just sent.

    Attributes:
        payload: The provider's own object, whole.
    """

    payload: dict[str, Any]
    choice: int = 0
    block: int = 0


class UsageReport(Struct, frozen=True):
    """The provider's count of tokens so far, as its own object.

    Attributes:
        payload: The object, whole.
        merge: Whether it is to be laid over the report before it, field by field, instead of replacing it.
    """

    payload: dict[str, Any]
    merge: bool = False


class Ping(Struct, frozen=True, gc=False):
    """The provider is still there; nothing else."""


class Finish(Struct, frozen=True, gc=False):
    """The model is done with a choice; more may follow, such as usage.

    Attributes:
        reason: One of the words of `FinishReason`: ``stop``, ``length``, ``tool_calls``, ``content_filter``,
            ``refusal``, ``error``, ``other``, ``unknown``.
        raw: The provider's own word.
    """

    reason: str
    raw: str
    choice: int = 0


class Failure(Struct, frozen=True):
    """The provider says that it failed, with a status or inside a 200.

    Attributes:
        message: The provider's text.
        code: The provider's code.
        type: The provider's kind of error.
        status: HTTP status, where there is one or the provider states one.
        retry_after: Seconds that the provider asks to wait.
        raw: The first bytes of what was read.
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
    """Nothing more will come; what follows is not part of the answer."""


class Seam(Struct, frozen=True, gc=False):
    """Another request takes the place of one that failed. Core makes it; a driver never does.

    Attributes:
        how: ``retry`` (the same request), ``fallback`` (another connection), or how a response that had begun is
            resumed: ``restart``, ``prefill``, ``provider``.
        error: Name of the class of the error.
        message: What the error said.
        wait: Seconds before the request is sent.
        connection: Name of the connection that is asked next.
        keeps: Whether what had come is kept, and the answer goes on from there; else it starts anew.
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
    | Ping
    | Finish
    | Failure
    | End
    | Seam
)


def type_problem(event: Event) -> str | None:
    """What is wrong with an event that has a value of a wrong type: field, what it is, what it should be."""
    for name, types in _types(type(event)):
        value = getattr(event, name)
        if not isinstance(value, types):
            wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
            return f"{name} is {type(value).__name__} and not {wanted}"
    return None


@lru_cache(maxsize=32)
def _types(kind: type[Struct]) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """The fields of an event, each with the types that a value may have."""
    return tuple((name, _classes(hint)) for name, hint in get_type_hints(kind).items() if not name.startswith("_"))


def _classes(hint: Any) -> tuple[type, ...]:  # noqa: ANN401 (what an annotation may be)
    if isinstance(hint, UnionType):
        return tuple(kind for each in get_args(hint) for kind in _classes(each))
    return (int, float) if hint is float else (get_origin(hint) or hint,)
