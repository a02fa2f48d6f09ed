"""A call as lines of JSON for the page, one for each step, written while the response is received.

======================  ==========================================================================================
type                    content
======================  ==========================================================================================
``delta``               new ``text``, ``reasoning`` or ``refusal`` of choice 0
``tool_call``           a new piece: ``index``, ``name``, and the next characters of the ``arguments``
``chunk``               the bytes of the chunk as text, cut after some; only of the first ones
``event``               ``event``, and its fields as JSON text, cut after some; only of the first ones
``seam``                why another request is sent, and whether the content received so far is kept
``end``                 always the last: outcome, usage, timing, cost, counts, and the error if there is one
======================  ==========================================================================================

Every line has the seconds since the request as ``at``. No line contains a key of the connection.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Any

from polyglot_cli.call_report import end_fields
from polyglot_cli.error_report import hint
from polyglot_cli.measures import measure
from polyglot_cli.views import as_json
from polyglot_core import PolyglotError
from polyglot_core.events import Seam

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from polyglot_cli.play.call import PageCall
    from polyglot_core import AsyncInference, Connection, PartialInferenceResponse
    from polyglot_core.events import Event

__all__ = ["error_fields", "write_call"]

_SHOWN = 1_000  # chunks and events of which the content is sent
_SHOWN_CHARACTERS = 2_000  # of one of them
_SHORTEST_KEY = 12  # characters; shorter ones are words such as "ollama", which servers without keys accept


class _Steps:
    """Turns partials and events into lines, which wait until they are taken."""

    def __init__(self) -> None:
        self._begun = perf_counter()
        self._waiting: list[dict[str, object]] = []
        self._arguments: list[int] = []  # of each tool call: how many characters of its arguments are sent
        self.chunks = 0
        self.events = 0

    def taken(self) -> list[dict[str, object]]:
        """Return the lines that wait, which then wait no longer."""
        taken, self._waiting = self._waiting, []
        return taken

    def line(self, kind: str, **fields: object) -> dict[str, object]:
        """Return a line of this type, with the time."""
        return {"type": kind, "at": round(perf_counter() - self._begun, 4), **fields}

    def add_partial(self, partial: PartialInferenceResponse) -> None:
        """Add what is new in a partial."""
        if partial.raw:
            self.chunks += 1
            if self.chunks <= _SHOWN:
                self._add("chunk", raw=_cut(partial.raw.decode("utf-8", "replace")))
        if partial.choice != 0:
            return
        deltas = {"text": partial.content_delta, "reasoning": partial.reasoning_delta, "refusal": partial.refusal_delta}
        if added := {name: text for name, text in deltas.items() if text}:
            self._add("delta", **added)
        elif not partial.finish_reason:
            self._add_tool_calls(partial)

    def add_event(self, event: Event) -> None:
        """Add an event. A further request is a line of its own too, before the wait for it."""
        self.events += 1
        if isinstance(event, Seam):
            if not event.keeps:
                self._arguments.clear()  # the response starts anew
            self._add("seam", **{name: getattr(event, name) for name in event.__struct_fields__})
        if self.events <= _SHOWN:
            fields = {name: value for name in event.__struct_fields__ if (value := getattr(event, name)) is not None}
            self._add("event", event=type(event).__name__, fields=_cut(as_json(fields)))

    def _add_tool_calls(self, partial: PartialInferenceResponse) -> None:
        for index, call in enumerate(partial.tool_calls):
            sent = self._arguments[index] if index < len(self._arguments) else None
            if sent is None or sent < len(call.arguments_raw):
                self._add("tool_call", index=index, name=call.name, arguments=call.arguments_raw[sent or 0 :])
                self._arguments[index : index + 1] = [len(call.arguments_raw)]

    def _add(self, kind: str, **fields: object) -> None:
        self._waiting.append(self.line(kind, **fields))


async def write_call(call: PageCall, inference: AsyncInference, write: Callable[[bytes], Awaitable[None]]) -> None:
    """Make a call and write its lines. When it is cancelled, the connection to the provider is closed.

    Args:
        call: The call.
        inference: Its connection.
        write: Writes a line.
    """
    steps = _Steps()
    error: PolyglotError | None = None
    response = None
    cleaned = _key_remover(inference.connection)

    def encoded(line: dict[str, object]) -> bytes:
        return as_json(cleaned(line)).encode() + b"\n"

    try:
        async with inference.stream(call.messages(), **call.arguments()) as stream:
            stream.on_partial(steps.add_partial)
            async for lines in _stepwise(stream.events(), steps):
                for line in lines:
                    await write(encoded(line))
            response = await stream.response()
    except PolyglotError as caught:
        error, response = caught, caught.partial
    for line in steps.taken():
        await write(encoded(line))
    fields = {**end_fields(response, error), "chunks": steps.chunks, "events": steps.events, "shown": _SHOWN}
    if response is not None and (cost := measure(response).cost) is not None:
        fields["cost"] = cost
    if error is not None:
        fields["error"] = error_fields(error)
    await write(encoded(steps.line("end", **fields)))


async def _stepwise(events: AsyncIterator[Event], steps: _Steps) -> AsyncIterator[list[dict[str, object]]]:
    """Yield the lines of each event, and of the partials that were built with it."""
    async for event in events:
        steps.add_event(event)
        yield steps.taken()


def error_fields(error: PolyglotError) -> dict[str, object]:
    """Return what the page shows of an error: its class, its message, what to do, and facts."""
    reported: Any = end_fields(None, error)["error"]
    return {**reported, "message": as_page(reported["message"]), "hint": as_page(hint(error))}


_WORDS: Mapping[str, str] = {
    r"run the command again": "send it again",
    r"The text received so far is printed and incomplete": "The text received so far is incomplete",
    r"The text received before is printed; --debug shows details": "The chunks received before are listed below",
    r"The text received before is printed": "The text received before is shown",
    r"Check --model and every --option": "Check the model and every option",
    r" \(--model\)": "",
    r"--timeout for the whole call, timeouts in the configuration for single clocks": "timeouts in the configuration",
    r"give one with -m NAME": "give one as Model",
}
"""Advice for the command line, and the same for the page."""


def as_page(message: str) -> str:
    """Return a message in which advice for the command line is advice for the page."""
    for pattern, replacement in _WORDS.items():
        message = re.sub(pattern, replacement, message)
    return message


def _key_remover(connection: Connection) -> Callable[[object], object]:
    """Return a function that replaces keys of a connection, which a provider may have repeated, in JSON by ``***``."""
    redactions = [redacted for each in (connection, *connection.fallbacks) for redacted in _redactions(each)]

    def cleaned(value: object) -> object:
        if isinstance(value, str):
            for redacted in redactions:
                value = redacted(value)
            return value
        return {name: cleaned(each) for name, each in value.items()} if isinstance(value, dict) else value

    return cleaned


def _redactions(connection: Connection) -> Iterator[Callable[[str], str]]:
    """Yield a function for each key and secret header of a connection that is long enough not to be a word."""
    for secret in (connection.secret, *connection.headers.values()):
        if secret is not None and not isinstance(secret, str) and len(secret.reveal()) >= _SHORTEST_KEY:
            yield secret.redacted


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
