"""Errors within a stream, in every spelling, dialect and place: how the call ends, with which class, and what is kept.

``python -m tests.faults --spellings`` prints the table, and ``--write`` also writes it into ``docs/error-spellings.md``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..properties.bodies import frames, ours
from ..properties.hearing import hear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..conformance.corpus import Exchange

__all__ = [
    "DIALECTS",
    "PAGE",
    "PLACES",
    "Ending",
    "body_of",
    "draw_spellings",
    "ending_of",
    "headers_of",
    "page_with",
    "spellings_of",
]

PAGE = Path(__file__).parents[2] / "docs" / "error-spellings.md"
PLACES = ("first", "middle", "last")
"""Before the first event, half-way, and in place of the end."""

DIALECTS = {
    "openai": "openai-chat.sse",
    "azure-openai": "azure-openai.sse",
    "openai-responses": "openai-responses.sse",
    "anthropic": "anthropic-messages.sse",
    "gemini": "gemini-generate.sse",
    "gemini (list)": "gemini-generate.array.json",
    "vertex": "vertex.sse",
    "mistral": "mistral-chat.sse",
    "cohere": "cohere-v2-chat.sse",
    "ollama": "ollama-chat.ndjson",
    "bedrock": "bedrock-converse-stream.frames",
}
"""Body of our own in each dialect."""

WORDS = "The garden is too wet."
_TEXT = WORDS.encode()
_LIMIT = b'{"message": "%b", "code": "rate_limit_exceeded"}' % _TEXT

_OBJECTS = {
    "an object in `error`": b'{"error": %b}' % _LIMIT,
    "an object in `error`, with a type": b'{"type": "error", "error": {"type": "overloaded_error", "message": "%b"}}'
    % _TEXT,
    "an object in `error`, with a status": b'{"error": {"code": 503, "status": "UNAVAILABLE", "message": "%b"}}'
    % _TEXT,
    "a text in `error`": b'{"error": "%b"}' % _TEXT,
    "a list in `errors`": b'{"errors": [%b]}' % _LIMIT,
    "`message` and `code`": _LIMIT,
    "`message` alone": b'{"message": "%b"}' % _TEXT,
    "`detail`": b'{"detail": "%b"}' % _TEXT,
    "`error_code` and `error_message`": b'{"error_code": 429, "error_message": "%b"}' % _TEXT,
    "`object: error`": b'{"object": "error", "message": "%b", "code": 429}' % _TEXT,
    "`type: error`": b'{"type": "error", "message": "%b"}' % _TEXT,
    "`success: false`": b'{"success": false, "message": "%b"}' % _TEXT,
    "`status: error`": b'{"status": "error", "message": "%b"}' % _TEXT,
}
_EVENTS = {
    "`event: error` with an object": b"event: error\ndata: %b" % _LIMIT,
    "`event: error` with a text": b"event: error\ndata: %b" % _TEXT,
    "a field `error`": b"error: %b" % _LIMIT,
    "a field `error` with a text": b"error: %b" % _TEXT,
    **{name: b"data: %b" % payload for name, payload in _OBJECTS.items()},
    "JSON without a field": b'{"error": %b}' % _LIMIT,
}
_SPELLINGS: Mapping[str, tuple[bytes, Mapping[str, bytes]]] = {
    "sse": (b"\n\n", _EVENTS),
    "ndjson": (b"\n", _OBJECTS),
    "array.json": (b",\n", _OBJECTS),
    "frames": (
        b"\n",
        {
            f"the exception `{name}`": b'!%b {"message": "%b"}' % (name.encode(), _TEXT)
            for name in ("throttlingException", "modelStreamErrorException", "internalServerException", "wetException")
        },
    ),
}
"""What is between two events, and the spellings that fit, by framing. A line of frames is an event type and its payload."""


class Ending(NamedTuple):
    """How a response with an error in it ends.

    Attributes:
        outcome: The outcome of the response.
        error: Name of the error's class; None if there is no error.
        quoted: Whether the provider's words are in the message.
        kept: Whether the partial response has all content received before, and nothing else.
    """

    outcome: str
    error: str | None
    quoted: bool
    kept: bool


@cache
def _exchange(dialect: str) -> Exchange:
    return next(each for each in ours() if each.path == f"ours/{DIALECTS[dialect]}")


def spellings_of(dialect: str) -> Mapping[str, bytes]:
    """Return the spellings of an error that the framing of a dialect allows, by name."""
    return _SPELLINGS[_exchange(dialect).framing][1]


def headers_of(dialect: str) -> Sequence[tuple[str, str]]:
    """Return the headers of the response."""
    return _exchange(dialect).headers


def body_of(dialect: str, spelling: str | None, place: str) -> bytes:
    """Return a stream that ends with an error; with the spelling None, the stream as it was before the error."""
    between, known = _SPELLINGS[_exchange(dialect).framing]
    events = _events(dialect)
    kept = events[: {"first": 0, "middle": len(events) // 2, "last": max(1, len(events) - 3)}[place]]
    failed = [] if spelling is None else [known[spelling]]
    body = between.join([*kept, *failed])
    match _exchange(dialect).framing:
        case "array.json":
            return b"[" + body + (b"]" if failed else b"")
        case "frames":
            return frames(body)
    return body + between if body else b""


def _events(dialect: str) -> Sequence[bytes]:
    exchange = _exchange(dialect)
    if exchange.framing == "frames":  # the file has its lines
        file = Path(__file__).parents[1] / "properties" / "bodies" / DIALECTS[dialect]
        return file.read_bytes().strip().split(b"\n")
    between, _ = _SPELLINGS[exchange.framing]
    return exchange.body.strip().removeprefix(b"[").removesuffix(b"]").strip().split(between)


def ending_of(dialect: str, spelling: str, place: str) -> Ending:
    """Decode such a stream without a socket."""
    exchange = _exchange(dialect)
    heard, before = hear(exchange, body_of(dialect, spelling, place)), hear(exchange, body_of(dialect, None, place))
    error = heard.error
    return Ending(
        outcome=heard.outcome,
        error=None if error is None else type(error).__name__,
        quoted=error is not None and WORDS in error.message,
        kept=heard.texts == before.texts or not any(map(any, [*heard.texts.values(), *before.texts.values()])),
    )


def draw_spellings() -> str:
    """Return a table of spellings by dialect: the class of the error, where the outcome is ``failed`` in all places."""
    names = list(dict.fromkeys(name for dialect in DIALECTS for name in spellings_of(dialect)))
    heads = ["spelling", *(f"`{dialect}`" for dialect in DIALECTS)]
    rows = [[name, *(_cell(dialect, name) for dialect in DIALECTS)] for name in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _cell(dialect: str, spelling: str) -> str:
    if spelling not in spellings_of(dialect):
        return "–"
    endings = {place: ending_of(dialect, spelling, place) for place in PLACES}
    shown = {place: _shown(ending) for place, ending in endings.items()}
    return (
        shown["first"]
        if len(set(shown.values())) == 1
        else "; ".join(f"{where}: {what}" for where, what in shown.items())
    )


def _shown(ending: Ending) -> str:
    wrong = [word for word, right in (("not quoted", ending.quoted), ("content changed", ending.kept)) if not right]
    outcome = [] if ending.outcome == "failed" else [ending.outcome]
    return ", ".join([f"`{ending.error}`", *outcome, *wrong])


_BEGIN, _END = "<!-- spellings -->", "<!-- end of spellings -->"


def page_with(table: str) -> str:
    """Return the page with this table."""
    before, begin, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"
