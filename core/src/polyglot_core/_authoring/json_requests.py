"""Creates requests with JSON bodies, and their URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from polyglot_core._authoring.facts import config_error
from polyglot_core._values.json_values import encode_json
from polyglot_core._wire.messages import WireRequest

if TYPE_CHECKING:
    from collections.abc import Collection

    from polyglot_core._values.connection import Connection

__all__ = ["json_request", "merged", "url_of"]

_JSON = "application/json"

_STREAMS = {"ndjson": "application/x-ndjson"}

_EVENTS = "text/event-stream"


def json_request(url: str, body: object, *, stream: bool, **reading: Any) -> WireRequest:  # noqa: ANN401 (see below)
    """Return a POST request with a JSON body, or a GET request, with ``content-type`` and ``accept`` headers.

    Args:
        url: Absolute URL.
        body: The body, which is encoded as JSON; None for a GET request without one.
        stream: True if the response is a stream, False if it is one JSON text.
        reading: Further fields of the `WireRequest`, which specify how the response is read. `framing` applies to a
            stream only.

    Raises:
        RequestError: The body has a value that cannot be written as JSON.
    """
    framing, headers = reading.pop("framing", "sse"), reading.pop("headers", {})
    accept = _STREAMS.get(framing, _EVENTS) if stream else _JSON
    return WireRequest(
        url=url,
        body=b"" if body is None else encode_json(body, "The request's body"),
        method="GET" if body is None else "POST",
        headers={"content-type": _JSON, "accept": accept, **headers},
        framing=framing if stream else "whole",
        **reading,
    )


def url_of(connection: Connection, path: str = "", *, default: str | None = None) -> str:
    """Return a URL below the connection's `base_url`. One slash separates them, whether or not they have one there.

    Args:
        connection: The connection.
        path: The path, which may end with a query; empty for the `base_url` alone, without a slash at its end.
        default: What is used where the connection has no `base_url`.

    Raises:
        ConfigError: The connection has no `base_url`, and there is no default.
    """
    if not (base := connection.base_url or default):
        raise config_error(connection, "has no base_url: set it in the configuration, or pass base_url='https://…'")
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base.rstrip("/")


def merged(body: Mapping[str, Any], extra: Mapping[str, Any], *, lists: Collection[str] = ("tools",)) -> dict[str, Any]:
    """Return the body with the user's `extra` fields laid over it: the one rule of all drivers.

    Objects are merged field by field, at every depth, so that a further setting keeps the others. Lists whose field is
    named in `lists`, at any depth, are appended, so that tools of the provider are added to the user's. Any other value
    replaces that of the body.
    """
    fields = dict(body)
    for name, value in extra.items():
        before = fields.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            fields[name] = merged(before, value, lists=lists)
        elif isinstance(before, list) and isinstance(value, (list, tuple)) and name in lists:
            fields[name] = [*before, *value]
        else:
            fields[name] = value
    return fields
