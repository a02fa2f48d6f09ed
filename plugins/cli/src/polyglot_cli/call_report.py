"""What is printed after a response, on standard error: notes, usage, and facts about the call."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from polyglot_cli.error_report import exit_code
from polyglot_cli.output import write_line
from polyglot_cli.wording import as_command
from polyglot_core import FinishReason, Outcome, PolyglotError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyglot_core import Connection, InferenceResponse

__all__ = ["end_fields", "print_debug", "print_notes", "print_usage"]

_SHORTEST = 0.001  # seconds; a speed measured over less means nothing
_SHOWN_CAUSE = 300  # characters

_BY_FINISH: Mapping[FinishReason | None, str] = {
    FinishReason.LENGTH: "The response was cut at the token limit.",
    FinishReason.CONTENT_FILTER: "The provider's content filter stopped the response.",
    FinishReason.ERROR: "The model stopped because of an error.",
}


# Notes


def print_notes(response: InferenceResponse) -> None:
    """Print what the text alone does not show."""
    for note in _notes(response):
        write_line(note, label="Note:", style="bold")


def _notes(response: InferenceResponse) -> Iterator[str]:
    if response.refusal:
        yield f"The model refused: {response.refusal}"
    if response.tool_calls:
        names = ", ".join(call.name for call in response.tool_calls)
        yield f"The model calls tools that are not run: {names}. --json shows the arguments."
    if any(choice.media for choice in response.choices):
        yield "The response contains images, sound or files, which are not shown; --events prints them."
    if len(response.choices) > 1:
        yield f"The response has {len(response.choices)} choices, and this is the first; --json shows all."
    if note := _BY_FINISH.get(response.finish_reason):
        yield note
    elif response.outcome is Outcome.FINISHED and not (response.content or response.refusal or response.tool_calls):
        yield "The response has no text."


# Usage


def print_usage(response: InferenceResponse) -> None:
    """Print in one line: tokens, seconds to the first of them, tokens per second, and the finish reason."""
    write_line(" · ".join(_figures(response)))


def _figures(response: InferenceResponse) -> Iterator[str]:
    usage, timing = response.usage, response.timing
    if usage is None:
        yield "tokens not reported"
    else:
        yield f"{_count(usage.input_tokens)} token{'' if usage.input_tokens == 1 else 's'} in" + _among(
            usage.cache_read_tokens, "cached"
        )
        yield f"{_count(usage.output_tokens)} out" + _among(usage.reasoning_tokens, "reasoning")
    if timing.first_event is not None:
        yield f"first token after {timing.first_event:.2f} s"
    if (speed := _speed(response)) is not None:
        yield f"{speed:.1f} tokens/s"
    yield (response.finish_reason or response.outcome).value


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _among(tokens: int | None, kind: str) -> str:
    return f" ({tokens} {kind})" if tokens else ""


def _speed(response: InferenceResponse) -> float | None:
    """Return tokens per second from the first event to the end; None if not known."""
    tokens = response.usage.output_tokens if response.usage is not None else None
    first, whole = response.timing.first_event, response.timing.duration
    if not tokens or first is None or whole is None:
        return None
    return tokens / (whole - first) if whole - first > _SHORTEST else None


# The last line of ``--json``


def end_fields(response: InferenceResponse | None, error: BaseException | None) -> dict[str, object]:
    """Return how a call ended, without its content: outcome, connection, model, finish reason, usage and timing.

    Args:
        response: The response, or what was received of it.
        error: The error or interrupt that ended the call, if any.
    """
    fields: dict[str, object] = {"outcome": _outcome(response, error)}
    if response is not None:
        names = ("connection", "model", "id", "request_id", "finish_reason")
        fields |= {name: getattr(response, name) for name in names}
        usage, timing = response.usage, response.timing
        fields["usage"] = usage and {name: getattr(usage, name) for name in usage.__struct_fields__ if name != "raw"}
        fields["timing"] = {"first_event": timing.first_event, "duration": timing.duration}
        fields["failed_attempts"] = len(response.failed_attempts)
    if isinstance(error, PolyglotError):
        facts = {name: getattr(error, name) for name in ("status", "code", "retry_after", "request_id", "retryable")}
        message = as_command(error.message)
        fields["error"] = {"type": type(error).__name__, "message": message, **facts, "exit_code": exit_code(error)}
    return fields


# Debug


def print_debug(
    connection: Connection | None,
    response: InferenceResponse | None,
    ending: BaseException | None,
    *,
    model: str | None = None,
) -> None:
    """Print facts about the call, one a line.

    Args:
        connection: The connection of the call; None if none could be opened.
        response: The response received so far.
        ending: The error or interrupt that ended the call, if any.
        model: The requested model, if not the connection's.
    """
    facts: dict[str, object] = {}
    if connection is not None:
        facts["connection"] = connection.name
        facts["driver"] = connection.driver
        facts["model"] = (response and response.model) or model or connection.model
        facts["host"] = urlsplit(connection.base_url or "").netloc or "the driver's own"
    facts["request id"] = getattr(ending, "request_id", None) or (response and response.request_id)
    facts["phase"] = getattr(ending, "phase", None)
    facts["outcome"] = _outcome(response, ending)
    failed = () if response is None else response.failed_attempts
    facts["attempts"] = getattr(ending, "attempts", None) or (len(failed) + 1 if failed else None)
    for name, value in facts.items():
        if value:
            write_line(str(value), label=f"{name:<11}")
    for attempt in failed:
        write_line(f"{attempt.connection}: {attempt.error}: {attempt.message}"[:_SHOWN_CAUSE], label=f"{'before':<11}")
    for cause in _chain(ending if isinstance(ending, PolyglotError) else None):
        write_line(cause, label=f"{'cause':<11}")


def _outcome(response: InferenceResponse | None, ending: BaseException | None) -> str:
    if response is not None:
        return response.outcome.value
    outcomes = ((TimedOut, Outcome.TIMED_OUT), (PolyglotError, Outcome.FAILED))
    return next((outcome.value for kind, outcome in outcomes if isinstance(ending, kind)), Outcome.CANCELLED.value)


def _chain(error: BaseException | None) -> Iterator[str]:
    """Yield the error and its causes, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        yield f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}: {error}"[:_SHOWN_CAUSE]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
