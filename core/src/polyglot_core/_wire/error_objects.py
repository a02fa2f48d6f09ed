"""Reads an error object of any known shape: its texts, codes, status and wait, however deeply a gateway nests them.

The objects are walked from the outside in. The walk is bounded in depth and in the number of values, and each text is
parsed at most once for each level, so the time is linear in the size of the error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from polyglot_core._values.events import Failure
from polyglot_core._wire.error_classes import is_known, specificity
from polyglot_core._wire.retry_after import wait_in_object

__all__ = ["read_error"]

_DEEPEST = 12
_MOST_VALUES = 64
_MOST_ITEMS = 16  # of one list
_LONGEST_OPENED = 64 * 1024  # characters of a text that may itself hold JSON
_LONGEST_OUTER = 200  # characters of a text in front of a more specific one
_LONGEST_TEXT = 16 * 1024  # characters that are kept of a text
_LONGEST_WORD = 100  # characters of a code
_LARGEST_CODE = 10**18
_SHORTEST_REPEATED = 8  # characters; a shorter text is left out only if it is equal to another
_LOWEST_STATUS, _HIGHEST_STATUS = 400, 599

_TEXTS = (
    "message", "detail", "msg", "error_description", "error_message", "errorMessage", "err_msg", "status_msg",
    "Message", "description", "title", "faultstring", "reason",
)  # fmt: skip
"""Fields that hold a text, best first."""
_ENVELOPES = ("error", "errors")
_INNER = (
    *_ENVELOPES, "Error", "err", "message", "detail", "details", "metadata", "raw", "cause", "causes", "root_cause",
    "inner_error", "innererror", "innerError", "inner", "upstream_error", "provider_error", "original_error",
    "previous_errors", "exception", "fault", "base_resp", "body", "response", "data", "violations", "fieldViolations",
    "field_violations", "headers", "failed_generation",
)  # fmt: skip
"""Fields that hold the cause of an error: an object, a list, or JSON in a text."""
_PLAIN = frozenset({*_ENVELOPES, "Error", "err", "details", "raw", "cause", "body", "failed_generation", "root_cause"})
"""Those of them whose text counts without being JSON."""
_LABELS = ("provider_name",)
_CODES = ("code", "error_code", "errorCode", "Code", "status_code")
_KINDS = ("type", "error_type", "errorType", "status", "__type")
_STATUSES = ("code", "status", "status_code", "statusCode", "http_status", "error_code", "Code")
_PLACES = ("loc", "field")
_MEANINGLESS = frozenset({"error", "exception", "failed", "object"})


class _Text(NamedTuple):
    """A text, and how deep in the object it stands."""

    text: str
    depth: int


def read_error(payload: object) -> Failure:
    """Read a parsed error object, a list of them, or a text that may hold one.

    The message has the texts from the outermost to the most specific one, without repetitions. The code is the most
    specific one, and the type the one next to it.
    """
    texts: list[_Text] = []
    objects: list[Mapping[str, Any]] = []
    for value, depth in _walk(payload):
        if isinstance(value, str):
            texts.append(_Text(value, depth))
        else:
            objects.append(value)
            texts += _own_texts(value, depth)
    inner = [each for each in objects if not _is_envelope(each)]
    ordered = [*inner, *reversed([each for each in objects if _is_envelope(each)])]
    code, kind = _most_specific([_words(each) for each in ordered])
    return Failure(
        message=_joined(texts) or _json_text(_innermost(payload)),
        code=code,
        type=kind,
        status=_first(map(_status, ordered)),
        param=_first(map(_param, ordered)),
        retry_after=_first(wait_in_object(each) for each in objects),
    )


# The walk


def _walk(payload: object) -> Iterator[tuple[str | Mapping[str, Any], int]]:
    """Yield the texts and objects of an error, each with its depth, from the outside in."""
    waiting: list[tuple[object, int, bool]] = [(payload, 0, True)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value, depth, plain = waiting.pop()
        if isinstance(value, str):
            before, found, after = _opened(value) if depth < 2 * _DEEPEST else (value, None, "")
            if found is None and plain:
                yield value, depth
            elif found is not None:
                yield before, depth
                waiting += [(after, depth + 2, True), (found, depth + 1, True)]
        elif isinstance(value, Mapping):
            yield value, depth
            if depth < 2 * _DEEPEST:
                waiting += [(inner, depth + 2, is_plain) for inner, is_plain in reversed(_inner(value))]
        elif isinstance(value, Sequence):
            waiting += [(item, depth, plain) for item in reversed(value[:_MOST_ITEMS])]


def _inner(error: Mapping[str, Any]) -> list[tuple[object, bool]]:
    """Return the values within an object that may hold its cause, and whether their text counts if it is not JSON."""
    found: list[tuple[object, bool]] = []
    for name in _INNER:
        value = error.get(name)
        if isinstance(value, (Mapping, list)) and value:
            found.append((value, True))
        elif isinstance(value, str) and value and name not in _TEXTS and name not in _ENVELOPES:
            found.append((value, name in _PLAIN))
    return found + [(text, True) for text in _texts_with_json(error)]


def _own_texts(error: Mapping[str, Any], depth: int) -> Iterator[_Text]:
    """Yield the texts of an object that hold no JSON: what it is called, and what it says."""
    place = _place(error)
    titles = [error[name] for name in (*_ENVELOPES, *_LABELS) if isinstance(error.get(name), str)]
    for text in titles:
        if _opened(text)[1] is None:
            yield _Text(text, depth)
    text = _text(error)
    if text is not None and _opened(text)[1] is None:
        yield _Text(f"{place}: {text}" if place else text, depth + bool(titles))


def _texts_with_json(error: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of an object that hold JSON."""
    for text in (*(error.get(name) for name in _ENVELOPES), _text(error)):
        if isinstance(text, str) and _opened(text)[1] is not None:
            yield text


