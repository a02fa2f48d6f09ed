"""The spellings in which a proxy, or a provider, may repeat credentials: a password, and user and password as Basic."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from polyglot_core._values.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["secrets_in"]

_BASIC = "basic "


def secrets_in(secret: Secret) -> Iterator[Secret]:
    """Yield the secrets that a secret text contains, besides the text itself.

    They are user and password of a URL, as they are written and decoded, and of a header for Basic authentication; the
    password alone; and user and password in base64.
    """
    text = secret.reveal()
    if text[: len(_BASIC)].lower() == _BASIC:
        yield from _spellings(_decoded(text[len(_BASIC) :].strip()))
    elif "://" in text and "@" in text:
        yield from _spellings(_user_info(text))


def _user_info(url: str) -> str:
    """Return user and password of a URL, as they are written; empty if there are none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        return ""


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def _spellings(written: str) -> Iterator[Secret]:
    """Yield user and password together, in base64, and the password; each as it is written and decoded."""
    user, _, password = written.partition(":")
    if not password:
        return
    for pair in dict.fromkeys(((user, password), (unquote(user), unquote(password)))):
        user_info = ":".join(pair)
        encoded = base64.b64encode(user_info.encode("utf-8", "surrogatepass")).decode()
        yield from map(Secret, (user_info, encoded.rstrip("="), pair[1]))
