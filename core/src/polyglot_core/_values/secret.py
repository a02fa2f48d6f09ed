"""Secrets, and headers that may contain them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TRANSPORT_HEADERS", "Headers", "Secret", "carries_key", "header_problem", "unsendable"]

_SHORTEST_PART = 4  # characters; a shorter secret, or the start of a truncated one, would match unrelated text

_LONGEST_FORM = 8  # characters of an escaped one, as in `\\\\u0026`

_LOWER_CASE = str.maketrans(ascii_uppercase, ascii_lowercase)  # unlike lower(), it keeps every index

_HTML_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


class Secret:
    """A key or token that prints as ``***`` and cannot be copied, pickled or encoded.

    Only `reveal` returns its text. Core calls it when it sends the headers of a request, and nowhere else.

    Attributes:
        source: Where the secret was found, for messages, such as the name of a variable. Empty if it was given in code.
    """

    __slots__ = ("_text", "source")

    def __init__(self, text: str, source: str = "") -> None:
        self._text = text
        self.source = source

    def reveal(self) -> str:
        """Return the text. Do not store it in a variable that outlives the function call."""
        return self._text

    def with_prefix(self, prefix: str) -> Secret:
        """Return a secret whose text starts with `prefix`, as in ``Bearer …``."""
        return Secret(prefix + self._text, self.source)

    def redacted(self, text: str) -> str:
        """Return `text` with the secret replaced by ``***``, with or without a prefix such as ``Bearer``.

        The secret is found in upper and lower case, escaped for JSON, HTML or a URL, and truncated before a ``…``.
        """
        for secret in (self._text, self._text.rpartition(" ")[2]):
            if len(text) >= _SHORTEST_PART <= len(secret):
                text = _without([_forms_of(character) for character in secret], text)
        return text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> NoReturn:
        msg = "a Secret cannot be pickled or copied; read it from its source instead"
        raise TypeError(msg)


def _without(characters: Sequence[frozenset[str]], text: str) -> str:
    """Return `text` with each sequence of these characters, in any of their forms, replaced by ``***``.

    The time is linear in the length of the text: the sequence is compared only where its first character occurs.
    """
    lower = text.translate(_LOWER_CASE)
    first = re.compile("|".join(map(re.escape, sorted(characters[0], key=len, reverse=True))))
    kept: list[str] = []
    index, mark = 0, _index_of_mark(lower, 0)
    while (found := first.search(lower, index)) is not None:
        start = found.start()
        if mark is not None and mark < start:
            mark = _index_of_mark(lower, start)
        end = _end_of(characters, lower, start, mark)
        kept += text[index:start], text[start] if end is None else "***"
        index = start + 1 if end is None else end
    return "".join([*kept, text[index:]])


def _index_of_mark(text: str, start: int) -> int | None:
    """Return the index of the next ``…``; None if there is none."""
    found = text.find("…", start)
    return None if found < 0 else found


def _end_of(characters: Sequence[Iterable[str]], text: str, start: int, mark: int | None) -> int | None:
    """Return the index after the characters that begin at `start`; None if the text has others there.

    Characters that are truncated by a ``…``, at the index `mark`, match too, if at least `_SHORTEST_PART` of them
    precede it.
    """
    ends, truncated = {start}, None
    for found, forms in enumerate(characters):
        if found >= _SHORTEST_PART and mark is not None and any(mark - end <= _LONGEST_FORM for end in ends):
            cut = [text[end:mark] for end in ends if end <= mark <= end + _LONGEST_FORM]
            if any(form.startswith(part) for part in cut for form in forms):
                truncated = mark  # between two characters, or within an escape
        ends = {end + len(form) for end in ends for form in forms if text.startswith(form, end)}
        if not ends:
            return truncated
    return max(ends)


@lru_cache(maxsize=512)  # of single characters, so that no secret is kept
def _forms_of(character: str) -> frozenset[str]:
    """Return a character as it is, and escaped for JSON (once or twice), HTML or a URL, in lower case."""
    if character.isalnum():
        return frozenset({character.translate(_LOWER_CASE)})
    code = ord(character)
    return frozenset({
        character, f"\\{character}", f"\\\\\\{character}", f"\\u{code:04x}", f"\\\\u{code:04x}",
        f"&#{code};", f"&#x{code:x};", f"&#x{code:02x};", _HTML_NAMES.get(character, character),
        f"%{code:02x}", f"%25{code:02x}",
    })  # fmt: skip


Headers = Mapping[str, str | Secret]

_KEY_WORDS = frozenset({
    "apikey", "auth", "authorization", "cookie", "credential", "credentials", "key", "password", "secret", "token",
})  # fmt: skip

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token of RFC 9110, section 5.6.2


def carries_key(header: str) -> bool:
    """Return True if a word of the header's name suggests that it carries a key, as in ``x-api-key``."""
    return not _KEY_WORDS.isdisjoint(re.split("[^a-z0-9]", header.lower()))


def unsendable(headers: Headers) -> str | None:
    """Return the name of the first header whose name or value HTTP does not allow; None if all are valid."""
    for name, value in headers.items():
        if not _is_sendable(name, value):
            return name
    return None


def _is_sendable(name: str, value: str | Secret) -> bool:
    """Return True for a valid header: only printable ASCII, without spaces at the ends of the value."""
    text: object = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _is_name(name):
        return False
    return text == text.strip() and text.isascii() and text.isprintable()


@lru_cache(maxsize=256)
def _is_name(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


TRANSPORT_HEADERS = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Headers that describe the connection, or how the bodies are compressed and where they end. The HTTP client writes
them."""


def header_problem(name: object, value: object) -> str | None:
    """Return a clause on a header that a user may not set; None if it can be sent. The value is not quoted."""
    if not isinstance(name, str) or not isinstance(value, (str, Secret)):
        return f"is of type {type(value).__name__}, and should be text"
    if name.lower() in TRANSPORT_HEADERS:
        return "is written by the HTTP client, and cannot be set"
    if _is_sendable(name, value):
        return None
    return (
        "cannot be sent: it begins or ends with a space, or holds a line break, a control character or a character "
        "outside ASCII, or is not the name of a header"
    )
