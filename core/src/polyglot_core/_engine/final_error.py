"""Completing the error that a call raises: its facts, its partial, its notes, and no secret in any of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from polyglot_core._values.credentials import secrets_in
from polyglot_core._values.embeddings import EmbeddingRequest, joined
from polyglot_core._values.response import Outcome
from polyglot_core._values.secret import Secret
from polyglot_core.errors import AuthenticationError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyglot_core._attempt.attempt import Attempt
    from polyglot_core._engine.call_state import History, Requests, Target
    from polyglot_core._values.response import FailedAttempt
    from polyglot_core.errors import PolyglotError

__all__ = ["complete", "redact"]

_OVER_BUDGET = "Not retried: all calls to this origin share {0.budget} retries a minute, retries.budget, all used up."
_WAIT_TOO_LONG = "Not retried: it asks to wait {1:g} s, and retries.max_retry_after is {0.max_retry_after:g} s."
_NO_KEY = (
    "No API key was sent: the connection has none. "
    "A preset's key is not sent when base_url points to a different origin."
)


def redact(error: PolyglotError, target: Target, attempt: Attempt | None, requests: Requests) -> None:
    """Remove secrets that a provider or a proxy has repeated from the error, its partial, and the attempt.

    They are the key, those in the headers of the request, and user and password of the proxy.
    """
    partial = error.partial
    headers = {} if partial is None else dict(partial.headers)
    secrets = {secret for secret in _secrets(target, requests) if secret}
    for secret in sorted(secrets, key=lambda secret: -len(secret.reveal())):  # longest first: one may contain another
        error.redact(secret)
        headers = {name: secret.redacted(value) for name, value in headers.items()}
        if attempt is not None:
            attempt.redact(secret)
    if partial is not None and attempt is not None:
        error.partial = partial.with_changes(request_id=attempt.request_id, headers=headers)


def _secrets(target: Target, requests: Requests) -> Iterator[Secret]:
    connection = target.connection
    sent = [*requests.secrets, *(value for value in connection.headers.values() if isinstance(value, Secret))]
    if connection.secret is not None:
        sent.append(connection.secret)
    yield from sent
    for secret in (*sent, *_proxies(target)):
        yield from secrets_in(secret)


def _proxies(target: Target) -> Iterator[Secret]:
    """Yield the URLs of the proxies that the request may have been sent through."""
    proxy = target.connection.route.proxy
    if proxy is not None:
        yield proxy
    for name, value in os.environ.items():
        if name.lower().endswith("_proxy") and "@" in value:
            yield Secret(value if "://" in value else f"http://{value}")


def complete(
    error: PolyglotError,
    target: Target,
    attempt: Attempt | None,
    *,
    requests: Requests,
    history: History,
    elapsed: float,
) -> None:
    """Add to an error that is about to be raised what the call knows: facts, the partial response, and notes.

    Args:
        error: The error that ended the call.
        target: The connection that was used last.
        attempt: The attempt that failed; None if it failed before its request was ready.
        requests: The requests of the call.
        history: The attempts that failed before.
        elapsed: Seconds since the call began.
    """
    if isinstance(error, AuthenticationError) and (about := _about_the_key(target, requests)):
        error.explain(about)
    retries, asked = target.connection.retries, error.retry_after or 0.0
    if requests.over_budget:
        error.explain(_OVER_BUDGET.format(retries))
    elif error.retryable and asked > retries.max_retry_after and requests.attempts_here <= retries.max_retries:
        error.explain(_WAIT_TOO_LONG.format(retries, asked))
    error.add_facts(
        connection=target.connection.name,
        provider=target.driver.name,
        model=target.request.model or None,
        phase="encode" if attempt is None else "headers",
        attempts=requests.sent,
        elapsed=elapsed,
    )
    timed_out = isinstance(error, TimedOut)
    if history.interrupted is not None or timed_out or (history.failed and error.partial is not None):
        error.partial = history.response(attempt, target.connection.name)
        if attempt is None:  # it failed during authorization, for example
            error.partial = error.partial.with_changes(outcome=Outcome.TIMED_OUT if timed_out else Outcome.FAILED)
    if isinstance(target.request, EmbeddingRequest):
        error.partial, error.embeddings = None, joined(target.request.received)
    error.partial = error.partial if target.request.messages else None  # none of a list of models
    if history.failed:
        error.add_note(_earlier_attempts(history.failed))


def _about_the_key(target: Target, requests: Requests) -> str:
    """Return a sentence on where the rejected key was read, or that none was sent; an empty one if neither is known."""
    secret = target.connection.secret
    if secret is not None:
        return f"The key was read from {secret.source}." if secret.source else ""
    return "" if requests.secrets else _NO_KEY  # secrets without a key: the driver has credentials of its own


def _earlier_attempts(failed: Sequence[FailedAttempt]) -> str:
    each = [f"{attempt.connection}: {attempt.error}, then waited {attempt.wait:.1f} s" for attempt in failed]
    return f"Earlier attempts: {'; '.join(each)}."
