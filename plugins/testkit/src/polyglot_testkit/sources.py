"""What exchanges are read from: recordings, folders of them, VCR cassettes, and bare files of server-sent events."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyglot_testkit.exchanges import Exchange, Read, RecordedRequest, RecordingError, load
from polyglot_testkit.recorder import without_keys
from polyglot_testkit.redaction import Redactor, names_key

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["exchanges_in"]


def exchanges_in(path: str | os.PathLike[str]) -> list[Exchange]:
    """Return the exchanges of a file or a folder, in order.

    ``.yaml``, ``.yml`` and ``.json`` are cassettes of VCR, ``.sse`` and ``.txt`` the bytes of one body of server-sent
    events. Every other file is a recording. Of a folder the files ``*.jsonl`` are read, in the order of their names.

    Raises:
        RecordingError: It does not exist, cannot be read, or has no exchange.
    """
    source = Path(path)
    try:
        files = sorted(source.glob("*.jsonl")) if source.is_dir() else [source]
        found = [exchange for file in files for exchange in _read(file)]
    except OSError as error:
        raise RecordingError(f"{source} cannot be read: {error.strerror or error}.", phase="configure") from error
    if not found:
        what = "has no file *.jsonl with an exchange" if source.is_dir() else "has no exchange"
        raise RecordingError(f"{source} {what}.", phase="configure")
    return found


def _read(file: Path) -> list[Exchange]:
    content = file.read_bytes()
    reader = _READERS.get(file.suffix.lower(), load)
    return reader(content, str(file))


def _bare(content: bytes, _: str) -> list[Exchange]:
    """Return the exchange of a body alone: its request is not known, and its pace neither."""
    return [Exchange(status=200, headers={"content-type": "text/event-stream"}, reads=(Read(content),))]


# Cassettes of VCR. Source: https://vcrpy.readthedocs.io/en/latest/ and its serializers: YAML or JSON with a list of
# `interactions`, each with a request (method, uri, headers with lists of values, body) and a response (status, headers,
# body).


def _cassette(parse: Callable[[bytes], Any]) -> Callable[[bytes, str], list[Exchange]]:
    def read(content: bytes, name: str) -> list[Exchange]:
        try:
            interactions = parse(content)["interactions"]
            return [_interaction(each) for each in interactions]
        except RecordingError:
            raise
        except (
            ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, binascii.Error,
            zlib.error,
        ) as error:  # fmt: skip
            what = f"{type(error).__name__}: {error}"
            raise RecordingError(f"{name} is not a cassette of VCR ({what}).", phase="configure") from error

    return read


def _from_yaml(content: bytes) -> Any:  # noqa: ANN401 (of a file)
    try:
        yaml: Any = import_module("yaml")
    except ImportError as error:
        msg = "Cassettes in YAML need pyyaml: pip install 'polyglot-testkit[vcr]'."
        raise RecordingError(msg, phase="configure") from error
    try:
        return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _interaction(interaction: Mapping[str, Any]) -> Exchange:
    """Return an interaction as an exchange, without keys: cassettes may have been recorded without a filter."""
    asked, answered = interaction["request"], interaction["response"]
    sent, received = _headers(asked.get("headers")), _headers(answered.get("headers"))
    request = RecordedRequest(
        method=asked["method"], url=asked.get("uri") or asked["url"], headers=sent, body=_bytes(asked.get("body"))
    )
    body = _bytes(answered.get("body", answered.get("content")))
    if received.pop("content-encoding", "") in {"gzip", "deflate"} and body[:2] == b"\x1f\x8b":
        body = zlib.decompress(body, 31)
    status = answered.get("status", answered.get("status_code"))
    exchange = Exchange(
        request=request,
        at=str(interaction.get("recorded_at", "")),
        status=status["code"] if isinstance(status, dict) else int(status),
        headers=received,
        reads=(Read(body),) if body else (),
    )
    return without_keys(exchange, Redactor(value for name, value in sent.items() if names_key(name)))


def _headers(headers: Mapping[str, Any] | None) -> dict[str, str]:
    return {
        name.lower(): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in (headers or {}).items()
    }


def _bytes(body: Any) -> bytes:  # noqa: ANN401 (of a file)
    """Return a body, which is text or bytes, or a mapping with either, or with base64."""
    if isinstance(body, dict):
        if "base64_string" in body:
            return base64.b64decode(body["base64_string"])
        body = body.get("string", body.get("encoded"))
    if body is None:
        return b""
    return body if isinstance(body, bytes) else str(body).encode()


_READERS: dict[str, Callable[[bytes, str], list[Exchange]]] = {
    ".json": _cassette(json.loads),
    ".sse": _bare,
    ".txt": _bare,
    ".yaml": _cassette(_from_yaml),
    ".yml": _cassette(_from_yaml),
}
"""Readers by the ending of the name."""
