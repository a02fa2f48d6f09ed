"""What each column of a preset's row means to a user of the place, in a sentence: the one table of these words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["sentences"]

_Words = dict[str, "Callable[[Any], str]"]


def _code(value: object) -> str:
    return f"`{value}`"


def _listed(values: Iterable[object], last: str = "and") -> str:
    *others, final = map(_code, values)
    return f"{', '.join(others)} {last} {final}" if others else final


def _pairs(fields: Mapping[str, object], link: str) -> str:
    return ", ".join(f"{_code(name)} {link} {_code(value)}" for name, value in fields.items())


def _option(name: str, field: str) -> str:
    return f"It takes the option `{name}` too." if name == field else f"The option `{name}` is the field `{field}`."


_FEATURES = {
    "json": '`response_format="json"`',
    "json_schema": "a JSON Schema as `response_format`",
    "image": "images",
    "audio": "sounds",
    "document": "documents",
    "name": "the name of a speaker",
}
"""What `unsupported` may hold that is not called so where it is asked for."""


def _unsupported(features: Iterable[str]) -> str:
    *others, final = (_FEATURES.get(feature, f"`{feature}`") for feature in features)
    return f"{', '.join(others)} or {final}" if others else final


_COMPLETE_ON = {
    "finish": "A stream is whole when the body ends after a finish reason.",
    "end": "A stream is whole only when it says so itself.",
    "both": "A stream is whole only when it says so itself, after a finish reason.",
}

_CHAT: _Words = {
    # where
    "path": lambda path: f"Chats are asked for at `{path}` below the address.",
    "query": lambda query: f"The URL has {_pairs(query, 'as')}.",
    "headers": lambda headers: f"Each request has the header {_pairs(headers, 'with the value')}.",
    # what is asked
    "body": lambda body: f"Each request has `{json.dumps(body)}` in its body, unless `extra` says otherwise.",
    "token_limit": lambda field: f"The option `max_tokens` is the field `{field}`.",
    "options": lambda names: " ".join(_option(*pair) for pair in names.items()),
    "unsupported": lambda features: f"It cannot be told {_unsupported(features)}: that is a `RequestError`.",
    "developer_role": lambda role: f"Messages of the role `developer` are sent as `{role}`.",
    "stream_usage": lambda _: "A stream is not asked to report usage; it comes only where the place reports it anyway.",
    "schema_at": lambda place: (
        f"A JSON Schema is sent as a format of the type `{place[0]}`, in the field `{place[1]}`; it has no name there."
    ),
    "cache_marks": lambda _: "`Text(…, cache=True)` marks the prompt up to there for the cache.",
    "document_urls": lambda _: "A `Document` may be given by its `url`.",
    "result_parts": lambda _: "The result of a tool may have images and documents.",
    "reasoning_back": lambda fields: f"Of the thinking of earlier turns goes back: {_listed(fields)}.",
    "prefill": lambda _: 'A model can write on from its own text: `resume="prefill"`.',
    # what comes
    "failed_on": lambda statuses: f"The finish reason {_pairs(statuses, 'is an error with status')}.",
    "reasoning_fields": lambda fields: f"Thinking is read from the first of {_listed(fields, 'or')} that has any.",
    "reasoning_blocks": lambda field: f"Thinking in blocks is read from `{field}`.",
    "reasoning_signature": lambda place: f"The signature of the thinking is read from `{place}`.",
    "reasoning_encrypted": lambda place: f"Encrypted thinking is read from `{place}`.",
    "think_tags": lambda tags: (
        f"Thinking that a model leaves in its text, between `{tags[0]}` and `{tags[1]}`, is taken out of it."
    ),
    "call_signature": lambda place: f"A tool call has its signature in `{place}`, and takes it back there.",
    "citations_at": lambda places: f"Sources are read from {_listed(places, 'or else')}, beside the choices.",
    "usage_at": lambda places: f"Usage is also looked for in {_listed(places, 'or')}.",
    "error_at": lambda place: f"A refusal may come with the status 200; it is read from `{place}`.",
    "error_statuses": lambda codes: f"Its codes count as HTTP statuses: {_pairs(codes, 'as')}.",
    "complete_on": lambda sign: _COMPLETE_ON[sign],
    "finish_counts": lambda which: f"Of several finish reasons the {which} one counts.",
    "flush_at_eof": lambda _: "A last event without its blank line counts.",
}

_RESPONSES: _Words = {
    "own_calls": lambda starts: (
        f"Calls whose ids begin with {_listed(starts, 'or')} are run by the place itself; they are in `server_tools`."
    ),
    "query": _CHAT["query"],
    "thinking": lambda kind: f"Thinking of earlier turns goes back as parts of the type `{kind}`.",
}

_MESSAGES: _Words = {
    "max_tokens": lambda limit: f"Where `max_tokens` is not given it is {limit}.",
    "path": lambda path: f"Plain answers are asked for at `{path}` below the address.",
    "stream_path": lambda path: f"Streams are asked for at `{path}` below the address.",
    "body_version": lambda version: f"The version `{version}` stands in the body, and the model in the path.",
    "unsigned_thinking": lambda _: "Thinking comes without a signature, and goes back without one.",
}

_WORDS: dict[str, _Words] = {
    "openai": _CHAT,
    "azure-openai": _CHAT,
    "openai-responses": _RESPONSES,
    "anthropic": _MESSAGES,
    "ollama": {"think_tags": _CHAT["think_tags"]},
}
"""Column → sentence, by driver."""


def sentences(driver: str, facts: Mapping[str, Any]) -> list[str]:
    """What a row's facts mean, one sentence a column.

    Raises:
        KeyError: There are no words for a column.
    """
    return [_WORDS[driver][column](value) for column, value in facts.items()]
