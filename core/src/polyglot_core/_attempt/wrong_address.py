"""Sentences for a response that says the URL is wrong: what was requested, and what is unusual about it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from polyglot_core._wire.provider_errors import printable

__all__ = ["WRONG_ADDRESS", "about_the_url"]

WRONG_ADDRESS = frozenset({404, 405})
"""Statuses that may mean that the URL is wrong."""

_SHOWN_URL = 300  # characters
_BELOW_A_VERSION = ("/chat/completions", "/responses", "/models")
"""Paths that servers of one dialect serve below a version, which base_url has to contain."""
_VERSION = re.compile(r"/v[0-9]+[a-z0-9]*(?=/|$)", re.ASCII)
_TWICE = re.compile(r"(/v[0-9]+[a-z0-9]*|/chat/completions|/responses|/messages)\1(?=/|$)", re.ASCII)
_OPAQUE = re.compile(r"(?<=/)(?:(?:sk|pk|rk|key|token)-[\w-]{8,}|(?=[A-Za-z_]*[0-9])\w{24,})(?=/|$)", re.ASCII)
"""A segment that looks like a key or an account: of one long word with a digit in it, or of one behind a prefix."""
_OWN_PATHS = ("/deployments/",)  # of a service that has the version in the query


def about_the_url(url: str, message: str) -> str:
    """Return sentences on the URL of a request that was rejected with 404 or 405.

    Args:
        url: The URL. Its user, password and query, and segments of its path that look like a key, are not shown.
        message: The provider's message. If it is about a model, the URL is right.
    """
    parts = urlsplit(url)
    shown = printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{_OPAQUE.sub('***', parts.path)}", _SHOWN_URL)
    return f"The request was sent to {shown}.{_advice(parts.path, message)}"


def _advice(path: str, message: str) -> str:
    if twice := _TWICE.search(path):
        return f" It contains {twice[1]} twice: base_url should end before it."
    endpoint = next((end for end in _BELOW_A_VERSION if path.endswith(end)), None)
    if endpoint is None or "model" in message.lower() or any(own in path for own in _OWN_PATHS):
        return ""
    if _VERSION.search(path):
        return ""
    return " If this is an OpenAI-compatible server, base_url usually ends with /v1."
