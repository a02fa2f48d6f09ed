"""The shapes in which a response is sent to a browser: what of a partial is new, as JSON.

A shape decides what is sent, and nothing else; `sse` frames it and `asgi` sends it. A shape holds no state of a stream:
what has been sent already is in `Changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import time
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from polyglot_core import InferenceResponse, Outcome, PartialInferenceResponse, ToolCall, ToolResult, Usage
from polyglot_core.errors import (
    AuthenticationError,
    ConfigError,
    ContextLengthExceeded,
    LimitExceeded,
    Overloaded,
    PolyglotError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RequestError,
    ServerError,
    StreamError,
    TimedOut,
    TransportError,
    Truncated,
)

__all__ = [
    "CallChange",
    "Change",
    "Changes",
    "Ending",
    "Heading",
    "NotKept",
    "OpenAIChunks",
    "Partials",
    "Shape",
    "check_kept",
    "error_object",
    "public_message",
    "shape_of",
]

Partial = PartialInferenceResponse[Any]
Item = Partial | ToolCall | ToolResult
Describe = Callable[[PolyglotError], str]

_encode = msgspec.json.Encoder().encode
_PART = 64  # the arguments of a tool call are read again when they may have grown by one part in so many


class CallChange(Struct, frozen=True, omit_defaults=True):
    """What of a tool call is new.

    Attributes:
        index: Index of the tool call in the order of first appearance, from 0.
        id: Id of the tool call, in the first change that has it.
        name: The next characters of the tool's name; usually all of them.
        arguments: The next characters of the arguments' JSON text.
        complete: True once the tool call is complete.
    """

    index: int
    id: str | None = None
    name: str = ""
    arguments: str = ""
    complete: bool = False


class Change(NamedTuple):
    """What of a partial is new.

    Attributes:
        partial: The partial.
        first: True if nothing of its choice was sent before.
        tool_calls: What of the tool calls is new.
    """

    partial: Partial
    first: bool
    tool_calls: tuple[CallChange, ...]


class Heading(NamedTuple):
    """What is known of a response before its first partial.

    Attributes:
        key: A random text that names the response.
        created: When it was requested, in seconds since 1970.
    """

    key: str
    created: int

    @classmethod
    def of(cls, key: str) -> Heading:
        """Return the heading of a response that begins now."""
        return cls(key, int(time()))


class Ending(NamedTuple):
    """How a response ended.

    Attributes:
        outcome: How it ended.
        error: The error that ended it, or None.
        response: What was received, or None if that is not known.
        stopped: True if a transform of the application ended the response, so that it is complete for its readers.
    """

    outcome: Outcome
    error: PolyglotError | None
    response: InferenceResponse[Any] | None
    stopped: bool = False


class Shape(Protocol):
    """What is sent of a response, as JSON texts. Each becomes the data of one server-sent event."""

    def change(self, heading: Heading, change: Change) -> bytes | None:
        """Return what is sent of a partial, or None if it has nothing new."""

    def step(self, heading: Heading, step: ToolCall | ToolResult) -> bytes | None:
        """Return what is sent of a step between two responses, of a loop of a model and its tools."""

    def end(self, heading: Heading, ending: Ending, describe: Describe) -> Iterable[bytes]:
        """Return what is sent at the end. Only what is ``finished``, or was stopped, may look complete."""
        ...


class _Choice:
    """What of a choice has been sent.

    The pieces of a tool call are joined when they are read, so reading them for each piece would cost the square of
    their length. They are read again when enough pieces were received to make them one part in `_PART` longer.
    """

    def __init__(self) -> None:
        self.unread: Partial | None = None  # a partial whose tool calls were not read
        self.finished = False
        self._pieces = self._length = 0
        self._sent: tuple[ToolCall, ...] = ()

    def calls(self, partial: Partial, *, wait: bool) -> tuple[CallChange, ...]:
        """Return what of the tool calls is new; nothing yet if `wait` is True and too little was received."""
        self._pieces += 1
        if wait and self._pieces * _PART < self._length:
            self.unread = partial
            return ()
        self.unread, self._pieces = None, 0
        before, now = self._sent, partial.tool_calls
        if before is now:
            return ()
        self._sent, self._length = now, sum(len(call.arguments_raw) for call in now)
        pairs = zip((*before, *[None] * (len(now) - len(before))), now, strict=False)
        return tuple(_new_in(index, old, new) for index, (old, new) in enumerate(pairs) if old is not new)


def _new_in(index: int, old: ToolCall | None, new: ToolCall) -> CallChange:
    known = old or ToolCall(name="")
    return CallChange(
        index=index,
        id=None if new.id == known.id else new.id,
        name=new.name[len(known.name) :],
        arguments=new.arguments_raw[len(known.arguments_raw) :],
        complete=new.complete,
    )


class Changes:
    """What of the partials of one stream is new, in turn."""

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}

    def of(self, partial: Partial) -> Change:
        """Return what a partial adds to those before it."""
        if partial.seam is not None and not partial.seam.keeps:
            self._choices.clear()  # the response starts anew
        choice = self._choices.get(partial.choice)
        first = choice is None or choice.finished  # after a finish the next response of a loop begins
        if choice is None or first:
            self._choices[partial.choice] = choice = _Choice()
        choice.finished = partial.finish_reason is not None
        if partial.finish_reason is None and (partial.content_delta or partial.reasoning_delta):
            return Change(partial, first, ())
        return Change(partial, first, choice.calls(partial, wait=partial.finish_reason is None))

    def rest(self) -> Iterator[Change]:
        """Yield what was received and not read yet, at an end without a finish."""
        for choice in self._choices.values():
            if (partial := choice.unread) is not None:
                empty = msgspec.structs.replace(partial, content_delta="", reasoning_delta="", refusal_delta="")
                yield Change(empty, first=False, tool_calls=choice.calls(partial, wait=False))


class _Seam(Struct, frozen=True, omit_defaults=True):
    how: str
    keeps: bool = False


class _Partial(Struct, frozen=True, omit_defaults=True, tag="partial"):
    choice: int = 0
    content_delta: str = ""
    reasoning_delta: str = ""
    refusal_delta: str = ""
    tool_calls: tuple[CallChange, ...] = ()
    finish_reason: str | None = None
    seam: _Seam | None = None


class _ToolCall(Struct, frozen=True, omit_defaults=True, tag="tool_call"):
    id: str | None
    name: str
    arguments: str


class _ToolResult(Struct, frozen=True, omit_defaults=True, tag="tool_result"):
    id: str | None
    name: str | None
    content: str
    error: bool = False


class _End(Struct, frozen=True, omit_defaults=True, tag="end"):
    outcome: str
    stopped: bool = False
    finish_reason: str | None = None
    model: str | None = None
    usage: dict[str, int] | None = None


class _Error(Struct, frozen=True, omit_defaults=True):
    error: str
    message: str
    outcome: str
    retryable: bool = False
    retry_after: float | None = None
    status: int | None = None
    phase: str | None = None


class _ErrorEvent(_Error, frozen=True, omit_defaults=True, tag="error"):
    pass


class Partials(Struct, frozen=True):
    """The shape of Polyglot: the fields of `PartialInferenceResponse.to_dict` that are new, and how it ended."""

    def change(self, heading: Heading, change: Change) -> bytes | None:  # noqa: ARG002 (of the protocol)
        """Return the new fields of a partial; those that are empty are left out."""
        partial, _, calls = change
        seam = None if partial.seam is None else _Seam(partial.seam.how, partial.seam.keeps)
        fields = (partial.content_delta, partial.reasoning_delta, partial.refusal_delta, calls, partial.finish_reason)
        return _encode(_Partial(partial.choice, *fields, seam)) if seam or any(fields) else None

    def step(self, heading: Heading, step: ToolCall | ToolResult) -> bytes | None:  # noqa: ARG002
        """Return a whole tool call, or the text of a tool's result."""
        if isinstance(step, ToolCall):
            return _encode(_ToolCall(step.id, step.name, step.arguments_raw))
        return _encode(_ToolResult(step.id, step.name, step.text, step.error))

    def end(self, heading: Heading, ending: Ending, describe: Describe) -> Iterable[bytes]:  # noqa: ARG002
        """Return an object with the outcome, and with the public fields of an error."""
        if ending.error is not None:
            yield _encode(_error(_ErrorEvent, ending.error, ending.outcome, describe))
            return
        response = ending.response
        usage = None if response is None else _counts(response.usage)
        reason, model = (None, None) if response is None else (response.finish_reason, response.model)
        yield _encode(_End(ending.outcome.value, ending.stopped, reason, model, usage))


