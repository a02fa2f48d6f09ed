"""Every error that leaves Polyglot, and the one table that chooses a class for a provider's "no".

::

    PolyglotError
    ├── ConfigError              the configuration names something that is not there, or lacks something
    │   └── NoDefault                no connection was named, and none is the default
    ├── PluginError              a driver is broken; names plugin, distribution and version
    ├── RequestError             the driver cannot say what was asked; raised before anything is sent
    ├── ProviderError            the provider said no
    │   ├── AuthenticationError      who are you?                              401
    │   ├── PermissionDenied         you may not                               403
    │   ├── NotFound                 no such model or address                  404
    │   ├── InvalidRequest           the request is wrong                      other 4xx
    │   │   └── ContextLengthExceeded    the prompt does not fit the model
    │   ├── RateLimited              too fast; wait `retry_after` seconds      429
    │   ├── QuotaExceeded            the account's allowance is used up        402, some 429
    │   ├── Overloaded               the provider has too much to do           503, 529
    │   └── ServerError              the provider failed                       other 5xx
    ├── StreamError              the answer arrived, but not as an answer
    │   ├── Truncated                it stopped before the model was done
    │   ├── Malformed                a part of it cannot be read
    │   ├── LimitExceeded            it is larger than a limit allows
    │   └── UnexpectedContentType    it is no stream, and no error either
    ├── TimedOut                 a clock ran out; also a builtin `TimeoutError`
    └── TransportError           the bytes did not arrive

Two questions decide what to do: *whose fault is it?* is the class, *may the same request be sent again?* is
`retryable`. What had arrived by then is never lost: it is `partial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypedDict

if TYPE_CHECKING:
    from typing import Self, Unpack

    from polyglot_core._values.response import InferenceResponse
    from polyglot_core._values.secret import Secret

__all__ = [
    "AuthenticationError",
    "ConfigError",
    "ContextLengthExceeded",
    "InvalidRequest",
    "LimitExceeded",
    "Malformed",
    "NoDefault",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "PluginError",
    "PolyglotError",
    "ProviderError",
    "QuotaExceeded",
    "RateLimited",
    "RequestError",
    "ServerError",
    "StreamError",
    "TimedOut",
    "TransportError",
    "Truncated",
    "UnexpectedContentType",
]


class ErrorFacts(TypedDict, total=False):
    """What an error may carry besides its message; each key is an attribute of `PolyglotError`."""

    connection: str | None
    provider: str | None
    model: str | None
    phase: str | None
    status: int | None
    code: str | None
    param: str | None
    request_id: str | None
    retryable: bool
    retry_after: float | None
    attempts: int
    elapsed: float | None
    partial: InferenceResponse | None


class PolyglotError(Exception):
    """The root of every error that Polyglot raises.

    Attributes:
        message: What was wrong and what to do about it, in one or two sentences, without any key.
        connection: Name of the connection that was used.
        provider: Name of the driver that was used.
        model: Model that was asked for.
        phase: Where it happened: ``configure``, ``encode``, ``connect``, ``headers`` or ``stream``.
        status: HTTP status, when there was an answer. For an error inside a 200 it is what the provider states there.
        code: The provider's own code or type for the error.
        param: The field of the request that the provider names as the cause.
        request_id: The provider's id for the request, to quote to its support.
        retryable: Whether sending the same request again may succeed.
        retry_after: Seconds that the provider asks to wait.
        attempts: How many requests were sent.
        elapsed: Seconds from the call to the error.
        partial: The response as far as it came; None when nothing was asked yet.
    """

    retryable: bool = False
    connection: str | None = None
    provider: str | None = None
    model: str | None = None
    phase: str | None = None
    status: int | None = None
    code: str | None = None
    param: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    attempts: int = 0
    elapsed: float | None = None
    partial: InferenceResponse | None = None

    _SHOWN: ClassVar[tuple[str, ...]] = ("connection", "model", "status", "code", "param", "request_id")

    def __init__(self, message: str, **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message)
        self.message = message
        self.add_facts(**facts)

    def add_facts(self, **facts: Unpack[ErrorFacts]) -> Self:
        """Fill in what is known further out; what the error already says is kept. Returns the error itself."""
        for name, value in facts.items():
            if value is not None and name not in self.__dict__:
                setattr(self, name, value)
        return self

    def explain(self, more: str) -> None:
        """Add a sentence to the message."""
        self.message = f"{self.message} {more}"
        self.args = (self.message, *self.args[1:])

    def redact(self, secret: Secret) -> None:
        """Take a key out of what the provider said: some repeat the one that they refuse.

        A cause that repeats it, as what the HTTP client raises may, is let go.
        """
        self.message = secret.redacted(self.message)
        self.args = (self.message, *self.args[1:])
        for field in ("code", "param", "request_id"):
            if (text := getattr(self, field)) is not None:
                setattr(self, field, secret.redacted(text))
        _let_go_of_echoes(self, secret)

    def __str__(self) -> str:
        shown = [f"{name.replace('_', ' ')} {value}" for name in self._SHOWN if (value := getattr(self, name))]
        return f"{self.message} ({', '.join(shown)})" if shown else self.message


def _let_go_of_echoes(error: BaseException, secret: Secret) -> None:
    """Cut off the exceptions behind an error from the first one that shows the secret."""
    link, seen = error, {id(error)}
    while (behind := link.__cause__ or link.__context__) is not None and id(behind) not in seen:
        shown = f"{behind!r} {behind}"
        if secret.redacted(shown) != shown:
            link.__cause__ = link.__context__ = None
            return
        seen.add(id(behind))
        link = behind


class ConfigError(PolyglotError):
    """The configuration names something that is not there, or something is missing from it."""


class NoDefault(ConfigError):
    """No connection was named, and none is the default. `variables` name a key each that would make one."""

    def __init__(self, message: str, variables: tuple[str, ...] = (), **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.variables = variables

    def __reduce__(self) -> tuple[type[Self], tuple[str, tuple[str, ...]], dict[str, object]]:
        return type(self), (self.message, self.variables), self.__dict__


class PluginError(PolyglotError):
    """A driver could not be loaded, does not keep the contract, or raised something of its own."""


class RequestError(PolyglotError):
    """The driver cannot express what was asked. Raised before anything is sent; nothing is dropped silently."""


class ProviderError(PolyglotError):
    """The provider refused or failed; raised for an error status and for an error inside a 200 alike."""


class AuthenticationError(ProviderError):
    """The key is missing, wrong or expired (401)."""


class PermissionDenied(ProviderError):
    """The key is known and may not do this (403)."""


class NotFound(ProviderError):
    """There is no such model or address (404)."""


class InvalidRequest(ProviderError):
    """The provider does not accept the request as it is (400, 413, 422 and other 4xx)."""


class ContextLengthExceeded(InvalidRequest):
    """Prompt and answer together do not fit the model's context."""


