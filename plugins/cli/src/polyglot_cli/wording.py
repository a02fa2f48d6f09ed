"""Messages of the library in the words of the command: options instead of arguments of functions."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_command", "counted", "duration"]


def as_command(message: str) -> str:
    """Return a message in which advice for a program is advice for a command line."""
    for pattern, replacement in _WORDS:
        message = pattern.sub(replacement, message)
    return message


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, as in ``1 turn`` and ``2 turns``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a time in the unit that a person would use for it, rounded up from a minute on, as in ``67 minutes``."""
    if seconds < _MINUTE:
        return f"{seconds:.3g} seconds"
    if seconds < 2 * _HOUR:
        return counted(math.ceil(seconds / _MINUTE), "minute")
    return counted(math.ceil(seconds / _HOUR), "hour")


_MINUTE, _HOUR = 60, 3600  # seconds

_JSON = {"True": "true", "False": "false", "None": "null", "{…}": "'{…}'", "[…]": "'[…]'"}
"""Values of the library's examples, as an option has them."""


def _extra(found: re.Match[str]) -> str:
    """Return ``--extra`` with each field of an example, or with a placeholder if it has none."""
    fields = re.findall(r"'([^']+)': (\{…\}|\[…\]|[^,{}\[\]]+)", found[1])
    return " ".join(f"--extra {name}={_JSON.get(value, value)}" for name, value in fields) or "--extra KEY=VALUE"


def _variable(found: re.Match[str]) -> str:
    name = re.sub("[^A-Z0-9]", "_", found[1].upper())
    return f"give it in the environment variable POLYGLOT_{name}_BASE_URL"


_PATTERNS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"Name one, as in Inference\.using\('NAME'\)", "Name one with -c NAME"),
    (r"pass it, as in Inference\.using\('([^']+)', base_url=[^)]*\)", _variable),
    (r"pass one, as in driver='NAME'", "give one with --driver NAME"),
    (r"pass one, as in create\(…, model='NAME'\)", "give one with -m NAME"),
    (r", as in Inference\.using\([^)]*\)", ", in the configuration"),
    (r"or give api_key(?=[. ])", "or run `polyglot connections add`"),
    (r"connections\(\) lists all names", "`polyglot connections` lists all names"),
    (r"pass unsupported='drop'", "give --unsupported drop"),
    (r"unsupported='(\w+)'", r"--unsupported \1"),
    (r"resume='(\w+)' or None", r"--resume \1, or leave the option out"),
    (r"resume='(\w+)'", r"--resume \1"),
    (r"extra=\{((?:[^{}]|\{[^{}]*\})*)\}", _extra),
    (r"pass (?:its )?mime_type(?: if it is another)?", "give its type with --at FILE TYPE"),
    (r"raise it with timeouts=\{'total': seconds\}, or None for no limit", "allow more with --timeout SECONDS"),
    (
        r"raise it with timeouts=\{'(\w+)': seconds\}, or None for no limit",
        r"allow more with timeouts = { \1 = SECONDS } of the connection, in the configuration",
    ),
    (r"options\['(\w+)'\]", r"-o \1"),
)
_WORDS = [(re.compile(pattern), replacement) for pattern, replacement in _PATTERNS]