def _text(error: Mapping[str, Any]) -> str | None:
    """Return what an object says; a code in a field that may hold either is none."""
    texts = (error.get(name) for name in _TEXTS)
    found = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    return None if found is not None and found == error.get("reason") and _is_word(found) else found


def _is_envelope(error: Mapping[str, Any]) -> bool:
    return any(isinstance(error.get(name), (Mapping, list)) and error[name] for name in _ENVELOPES)


# JSON in a text

_OBJECT = re.compile(r"""\{\s*\\{0,3}["']""")
_MOST_OBJECTS = 3
_DECODER = json.JSONDecoder(strict=False)
_CODED = frozenset({*_CODES, *_STATUSES, "type", "error_type", "errorType", "__type"})
_KNOWN = frozenset({*_TEXTS, *_CODED, *_INNER, "param", "request_id", "requestId", "timestamp", "path"})
_ESCAPED_IN_PYTHON = re.compile(r"\\([\\'])")
_ESCAPED_IN_JSON = re.compile(r'\\([\\"])')
_PYTHON_TOKEN = re.compile(
    r"""'(?P<single>(?:[^'\\]|\\.?)*+)(?:'|\Z)|(?P<double>"(?:[^"\\]|\\.?)*+(?:"|\Z))|\b(?P<word>True|False|None)\b""",
    re.DOTALL,
)
_JSON_WORD = {"True": "true", "False": "false", "None": "null"}
_BYTES = re.compile(r"\bb['\"]\s*$")


def _opened(text: str) -> tuple[str, object, str]:
    """Return the error object in a text, with what stands before and after it; None as the object if there is none."""
    if "{" not in text or len(text) > _LONGEST_OPENED:
        return text, None, ""
    for _, start in zip(range(_MOST_OBJECTS), _OBJECT.finditer(text), strict=False):
        for spelled in _spellings(text[start.start() :]):
            found, end = _decoded(spelled)
            if not isinstance(found, dict):
                continue
            if not _is_error(found):  # the text quotes a part of the request
                return text, None, ""
            before = _BYTES.sub("", text[: start.start()]).rstrip(" \t\r\n:-=[('\"")
            return before, found, spelled[end:].lstrip(" \t\r\n'\"]).,;").rstrip()
    return text, None, ""


def _is_error(found: Mapping[str, Any]) -> bool:
    """Return True if an object in a text is an error: it has a text, and a code, or nothing that errors do not have."""
    nested = [found[name] for name in _ENVELOPES if found.get(name)]
    if any(isinstance(each, (str, list)) or (isinstance(each, Mapping) and _tells(each)) for each in nested):
        return True
    return _tells(found)


def _tells(error: Mapping[str, Any]) -> bool:
    return _has_text(error) and (not _CODED.isdisjoint(error) or _KNOWN.issuperset(error))


def _has_text(error: Mapping[str, Any]) -> bool:
    return any(isinstance(error.get(name), (str, list, Mapping)) and error[name] for name in _TEXTS)


