"""Whether a request is the recorded one, and where they differ."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from polyglot_testkit.redaction import MARK, names_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from polyglot_testkit.exchanges import RecordedRequest

__all__ = ["MATCHED", "Matched", "differences", "identity", "is_exact"]

Matched = Literal["method", "path", "body"]

MATCHED: tuple[Matched, ...] = ("method", "path", "body")
"""What is compared: the HTTP method; path and query of the URL; the body, as JSON if both are."""

_MOST = 8  # differences that are listed
_LONGEST = 80  # characters of a value that are shown


def differences(
    recorded: RecordedRequest, sent: RecordedRequest, matched: Collection[str], ignored: Collection[str]
) -> list[str]:
    """Return a sentence for each difference between two requests without keys; none if they match.

    Where a key was removed from a text of the recorded body, any text matches.

    Args:
        recorded: The recorded request.
        sent: The other one.
        matched: What is compared.
        ignored: Paths of fields of the body that are not compared, as in ``stream_options.include_usage``; a star
            stands for any index or name.
    """
    found: list[str] = []
    if "method" in matched and recorded.method != sent.method:
        found.append(f"method: recorded {recorded.method}, sent {sent.method}")
    if "path" in matched and (of := _path(recorded.url)) != (to := _path(sent.url)):
        found.append(f"path: recorded {of}, sent {to}")
    if "body" in matched:
        found += _body_differences(recorded.body, sent.body, ignored)
    return found if len(found) <= _MOST else [*found[:_MOST], f"and {len(found) - _MOST} more"]


def is_exact(recorded: RecordedRequest, ignored: Collection[str]) -> bool:
    """Return whether only requests of the same `identity` match a recorded one."""
    return not ignored and MARK.encode() not in recorded.body


def identity(request: RecordedRequest, matched: Collection[str]) -> tuple[object, ...]:
    """Return what two requests without keys have in common if there is no difference between them."""
    return (
        request.method if "method" in matched else None,
        _path(request.url) if "path" in matched else None,
        _canonical(request.body) if "body" in matched else None,
    )


def _canonical(body: bytes) -> bytes | str:
    """Return a body as JSON in one spelling; as it is if it is not JSON."""
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except (ValueError, RecursionError):
        return body


def _path(url: str) -> str:
    """Return path and query of a URL, without parameters that carry a key."""
    parts = urlsplit(url)
    query = "&".join(
        sorted(f"{name}={value}" for name, value in parse_qsl(parts.query, True) if not names_key(name))  # noqa: FBT003
    )
    return f"{parts.path}?{query}" if query else parts.path


def _body_differences(recorded: bytes, sent: bytes, ignored: Collection[str]) -> Iterator[str]:
    if recorded == sent:
        return
    try:
        of, to = json.loads(recorded), json.loads(sent)
    except (ValueError, RecursionError):
        yield f"body: recorded {len(recorded)} bytes, sent {len(sent)}, and at least one is not JSON"
        return
    pattern = re.compile("|".join(re.escape(path).replace(r"\*", r"[^.]+") for path in ignored) or "(?!)")
    for path, before, after in _different("", of, to):
        if not any(pattern.fullmatch(part) for part in _prefixes(path)):
            yield f"body.{path}: recorded {before}, sent {after}".replace("body.:", "body:")


def _prefixes(path: str) -> Iterator[str]:
    """Yield a path, and each path above it."""
    names = path.split(".")
    for count in range(1, len(names) + 1):
        yield ".".join(names[:count])


def _different(path: str, recorded: Any, sent: Any) -> Iterator[tuple[str, str, str]]:  # noqa: ANN401 (any JSON value)
    if isinstance(recorded, dict) and isinstance(sent, dict):
        for name in [*recorded, *(name for name in sent if name not in recorded)]:
            yield from _different(_below(path, name), recorded.get(name, _MISSING), sent.get(name, _MISSING))
    elif isinstance(recorded, list) and isinstance(sent, list):
        for index in range(max(len(recorded), len(sent))):
            pair = (each[index] if index < len(each) else _MISSING for each in (recorded, sent))
            yield from _different(_below(path, index), *pair)
    elif isinstance(recorded, str) and MARK in recorded and isinstance(sent, str):
        if not re.fullmatch(".*".join(map(re.escape, recorded.split(MARK))), sent, re.DOTALL):
            yield path, _shown(recorded), _shown(sent)
    elif type(recorded) is not type(sent) or recorded != sent:
        yield path, _shown(recorded), _shown(sent)


_MISSING = object()


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _shown(value: object) -> str:
    if value is _MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
