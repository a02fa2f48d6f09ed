"""The exceptions of msgspec for text that is not JSON."""

from __future__ import annotations

import msgspec

__all__ = ["UNREADABLE"]

UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What `msgspec.json.decode` raises: for invalid JSON, for invalid UTF-8 in a string, for JSON nested too deeply."""
