"""What an error means to whoever called the command: an exit code, what happened, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyglot_cli.output import say
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

__all__ = ["EXIT_CODES", "exit_code", "headline", "hint", "report"]

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

_HINTS: Mapping[type[BaseException], str] = {
    AuthenticationError: "Check that the key is whole, current, and one of this provider.",
    PermissionDenied: "The key is known but may not do this; a setting of the account or another key may allow it.",
    NotFound: "Check the model (--model) and the base_url of the connection.",
    ContextLengthExceeded: "Shorten the prompt, or choose a model with a longer context (--model).",
    InvalidRequest: "Check --model and every --option; the provider accepts the request in another form only.",
    RateLimited: "Wait {wait}, then run the command again.",
    QuotaExceeded: "Waiting does not help; look at the account's plan and balance.",
    Overloaded: "The provider is busy, which passes; run the command again in {wait}.",
    ServerError: "This is the provider's own trouble; run the command again in {wait}.",
    RequestError: "Nothing was sent. Leave out what this driver cannot express, or choose another connection.",
    Truncated: "What came is printed, and incomplete; run the command again.",
    Malformed: "What came before is printed; --debug tells more.",
    LimitExceeded: "What came before is printed; ask for less at once.",
    UnexpectedContentType: "Check the base_url of the connection, and any proxy.",
    TimedOut: "Allow more time: --timeout for all of it, timeouts in the configuration for single clocks.",
    TransportError: "Run the command again; if that does not help, `polyglot connections` shows what was asked.",
}

_MISSED = {
    "connect": "there was no connection",
    "first": "nothing of an answer had come",
    "idle": "the answer did not go on",
    "silence": "not a single byte came",
    "total": "the answer was not complete",
}
"""What had not happened when a clock ran out."""


def exit_code(error: PolyglotError) -> int:
    """The exit code for an error."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), _OTHER)


def headline(error: PolyglotError) -> str:
    """What happened, with the facts that the error carries; never a key."""
    facts = str(error).removeprefix(error.message)
    if isinstance(error, TimedOut):
        seconds = "" if error.elapsed is None else f" in {error.elapsed:.3g} seconds"
        missed = _MISSED.get(error.clock, "it took too long")
        return f"Timed out: {missed}{seconds} (clock {error.clock}).{facts}"
    if isinstance(error, Truncated):
        return f"The answer broke off before the model was done.{facts}"
    return error.message + facts


def hint(error: PolyglotError) -> str:
    """What to do about it; empty where the message says so itself."""
    wait = "a moment" if error.retry_after is None else f"{error.retry_after:.3g} seconds"
    found = next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), "")
    return found.format(wait=wait)


def report(error: PolyglotError) -> None:
    """Say on standard error, in a line or two, what happened and what to do."""
    say(headline(error), label="Error:", style="bold red")
    if advice := hint(error):
        say(advice)