class RateLimited(ProviderError):
    """Too many requests or tokens in a short time (429); `retry_after` says how many seconds to wait."""

    retryable = True


class QuotaExceeded(ProviderError):
    """The account's allowance or balance is used up (402, some 429); waiting does not help."""


class Overloaded(ProviderError):
    """The provider has more to do than it can (503, 529)."""

    retryable = True


class ServerError(ProviderError):
    """The provider failed on its side (500 and other 5xx)."""

    retryable = True


class StreamError(PolyglotError):
    """What arrived is not a complete answer, or the stream was used in a way that it does not allow."""


class Truncated(StreamError):
    """The stream ended without the sign that the model was done. `partial` holds what came."""

    retryable = True


class Malformed(StreamError):
    """A part of the answer cannot be read. `partial` holds what came before it."""


class LimitExceeded(StreamError):
    """The answer, or a part of it, is larger than a limit allows."""


class UnexpectedContentType(StreamError):
    """The answer is of another kind than was asked for: an HTML page, say, from something in between."""


class TimedOut(PolyglotError, TimeoutError):
    """A clock ran out. `clock` says which one: connect, first, idle, silence or total."""

    retryable = True

    def __init__(self, message: str, clock: str = "total", **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.clock = clock
        if clock == "total":  # over all attempts, so that there is no time for another
            self.retryable = False

    def __reduce__(self) -> tuple[type[Self], tuple[str, str], dict[str, object]]:
        return type(self), (self.message, self.clock), self.__dict__


class TransportError(PolyglotError):
    """The bytes did not arrive. `kind` says why.

    It is ``connect`` (refused, unreachable), ``dns`` (the name does not resolve), ``tls`` (the certificate or the
    handshake), ``proxy``, ``pool`` (a client of the user's own has no connection left), ``encoding`` (a compressed body
    that cannot be inflated) or ``broken`` (reset or ended in the middle).
    """

    retryable = True

    def __init__(self, message: str, kind: str = "broken", **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.kind = kind
        if kind in _LASTING and "retryable" not in facts:
            self.retryable = False

    def __reduce__(self) -> tuple[type[Self], tuple[str, str], dict[str, object]]:
        return type(self), (self.message, self.kind), self.__dict__


_LASTING = frozenset({"tls", "pool"})  # kinds that the same request would meet again
