"""Secrets, and headers that may hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Headers", "Secret", "carries_key", "unsendable"]

_SHORTEST_PART = 4  # characters; a shorter secret, or part of one where a text was cut, may be anything

_IN_SMALL_LETTERS = str.maketrans(ascii_uppercase, ascii_lowercase)  # unlike lower(), it keeps every place

_HTML_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


class Secret:
    """A key or token that prints as ``***`` and refuses to be copied, pickled or encoded.

    Its text comes out of `reveal` alone, which is called where a header is put on the wire and nowhere else.

    Attributes:
        source: Where it was found, for messages: the name of a variable, say. Empty where it was given in code.
    """

    __slots__ = ("_text", "source")

    def __init__(self, text: str, source: str = "") -> None:
        self._text = text
        self.source = source

    def reveal(self) -> str:
        """The secret itself. Keep the result out of variables that outlive the call."""
        return self._text

    def with_prefix(self, prefix: str) -> Secret:
        """A secret that starts with `prefix`, as in ``Bearer …``."""
        return Secret(prefix + self._text, self.source)

    def redacted(self, text: str) -> str:
        """`text` with the secret in it replaced by ``***``, with or without the word before it.

        It is found in letters of either case, escaped for JSON, HTML or a URL, and cut short before a ``…``.
        """
        for secret in (self._text, self._text.rpartition(" ")[2]):
            if len(secret) >= _SHORTEST_PART:
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
        msg = "a Secret is not pickled or copied; read it from its source again"
        raise TypeError(msg)


def _without(characters: Sequence[Iterable[str]], text: str) -> str:
    """`text` with ``***`` wherever these characters stand, one after the other, each in any of its forms."""
    small = text.translate(_IN_SMALL_LETTERS)
    kept, place = [], 0
    while place < len(text):
        end = _end_of(characters, small, place)
        kept.append(text[place] if end is None else "***")
        place = place + 1 if end is None else end
    return "".join(kept)


def _end_of(characters: Sequence[Iterable[str]], text: str, start: int) -> int | None:
    """Where the characters end that begin at `start`, all of them or as many as stand before a ``…``; None if not."""
    places, mark, cut = {start}, text.find("…", start), None
    for found, forms in enumerate(characters):
        if found >= _SHORTEST_PART and any(form.startswith(text[place:mark]) for place in places for form in forms):
            cut = mark  # here, or within an escape
        places = {place + len(form) for place in places for form in forms if text.startswith(form, place)}
        if not places:
            return cut if mark >= 0 else None
    return max(places)


def _forms_of(character: str) -> frozenset[str]:
    """A character as it is, and escaped for JSON (once or twice), HTML or a URL, in small letters."""
    if character.isalnum():
        return frozenset({character.translate(_IN_SMALL_LETTERS)})
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
    """Whether a header is taken to carry a key, because a word of its name says so, as in ``x-api-key``."""
    return not _KEY_WORDS.isdisjoint(re.split("[^a-z0-9]", header.lower()))


def unsendable(headers: Headers) -> str | None:
    """Name of the first header that HTTP cannot carry, in name or value; None if it can carry them all."""
    return next((name for name, value in headers.items() if not _is_sendable(name, value)), None)


def _is_sendable(name: str, value: str | Secret) -> bool:
    """Whether it is a header: no line break, no control character, nothing outside ASCII, no space at its ends."""
    text: object = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not _HEADER_NAME.fullmatch(name):
        return False
    return text == text.strip() and text.isascii() and text.isprintable()