def _spellings(text: str) -> Iterator[str]:
    """Yield a text as it is, without escapes of Python or of JSON, and, if it is Python's `repr`, as JSON."""
    yield text
    if "\\" in text:
        yield _ESCAPED_IN_PYTHON.sub(r"\1", text)
        yield _ESCAPED_IN_JSON.sub(r"\1", text)
    if "'" in text:
        yield _PYTHON_TOKEN.sub(_as_json, text)


def _as_json(token: re.Match[str]) -> str:
    if token["word"]:
        return _JSON_WORD[token["word"]]
    if token["double"]:
        return token["double"].replace("\\'", "'")
    return '"' + token["single"].replace("\\'", "'").replace('"', '\\"').replace('\\\\"', '\\"') + '"'


def _decoded(text: str) -> tuple[object, int]:
    """Return the JSON value that a text begins with, and where it ends; None if there is none."""
    try:
        return _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0


# The fields of an object


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and not any(character.isspace() for character in text)


def _word(value: object) -> str | None:
    if isinstance(value, str):
        return value if value and value.lower() not in _MEANINGLESS else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return str(value) if abs(value) < _LARGEST_CODE else None


def _words(error: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return code and type of an object. A reason, or an error, that is a word counts where there is no code."""
    code = _word(error.get("code"))
    if code is None:
        code = _first(_word(error.get(name)) for name in _CODES if name != "status_code")
    kind = _first(_word(error[name]) for name in _KINDS if error.get(name))
    reason = error.get("reason")
    if code is None and isinstance(reason, str) and _is_word(reason):
        code = _word(reason)
    named = next((error[name] for name in _ENVELOPES if isinstance(error.get(name), str)), "")
    if code is None and kind is None and _is_word(named) and is_known(named):
        kind = named
    return code, kind


def _most_specific(words: list[tuple[str | None, str | None]]) -> tuple[str | None, str | None]:
    return max(words, key=lambda pair: max(map(specificity, pair)), default=(None, None))


def _status(error: Mapping[str, Any]) -> int | None:
    return next((status for name in _STATUSES if (status := _as_status(error.get(name))) is not None), None)


def _as_status(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) == len("429"):
        value = int(value)
    return value if isinstance(value, int) and _LOWEST_STATUS <= value <= _HIGHEST_STATUS else None


def _place(error: Mapping[str, Any]) -> str:
    """Return the place in the request that a message is about: a path as a list, or the name of a field."""
    place = next((error[name] for name in _PLACES if error.get(name)), None)
    if isinstance(place, str):
        return place if _is_word(place) else ""
    steps = place[:_MOST_ITEMS] if isinstance(place, list) else []
    return ".".join(str(step)[:_LONGEST_WORD] for step in steps if isinstance(step, (str, int)))


def _param(error: Mapping[str, Any]) -> str | None:
    param = error.get("param")
    return (param if isinstance(param, str) else None) or _place(error) or None


def _first(values: Iterator[Any]) -> Any:  # noqa: ANN401 (of any type)
    return next((value for value in values if value is not None), None)


# The message


def _joined(texts: list[_Text]) -> str:
    """Return the texts as one: a deeper one behind a colon, one of equal depth behind a semicolon."""
    message, depth = "", 0
    kept = _without_repetitions(texts)
    for number, (text, at) in enumerate(kept):
        shown = text if number == len(kept) - 1 or len(text) <= _LONGEST_OUTER else text[: _LONGEST_OUTER - 1] + "…"
        between = ("; " if at <= depth else ": ") if message else ""
        message, depth = (message.rstrip(" .:") if between == ": " else message) + between + shown, at
    return message


def _without_repetitions(texts: list[_Text]) -> list[_Text]:
    kept: list[_Text] = []
    for each in texts:
        text = each.text.strip()
        text = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
        if text and not any(_repeats(text, other.text) for other in kept):
            kept = [other for other in kept if not _repeats(other.text, text)]
            kept.append(_Text(text, each.depth))
    return kept


def _repeats(text: str, other: str) -> bool:
    """Return True if `other` contains `text`; a short text has to be equal."""
    return text == other or (len(text) >= _SHORTEST_REPEATED and text in other)


def _innermost(payload: object) -> object:
    """Return the value that describes an error without a text, without the objects around it."""
    for _ in range(_DEEPEST):
        if isinstance(payload, list) and payload:
            payload = payload[0]
        elif isinstance(payload, Mapping) and (inner := payload.get("error") or payload.get("errors")):
            payload = inner
        else:
            break
    texts = payload if isinstance(payload, Mapping) else {}
    return next((texts[name] for name in ("message", "detail") if texts.get(name)), payload)


def _json_text(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    return msgspec.json.encode(value).decode() if value else ""
