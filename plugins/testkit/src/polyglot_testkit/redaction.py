"""Keys, removed from what is written to a file: from headers, URLs and bodies, in every spelling that is known.

A key is found in upper and lower case, escaped for JSON, HTML or a URL (also where that is not needed), in base64 and
in hexadecimal, truncated before an ellipsis, and across the boundaries of reads.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from polyglot_core.plugin import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polyglot_core.plugin import HTTPRequest

__all__ = ["MARK", "Redactor", "names_key", "secrets_in"]

MARK = "***"
"""What is written in place of a key."""

_SHORTEST = 4  # characters; a shorter key would match unrelated text
_SHORTEST_CODE = 6  # characters of base64
_SHORTEST_FIELD = 8  # characters of a key in a field of a body
_TRUNCATED = re.compile("\u00e2\u0080\u00a6|\\\\{1,8}u2026|&hellip;|%e2%80%a6|\\.\\.\\.|\\*\\*\\*")
"""What stands behind the beginning of a key that a message truncates; the first is the UTF-8 of an ellipsis."""

_NAMES = frozenset({
    "accesstoken", "apikey", "apitoken", "appkey", "auth", "authorization", "authtoken", "bearertoken", "clientsecret",
    "cookie", "credential", "credentials", "idtoken", "key", "passphrase", "passwd", "password", "privatekey",
    "refreshtoken", "secret", "secretaccesskey", "secretkey", "sessiontoken", "setcookie", "sig", "signature", "token",
    "xamzcredential", "xamzsecuritytoken", "xamzsignature", "xapikey", "xgoogapikey", "xgoogsignature",
})  # fmt: skip
"""Names of parameters and fields that carry a key, in lower case and without signs."""

_TOO_COMMON = frozenset({"auth", "cookie", "key", "sig", "signature", "token"})  # of JSON fields, these are often data


def names_key(name: str, *, field: bool = False) -> bool:
    """Return True if a header or a parameter of this name carries a key; `field` if it is a field of a JSON body."""
    plain = re.sub("[^a-z0-9]", "", name.lower())
    return plain in _NAMES and not (field and plain in _TOO_COMMON)


def secrets_in(request: HTTPRequest) -> list[str]:
    """Return the keys of a request: the secrets of its headers, and what its URL and body have under names of keys."""
    found = [secret.reveal() for secret in request.secrets]
    found += [value for name, value in request.headers.items() if names_key(name)]
    parts = urlsplit(request.url)
    found += [value for name, value in parse_qsl(parts.query) if names_key(name)]
    found += [parts.password or "", *_in_body(request.body)]
    return found


def _in_body(body: bytes) -> list[str]:
    """Return the texts of a JSON body that stand under a name of a key."""
    if not _NAMED.search(body):  # most bodies have none, and are not parsed
        return []
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        found.extend(str(value) for name, value in pairs if _is_key(name, value))

    try:
        json.loads(body, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return []
    return found


def _is_key(name: str, value: object) -> bool:
    return isinstance(value, str) and len(value) >= _SHORTEST_FIELD and names_key(name, field=True)


_NAMED = re.compile(rb"(?i)key|token|auth|secret|passw|passphrase|credential")


class Redactor:
    """Replaces keys by ``***``. The time is linear in the length of the text.

    Args:
        secrets: The keys, each with or without a scheme such as ``Bearer`` before it.
    """

    def __init__(self, secrets: Iterable[str | Secret]) -> None:
        texts = [secret.reveal() if isinstance(secret, Secret) else secret for secret in secrets]
        keys = {part for text in texts for part in _parts(text) if len(part) >= _SHORTEST}
        longest_first = sorted(keys, key=lambda key: (-len(key), key))
        self._keys = [([_patterns(character) for character in key], _start(key)) for key in longest_first]
        literal = sorted({form for key in keys for form in _encoded(key)}, key=lambda form: (-len(form), form))
        self._literal = re.compile("|".join(map(re.escape, literal))) if literal else None

    def text(self, text: str) -> str:
        """Return a text without the keys."""
        return self.body(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers without the keys in their values."""
        return {name: self.text(value) for name, value in headers.items()}

    def body(self, body: bytes) -> bytes:
        """Return a body without the keys."""
        return b"".join(self.pieces([body]))

    def pieces(self, pieces: Sequence[bytes]) -> list[bytes]:
        """Return the pieces of a body without the keys. One that spans pieces is replaced where it begins."""
        whole = b"".join(pieces).decode("latin-1")  # a character for each byte, so that offsets are the same
        spans = self._spans(whole)
        if not spans:
            return list(pieces)
        kept = [""] * len(pieces)
        number, ends = 0, list(accumulate(map(len, pieces)))
        for start, end, written in _cuts(spans, len(whole)):
            position = start
            while position < end:
                while ends[number] <= position:
                    number += 1
                last = end if written else min(end, ends[number])
                kept[number] += MARK if written else whole[position:last]
                position = last
        return [piece.encode("latin-1") for piece in kept]

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Return where keys stand in a text, in order and without overlaps."""
        found = [] if self._literal is None else [match.span() for match in self._literal.finditer(text)]
        lower = text.translate(_LOWER)
        for characters, pattern in self._keys:
            reached = 0
            for match in pattern.finditer(lower):
                start = match.start()
                if start >= reached and (end := _end(characters, lower, start)) is not None:
                    found.append((start, end))
                    reached = end
        return _merged(found)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._keys)} keys)"


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _parts(text: str) -> list[str]:
    """Return a secret, the part behind its scheme, and user and password where that part is of basic authentication."""
    bare = text.rpartition(" ")[2]
    parts = [bare if len(bare) >= _SHORTEST else text]
    if text[:6].lower() == "basic ":
        try:
            pair = base64.b64decode(bare, validate=True).decode("latin-1")
        except (binascii.Error, ValueError):
            return parts
        parts += [pair, pair.partition(":")[2]]
    return parts


def _encoded(key: str) -> set[str]:
    """Return a key in hexadecimal, and in base64 at each of three offsets, in both alphabets, escaped or not."""
    data = key.encode()
    found = {data.hex(), data.hex().upper()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        text = text[-(-before * 8 // 6) : len(text) - ((before + len(data)) % 3 != 0)]  # characters of the key alone
        if len(text) >= _SHORTEST_CODE:
            safe = text.replace("+", "-").replace("/", "_")
            found |= {text, safe, text.replace("/", "\\/"), text.replace("+", "%2B").replace("/", "%2F")}
    return found


def _start(key: str) -> re.Pattern[str]:
    """Return the pattern of the first characters of a key, in any form."""
    forms = ("|".join(_forms(character)) for character in key[:_SHORTEST])
    return re.compile(f"(?={''.join(f'(?:{each})' for each in forms)})")  # overlapping ones are found too


@lru_cache(maxsize=512)  # as `_forms`
def _patterns(character: str) -> tuple[re.Pattern[str], ...]:
    """Return the forms of a character, compiled; as one pattern unless the character begins an escape itself."""
    forms = _forms(character)
    return tuple(map(re.compile, forms if character in "%&\\" else ["|".join(forms)]))


@lru_cache(maxsize=512)  # of single characters, so that no key is kept
def _forms(character: str) -> tuple[str, ...]:
    """Return patterns of a character in lower case: as it is, and escaped for JSON, HTML or a URL, once or often."""
    lower = character.translate(_LOWER)
    forms = [rf"\\{{0,8}}{re.escape(lower)}" if not character.isalnum() else lower]
    for code in sorted({ord(lower), ord(lower.upper())}):
        forms += [
            rf"\\{{1,8}}u{code:04x}",
            f"%(?:25){{0,4}}{code:02x}",
            f"&(?:amp;){{0,4}}#(?:0{{0,4}}{code}|x0{{0,4}}{code:x});",
        ]
    return (*forms, f"&(?:amp;){{0,4}}{_HTML[lower]};") if lower in _HTML else tuple(forms)


_HTML = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


def _end(characters: Sequence[Sequence[re.Pattern[str]]], text: str, start: int) -> int | None:
    """Return the index after a key that begins at `start`, whole or truncated before an ellipsis; None without one."""
    ends = {start}
    for count, forms in enumerate(characters):
        reached = {match.end() for end in ends for form in forms if (match := form.match(text, end)) is not None}
        if not reached:
            cut = count >= _SHORTEST and any(_TRUNCATED.match(text, end) for end in ends)
            return max(ends) if cut else None
        ends = reached
    return max(ends)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _cuts(spans: list[tuple[int, int]], length: int) -> Iterator[tuple[int, int, bool]]:
    """Yield the stretches of a text, in order: start, end, and whether it is a key."""
    position = 0
    for start, end in spans:
        yield position, start, False
        yield start, end, True
        position = end
    yield position, length, False
