"""Text that may not be JSON, and the exceptions of msgspec for it."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["UNREADABLE", "parse"]

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What `msgspec.json.decode` raises: for invalid JSON, for invalid UTF-8 in a string, for JSON nested too deeply."""


def parse(text: bytes | str, otherwise: object = None) -> Any:  # noqa: ANN401 (any JSON value)
    """Parse a JSON text; return `otherwise` if it is not valid JSON."""
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return otherwise
