"""Decoding of the response object: what it states beside its items, and how the response ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core.plugin import (
    Details,
    End,
    Failure,
    Finish,
    FinishReason,
    ResponseStarted,
    UsageReport,
    failure_from_payload,
    finish_of,
    json_access,
)
from polyglot_openai.responses.items import remaining_items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_core.plugin import Event
    from polyglot_openai.responses.reading import Reading

__all__ = ["LAST_STATUSES", "closing", "details_of", "started"]

_JSONObject = dict[str, Any]

LAST_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})

_WORDS = {
    "completed": FinishReason.STOP,
    "incomplete": FinishReason.OTHER,
    "queued": FinishReason.UNKNOWN,
    "in_progress": FinishReason.UNKNOWN,
}
"""Statuses, by which a response ends that has no reason to be incomplete."""

_NO_DETAILS = frozenset(
    {
        *("id", "object", "model", "output", "output_text", "usage", "error"),
        *("input", "instructions", "prompt", "text", "tools"),
    }
)
"""Fields that have a place of their own, and those in which the response repeats the content of the request."""


def details_of(response: _JSONObject) -> _JSONObject:
    """Return the facts of a response object beside its content."""
    return {
        name: value
        for name, value in response.items()
        if name not in _NO_DETAILS and value is not None and value not in ([], {})
    }


def started(response: _JSONObject, reading: Reading) -> Iterator[Event]:
    """Yield the names of a response object."""
    id_, model = (value if isinstance(value := response.get(name), str) else None for name in ("id", "model"))
    reading.response_id = id_ or reading.response_id
    if id_ or model:
        yield ResponseStarted(id_, model)
    if details := details_of(response):
        yield Details(details)


def closing(response: _JSONObject, reading: Reading) -> Iterator[Event]:
    """Yield the events of the last or only response object: what was not emitted yet, the usage, and the end."""
    yield from started(response, reading)
    yield from remaining_items(json_access.objects(response.get("output")), reading)
    if isinstance(usage := response.get("usage"), dict) and usage:
        yield UsageReport(usage)
    end = _end(response, reading)
    yield end
    if isinstance(end, Finish):
        yield End()


def _end(response: _JSONObject, reading: Reading) -> Finish | Failure:
    error, status = response.get("error"), response.get("status")
    status = status if isinstance(status, str) and finish_of(status) else "completed"  # the object itself is whole
    if error:
        return failure_from_payload({"error": error})
    if status.lower() == "failed":
        return Failure(_reason(response) or "")
    end = finish_of(_reason(response), _WORDS) or finish_of(status, _WORDS) or Finish(FinishReason.STOP, status)
    if reading.to_answer and isinstance(end, Finish) and end.reason == FinishReason.STOP:
        return Finish(FinishReason.TOOL_CALLS, end.raw)
    return end


def _reason(response: _JSONObject) -> str | None:
    """Return why the response is incomplete, if it states that. The reason counts, whatever the status."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else details
    return reason if isinstance(reason, str) else None