class OpenAIChunks(Struct, frozen=True):
    """The chunks that OpenAI streams, ``chat.completion.chunk``, for clients that read those.

    Attributes:
        model: The model's name in each chunk.
        include_usage: Whether a last chunk without choices has the usage.
    """

    model: str = "polyglot"
    include_usage: bool = False

    def change(self, heading: Heading, change: Change) -> bytes | None:
        """Return the chunk of a partial.

        Raises:
            StreamError: The response started anew, which chunks cannot express.
        """
        partial, first, calls = change
        check_kept(partial, "OpenAI's chunks")
        delta: dict[str, Any] = {"role": "assistant"} if first else {}
        if partial.content_delta or (first and not calls):
            delta["content"] = partial.content_delta
        if partial.reasoning_delta:
            delta["reasoning_content"] = partial.reasoning_delta
        if partial.refusal_delta:
            delta["refusal"] = partial.refusal_delta
        if calls := tuple(call for call in calls if call.id or call.name or call.arguments):
            delta["tool_calls"] = [_openai_call(call) for call in calls]
        reason = partial.finish_reason
        if not delta and reason is None:
            return None
        choice = {
            "index": partial.choice,
            "delta": delta,
            "finish_reason": None if reason is None else _OPENAI_REASONS.get(reason.value, reason.value),
        }
        return self._chunk(heading, [choice])

    def step(self, heading: Heading, step: ToolCall | ToolResult) -> bytes | None:  # noqa: ARG002
        """Raise: a client would take the tool calls for its own.

        Raises:
            RequestError: Always.
        """
        raise RequestError("OpenAI's chunks cannot express a loop of a model and its tools; use the shape 'partials'.")

    def end(self, heading: Heading, ending: Ending, describe: Describe) -> Iterable[bytes]:
        """Return ``[DONE]`` if the response is complete; otherwise an error object, and no ``[DONE]``."""
        if ending.stopped:
            yield self._chunk(heading, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        elif ending.outcome is not Outcome.FINISHED:
            error = ending.error or StreamError(f"The response ended as {ending.outcome.value}.")
            shown = _error(_Error, error, ending.outcome, describe if ending.error else str)
            fields = {"message": shown.message, "type": shown.error, "code": shown.status, "param": None}
            yield _encode({"error": fields})
            return
        usage = None if ending.response is None else ending.response.usage
        if self.include_usage and usage is not None:
            counts = {
                "prompt_tokens": usage.input_tokens or 0,
                "completion_tokens": usage.output_tokens or 0,
                "total_tokens": usage.total_tokens or 0,
            }
            yield self._chunk(heading, [], counts)
        yield b"[DONE]"

    def _chunk(self, heading: Heading, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        chunk = {
            "id": f"chatcmpl-{heading.key}",
            "object": "chat.completion.chunk",
            "created": heading.created,
            "model": self.model,
            "choices": choices,
        }
        return _encode(chunk if usage is None else {**chunk, "usage": usage})


_OPENAI_REASONS = {"refusal": "content_filter"}  # the values that OpenAI does not have; `other` and `unknown` pass


def _openai_call(call: CallChange) -> dict[str, Any]:
    function: dict[str, str] = {"name": call.name} if call.name else {}
    identified = {"id": call.id, "type": "function"} if call.id else {}
    return {"index": call.index, **identified, "function": {**function, "arguments": call.arguments}}


def check_kept(partial: Partial, shape: str) -> None:
    """Raise if a response starts anew, for shapes whose readers cannot drop what they have received.

    Raises:
        StreamError: It does.
    """
    if partial.seam is not None and not partial.seam.keeps:
        msg = (
            f"The response was interrupted and started anew, which {shape} cannot express; use the shape 'partials', "
            "or another `resume`."
        )
        raise StreamError(msg)


def _counts(usage: Usage | None) -> dict[str, int] | None:
    """Return the counts that are known, without the provider's object."""
    if usage is None:
        return None
    return {name: count for name in usage.__struct_fields__ if isinstance(count := getattr(usage, name), int)}


def _error(kind: type[_Error], error: PolyglotError, outcome: Outcome, describe: Describe) -> _Error:
    return kind(
        error=type(error).__name__,
        message=describe(error),
        outcome=outcome.value,
        retryable=error.retryable,
        retry_after=error.retry_after,
        status=error.status,
        phase=error.phase,
    )


class NotKept(StreamError):
    """The events after a Last-Event-ID are not kept: it is unknown or too old, or belongs to another process."""

    def __init__(self, message: str = "The events after the Last-Event-ID of a reader are not kept.") -> None:
        super().__init__(message, phase="stream")


def error_object(error: PolyglotError, describe: Describe) -> bytes:
    """Return the public fields of an error as a JSON object."""
    return _encode(_error(_Error, error, Outcome.FAILED if error.partial is None else error.partial.outcome, describe))


_MESSAGES: dict[type[PolyglotError], str] = {
    PolyglotError: "The response failed.",
    ConfigError: "The service is not configured correctly.",
    AuthenticationError: "The service is not configured correctly.",
    RequestError: "The request cannot be sent to this model.",
    ProviderError: "The provider rejected the request.",
    ContextLengthExceeded: "The request is too long for the model.",
    RateLimited: "There are too many requests at the moment. Try again later.",
    QuotaExceeded: "The quota of the service is used up.",
    Overloaded: "The provider is overloaded. Try again later.",
    ServerError: "The provider failed.",
    StreamError: "The response cannot be used.",
    NotKept: "The connection was lost, and the rest of this response is not kept. Request it again.",
    Truncated: "The response ended before it was complete.",
    LimitExceeded: "The response is too large.",
    TimedOut: "The response took too long.",
    TransportError: "The connection to the provider failed.",
}


def public_message(error: PolyglotError) -> str:
    """Return a sentence for the class of an error. It names no host, account or request, as the error itself may."""
    return next(text for kind in type(error).__mro__ if (text := _MESSAGES.get(kind)))  # the root has one


_NAMED: dict[str, Shape] = {"partials": Partials(), "openai": OpenAIChunks()}


def shape_of(shape: str | Shape) -> Shape:
    """Return the shape of a name, or the shape itself.

    Raises:
        RequestError: There is none of this name.
    """
    if not isinstance(shape, str):
        return shape
    if shape not in _NAMED:
        names = ", ".join(repr(name) for name in _NAMED)
        msg = f"There is no shape {shape!r}; it is one of {names}, for StreamResponse also 'text', or an object."
        raise RequestError(msg, phase="encode")
    return _NAMED[shape]
