"""Public values as plain data: what a call ended in, split into facts, which must not change, and texts, which may.

Left out, because they depend on timing or on the machine: `LEFT_OUT`. Ports and memory addresses in texts are
replaced by a placeholder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyglot_core import InferenceResponse, PartialInferenceResponse

__all__ = [
    "LEFT_OUT",
    "Split",
    "error_of",
    "kinds_of",
    "neutral",
    "partials_of",
    "requests_seen",
    "response_of",
    "shortened",
    "without",
]

LEFT_OUT = {
    "transport": "name of the transport, where one is installed",
    "timing": "seconds until the first event and until the end of a response",
    "elapsed": "seconds until the error",
    "wait": "seconds of backoff, drawn at random; recorded is only whether there is a wait",
}
"""Fields that no record holds as they are, and why."""

_OF_EXCEPTIONS = frozenset({"args", "characters_written", "errno", "filename", "filename2", "strerror", "winerror"})
_TEXTS_OF_ERRORS = frozenset({"message"})
_APART = frozenset({"partial"})  # recorded as the response
_TEXTS_WITHIN = {"failed_attempts": "message", "seam": "message"}
_HTTP_CLIENTS = {"httpcore", "httpcore2", "httpx", "httpx2"}
_LONG = 10_000  # characters of a text from which on its beginning and its digest are recorded
_PLAIN = (str, int, float, bool, type(None), list, tuple, dict)
_SO_FAR = {"content": "content_delta", "reasoning_content": "reasoning_delta"}
_CHANGING = ("tool_calls", "usage")
_VARYING = [
    (re.compile(r"(?<=127\.0\.0\.1:)\d+|(?<=localhost:)\d+|(?<=\[::1\]:)\d+"), "PORT"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "0xADDRESS"),
    (re.compile(r"/tmp/[\w./-]+"), "/tmp/PATH"),  # noqa: S108 (no file is made)
]

Split = tuple[Any, list[str]]
"""Facts, and the texts that were among them, in order."""


def neutral(text: str) -> str:
    """Return a text without ports, memory addresses and temporary paths."""
    for pattern, placeholder in _VARYING:
        text = pattern.sub(placeholder, text)
    return text


def response_of(response: InferenceResponse | None) -> Split:
    """Return the fields of a response, less those in `LEFT_OUT`."""
    return (None, []) if response is None else _split(response.to_dict())


def error_of(error: BaseException | None) -> Split:
    """Return class and public attributes of an error; texts are its message, its `str` and its notes."""
    if error is None:
        return None, []
    names = [name for name in dir(error) if not name.startswith("_") and name not in _OF_EXCEPTIONS | _APART]
    values = {name: getattr(error, name, None) for name in names}
    facts = {name: value for name, value in values.items() if _is_fact(name, value)}
    texts = [str(error), *getattr(error, "__notes__", ())]
    return {"class": type(error).__name__, "cause": _class_of(error.__cause__), **facts}, list(map(neutral, texts))


def _is_fact(name: str, value: object) -> bool:
    return isinstance(value, _PLAIN) and name not in _TEXTS_OF_ERRORS and name not in LEFT_OUT


def _class_of(cause: object) -> str | None:
    """Return the name of a cause's class; which one an HTTP client raises for a broken connection is a race."""
    if cause is None:
        return None
    return "HTTP client's" if type(cause).__module__.partition(".")[0] in _HTTP_CLIENTS else type(cause).__name__


def partials_of(partials: Sequence[PartialInferenceResponse]) -> Split:
    """Return the partials, each less the fields that are empty or as in the partial before it.

    The text so far is left out where it is the text so far of the same choice and the delta.
    """
    found, texts = [], []
    before: dict[int, dict[str, Any]] = {}
    for partial in partials:
        fields, more = _split(partial.to_dict())
        known = before.get(fields["choice"], {})
        found.append({"raw": len(partial.raw), **_changed(fields, known)})
        texts += more
        before[fields["choice"]] = fields
    return found, texts


def _changed(fields: dict[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    expected = {name: known.get(name, "") + (fields.get(delta) or "") for name, delta in _SO_FAR.items()}
    expected |= {name: known.get(name) for name in _CHANGING}
    return {name: value for name, value in fields.items() if value not in (None, "", [], expected.get(name))}


def kinds_of(events: Iterable[object]) -> list[list[Any]]:
    """Return the classes of events, each with how many of them follow each other."""
    return [[name, len(list(group))] for name, group in groupby(type(event).__name__ for event in events)]


def _split(value: Any, within: str = "") -> Split:
    """Take the texts out of plain data, and what is in `LEFT_OUT`."""
    if isinstance(value, (list, tuple)):
        parts = [_split(each, within) for each in value]
        return [facts for facts, _ in parts], [text for _, texts in parts for text in texts]
    if isinstance(value, dict):
        return _split_fields(value, within)
    return value, []


def _split_fields(fields: dict[str, Any], within: str) -> Split:
    facts: dict[str, Any] = {}
    texts: list[str] = []
    for name, value in fields.items():
        if name == _TEXTS_WITHIN.get(within):
            texts.append(neutral(str(value)))
        elif name == "wait" and within in _TEXTS_WITHIN:
            facts[name] = bool(value)
        elif name in _TEXTS_WITHIN or (name == "partial" and within in _TEXTS_WITHIN):
            facts[name], more = _split(value, name)
            texts += more
        elif name not in LEFT_OUT or within not in {"", "partial"}:
            facts[name] = value
    return facts, texts


def shortened(value: Any) -> Any:
    """Return plain data with the beginning and the digest of each long text instead of the text."""
    if isinstance(value, dict):
        return {name: shortened(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [shortened(each) for each in value]
    if not isinstance(value, str) or len(value) < _LONG:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "backslashreplace")).hexdigest()
    return f"{value[:100]}... {len(value)} characters, SHA-256 {digest}"


def without(value: Any, names: AbstractSet[str]) -> Any:
    """Return plain data without the fields of these names, at whatever depth."""
    if isinstance(value, dict):
        return {name: without(each, names) for name, each in value.items() if name not in names}
    return [without(each, names) for each in value] if isinstance(value, list) else value


def requests_seen(requests: Iterable[Any]) -> list[dict[str, Any]]:
    """Return what servers saw of requests: method, path, names of headers and body."""
    return [
        {
            "method": request.method,
            "path": getattr(request, "path", None) or request.target,
            "headers": sorted(request.headers),
            "body": _body_of(request.body),
        }
        for request in requests
    ]


def _body_of(body: Any) -> Any:
    return body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else body
