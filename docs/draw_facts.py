"""What each fact of a preset means to a user, in a sentence."""

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
    supported = f"The option `{name}` is supported too."
    return supported if name == field else f"The option `{name}` is sent as the field `{field}`."


_FEATURES = {
    "json": '`response_format="json"`',
    "json_schema": "a JSON Schema as `response_format`",
    "image": "images",
    "audio": "audio",
    "document": "documents",
    "name": "the name of a speaker",
}
"""Names of features in `unsupported` that differ from the names in a request."""


def _listed_features(features: Iterable[str]) -> str:
    *others, final = (_FEATURES.get(feature, f"`{feature}`") for feature in features)
    return f"{', '.join(others)} and {final}" if others else final


_COMPLETE_ON = {
    "finish": "A stream is complete when the body ends after a finish reason.",
    "end": "A stream is complete only after the end marker.",
    "both": "A stream is complete only after a finish reason and the end marker.",
}

_CHAT: _Words = {
    # URL and headers
    "path": lambda path: f"Requests are sent to the path `{path}` below the base URL.",
    "query": lambda query: f"The URL has the query {_pairs(query, 'with the value')}.",
    "headers": lambda headers: f"Each request has the header {_pairs(headers, 'with the value')}.",
    # request
    "body": lambda body: f"Each request has `{json.dumps(body)}` in its body, unless `extra` overrides it.",
    "token_limit": lambda field: f"The option `max_tokens` is sent as the field `{field}`.",
    "options": lambda names: " ".join(_option(*pair) for pair in names.items()),
    "unsupported": lambda features: f"Not supported (`RequestError`): {_listed_features(features)}.",
    "developer_role": lambda role: f"Messages of the role `developer` are sent as `{role}`.",
    "stream_usage": lambda _: "Streams do not request usage; it is known only if the provider reports it anyway.",
    "schema_at": lambda path: (
        f"A JSON Schema is sent as a format of the type `{path[0]}`, in the field `{path[1]}`, without a name."
    ),
    "cache_marks": lambda _: "`Text(…, cache=True)` marks the prompt up to this point for the cache.",
    "embedding_path": lambda path: f"Embeddings are requested at the path `{path}` below the base URL.",
    "embedding_limits": lambda limits: f"A request for embeddings has up to {limits[0]} texts.",
    "embedding_encoding": lambda encoding: (
        f"The vectors of embeddings are requested as `{encoding}`." if encoding else "Embeddings have no encoding."
    ),
    "document_urls": lambda _: "A `Document` may be given by its `url`.",
    "result_parts": lambda _: "The result of a tool may contain images and documents.",
    "reasoning_back": lambda fields: f"Thinking of earlier turns is sent back in {_listed(fields)}.",
    "reasoning_default": lambda text: (
        f"A turn with tool calls but without thinking is rejected, so it is sent with the thinking `{text}`."
    ),
    "prefill": lambda _: 'A model can continue its own text: `resume="prefill"` is supported.',
    # response
    "failed_on": lambda statuses: f"The finish reason {_pairs(statuses, 'is an error with status')}.",
    "reasoning_fields": lambda fields: f"Thinking is read from the first non-empty field of {_listed(fields, 'and')}.",
    "reasoning_blocks": lambda field: f"Thinking in blocks is read from `{field}`.",
    "reasoning_signature": lambda path: f"The signature of thinking is read from `{path}`.",
    "reasoning_encrypted": lambda path: f"Encrypted thinking is read from `{path}`.",
    "think_tags": lambda tags: (
        f"Thinking that a model writes into its text, between `{tags[0]}` and `{tags[1]}`, is removed from the text."
        if tags[0]
        else f"Thinking at the start of the text, up to `{tags[1]}`, is removed from the text."
    ),
    "call_signature": lambda path: f"The signature of a tool call is read from `{path}`, and sent back there.",
    "citations_at": lambda paths: f"Sources are read from {_listed(paths, 'or else')}, beside the choices.",
    "usage_at": lambda paths: f"Usage is also read from {_listed(paths, 'or')}.",
    "error_at": lambda path: f"An error may have the status 200; it is read from `{path}`.",
    "error_statuses": lambda codes: f"Its error codes are mapped to HTTP statuses: {_pairs(codes, 'as')}.",
    "complete_on": lambda sign: _COMPLETE_ON[sign],
    "finish_counts": lambda which: f"Of several finish reasons the {which} one counts.",
    "flush_at_eof": lambda _: "The last event counts without its closing blank line.",
    "response_headers": lambda names: f"The headers {_listed(names)} of the response are in `response.headers` too.",
}

_RESPONSES: _Words = {
    "own_calls": lambda starts: (
        f"Tool calls whose ids begin with {_listed(starts, 'or')} are run by the provider; they are in `server_tools`."
    ),
    "query": _CHAT["query"],
    "thinking": lambda kind: f"Thinking of earlier turns is sent back as parts of the type `{kind}`.",
}

_MESSAGES: _Words = {
    "max_tokens": lambda limit: f"The default of `max_tokens` is {limit}.",
    "path": lambda path: f"Plain requests are sent to the path `{path}` below the base URL.",
    "stream_path": lambda path: f"Streaming requests are sent to the path `{path}` below the base URL.",
    "body_version": lambda version: f"The body has the version `{version}`, and the path has the model.",
    "unsigned_thinking": lambda _: "Thinking has no signature, and is sent back without one.",
}

_WORDS: dict[str, _Words] = {
    "openai": _CHAT,
    "azure-openai": _CHAT,
    "openai-responses": _RESPONSES,
    "anthropic": _MESSAGES,
    "ollama": {"think_tags": _CHAT["think_tags"]},
}
"""Sentence of each fact, by driver."""


def sentences(driver: str, facts: Mapping[str, Any]) -> list[str]:
    """Return the meaning of a preset's facts, one sentence each.

    Raises:
        KeyError: There is no sentence for a fact.
    """
    return [_WORDS[driver][fact](value) for fact, value in facts.items()]
