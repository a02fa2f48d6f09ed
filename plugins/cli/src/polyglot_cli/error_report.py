"""How the command reports an error: its message, a hint what to do, and an exit code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyglot_cli.output import write_line
from polyglot_cli.wording import as_command, duration
from polyglot_core.errors import (
    AuthenticationError,
    ConfigError,
    ContextLengthExceeded,
    InvalidRequest,
    LimitExceeded,
    Malformed,
    NotFound,
    Overloaded,
    PermissionDenied,
    PluginError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RequestError,
    ResponseFormatError,
    ServerError,
    StreamError,
    TimedOut,
    TransportError,
    Truncated,
    UnexpectedContentType,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_core import PolyglotError

__all__ = ["EXIT_CODES", "exit_code", "hint", "report"]

EXIT_CODES: Mapping[type[BaseException], int] = {
    ConfigError: 3,
    PluginError: 3,
    ProviderError: 4,
    RequestError: 4,
    StreamError: 5,
    TransportError: 5,
    TimedOut: 6,
}
"""Exit code by class of error; a class without a row of its own has that of its nearest base."""

_OTHER = 1
_LOCAL = re.compile(r"No connection to (localhost|127\.|\[::1\])")

_HINTS: Mapping[type[BaseException], str] = {
    AuthenticationError: "Check that the key is complete, valid, and one of this provider.",
    PermissionDenied: "The key is valid but lacks the permission; change the account's settings or use another key.",
    NotFound: "Check the model (`polyglot models` lists those of the provider) and the base_url of the connection.",
    ContextLengthExceeded: "Shorten the prompt, or choose a model with a longer context (--model).",
    InvalidRequest: "Check --model and every --option; the provider accepts the request in another form only.",
    RateLimited: "Wait {wait}, then run the command again.",
    QuotaExceeded: "A retry does not help; check the account's plan and balance.",
    Overloaded: "The provider is overloaded for the moment; run the command again in {wait}.",
    ServerError: "The provider had an internal error; run the command again in {wait}.",
    RequestError: "Nothing was sent.",
    Truncated: "The text received so far is printed and incomplete; run the command again.",
    Malformed: "The text received before is printed; --debug shows details.",
    LimitExceeded: "The text received before is printed; request less at once.",
    ResponseFormatError: "The text is printed as it was received; run the command again to get it in the format.",
    UnexpectedContentType: "Check the base_url of the connection, and any proxy.",
    TimedOut: "Allow more time: --timeout for the whole call, timeouts in the configuration for single clocks.",
    TransportError: "Run the command again; if that does not help, `polyglot connections` shows its host.",
}


def exit_code(error: PolyglotError) -> int:
    """Return the exit code for an error."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), _OTHER)


def hint(error: PolyglotError) -> str:
    """Return what the user can do about the error; empty where there is nothing to add to its message."""
    if isinstance(error, ConfigError):
        # Imported here: it reads a file, which few errors need.
        from polyglot_cli.known_packages import advice_for  # noqa: PLC0415

        return advice_for(error)
    if isinstance(error, ResponseFormatError) and error.cause == "none":
        return "To see the text, leave --extract out."
    if isinstance(error, TransportError) and _LOCAL.search(error.message):
        return "Start the server on this machine, or check its port; `polyglot connections` shows which are running."
    wait = "a moment" if error.retry_after is None else duration(error.retry_after)
    found = next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), "")
    return found.format(wait=wait)


def report(error: PolyglotError) -> None:
    """Print the error's own message on standard error, and the hint. Neither contains a key."""
    write_line(as_command(str(error)), label="Error:", style="bold red")
    if advice := hint(error):
        write_line(advice)
