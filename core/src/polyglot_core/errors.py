"""The errors that Polyglot raises.

::

    PolyglotError
    ├── ConfigError              the configuration is invalid or incomplete
    │   └── NoDefault                no connection was named, and there is no default
    ├── PluginError              a driver is broken; names driver, distribution and version
    ├── RequestError             the driver cannot encode the request; nothing was sent
    ├── ProviderError            the provider returned an error
    │   ├── AuthenticationError      the key is missing, wrong or expired      401
    │   ├── PermissionDenied         the key does not permit the request       403
    │   ├── NotFound                 no such model or URL                      404
    │   ├── InvalidRequest           the request is invalid                    other 4xx
    │   │   └── ContextLengthExceeded    the prompt does not fit the model
    │   ├── RateLimited              too fast; wait `retry_after` seconds      429
    │   ├── QuotaExceeded            the account's quota is used up            402, some 429
    │   ├── Overloaded               the provider is overloaded                503, 529
    │   └── ServerError              the provider failed                       other 5xx
    ├── StreamError              the response cannot be used
    │   ├── Truncated                it ended before the model was done
    │   ├── Malformed                a part of it cannot be parsed
    │   ├── LimitExceeded            it is larger than a limit allows
    │   ├── ResponseFormatError      it is no JSON, or does not fit the format
    │   └── UnexpectedContentType    it has an unexpected media type
    ├── TimedOut                 a clock expired; also a builtin `TimeoutError`
    └── TransportError           the connection to the provider failed

The class states the cause; `retryable` states whether the same request may succeed later. The content received before
the error is in `partial`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypedDict

if TYPE_CHECKING:
    from typing import Self, Unpack

    from polyglot_core._values.embeddings import Embeddings
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
    "ResponseFormatError",
    "ServerError",
    "StreamError",
    "TimedOut",
    "TransportError",
    "Truncated",
    "UnexpectedContentType",
]


class ErrorFacts(TypedDict, total=False):
    """The facts of an error besides its message. Each key is an attribute of `PolyglotError`."""

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
    body: str | None
    partial: InferenceResponse | None


class PolyglotError(Exception):
    """The root of every error that Polyglot raises.

    Attributes:
        message: What was wrong and what to do, in one or two sentences. It never contains a key.
        connection: Name of the connection.
        provider: Name of the driver.
        model: Model that was requested.
        phase: Phase of the call: ``configure``, ``encode``, ``connect``, ``headers`` or ``stream``.
        status: HTTP status of the response, or None if there was none. For an error inside a response with status 200,
            the status that the provider states in the body.
        code: The provider's code or type of the error.
        param: The field of the request that the provider names as the cause.
        request_id: The provider's id of the request, for its support.
        retryable: True if the same request may succeed when it is sent later.
        retry_after: Seconds to wait before a retry, as the provider specifies them.
        attempts: Number of requests that were sent.
        elapsed: Seconds from the start of the call to the error.
        body: The beginning of the error as the provider sent it, as text without keys: the body of an error response,
            or the chunk of a stream that held it. At most `Limits.error_body` bytes, and at most 64 KiB; ``…`` at its
            end marks that there may be more. None for an error that is not the provider's.
        partial: The content received before the error, as a response; None if no request was sent.
        embeddings: The vectors of the texts before those that failed, for an error of `embed`; None if there are none.
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
    body: str | None = None
    partial: InferenceResponse | None = None
    embeddings: Embeddings | None = None

    _SHOWN: ClassVar[tuple[str, ...]] = ("connection", "model", "status", "code", "param", "request_id")

    def __init__(self, message: str, **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message)
        self.message = message
        self.add_facts(**facts)

    def add_facts(self, **facts: Unpack[ErrorFacts]) -> Self:
        """Set the facts that the error does not have yet, and return the error. None is ignored."""
        for name, value in facts.items():
            if value is not None and name not in self.__dict__:
                setattr(self, name, value)
        return self

    def explain(self, more: str) -> None:
        """Append a sentence to the message."""
        stop = "" if not self.message or self.message.endswith((".", "!", "?", "…", ":")) else "."
        self.message = f"{self.message}{stop} {more}"
        self.args = (self.message, *self.args[1:])

    def redact(self, secret: Secret) -> None:
        """Replace a key in the message, the notes and the provider's texts by ``***``: some providers quote it.

        Causes and contexts that contain the key, such as exceptions of the HTTP client, are detached. If one of
        the texts contains it, so is the traceback so far, whose frames hold them as they were received.
        """
        before = self.message, self.code, self.param, self.request_id, self.body
        self.message = secret.redacted(self.message)
        self.args = (self.message, *self.args[1:])
        for field in ("code", "param", "request_id", "body"):
            if (text := getattr(self, field)) is not None:
                setattr(self, field, secret.redacted(text))
        if before != (self.message, self.code, self.param, self.request_id, self.body):
            self.__traceback__ = None
        if notes := getattr(self, "__notes__", None):
            self.__notes__ = [secret.redacted(note) for note in notes if isinstance(note, str)]
        _detach_causes_with(secret, self)

    def __str__(self) -> str:
        shown = [f"{name.replace('_', ' ')} {value}" for name in self._SHOWN if (value := getattr(self, name))]
        return f"{self.message} ({', '.join(shown)})" if shown else self.message


def _detach_causes_with(secret: Secret, error: BaseException) -> None:
    """Detach the first exception in an error's chain that contains the secret, and all behind it."""
    link, seen = error, {id(error)}
    while (cause := link.__cause__ or link.__context__) is not None and id(cause) not in seen:
        shown = f"{cause!r} {cause}"
        if secret.redacted(shown) != shown:
            link.__cause__ = link.__context__ = None
            return
        seen.add(id(cause))
        link = cause


class ConfigError(PolyglotError):
    """The configuration is invalid, incomplete, or names something that does not exist."""


class NoDefault(ConfigError):
    """No connection was named, and there is no default.

    Attributes:
        variables: Environment variables of keys; setting any one of them provides a default connection.
    """

    def __init__(self, message: str, variables: tuple[str, ...] = (), **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.variables = variables


class PluginError(PolyglotError):
    """A driver could not be imported, violates the contract, or raised an exception that is not a `PolyglotError`."""


class RequestError(PolyglotError):
    """The driver cannot encode the request. Raised before anything is sent; no field is dropped silently."""


class ProviderError(PolyglotError):
    """The provider returned an error, by the status of the response or inside a response with status 200."""


class AuthenticationError(ProviderError):
    """The key is missing, wrong or expired (401)."""


class PermissionDenied(ProviderError):
    """The key is valid but does not permit this request (403)."""


class NotFound(ProviderError):
    """The model or the URL does not exist (404)."""


class InvalidRequest(ProviderError):
    """The provider rejected the request as invalid (400, 413, 422 and other 4xx)."""


class ContextLengthExceeded(InvalidRequest):
    """Prompt and response together exceed the model's context length."""


class RateLimited(ProviderError):
    """Too many requests or tokens in a short time (429); `retry_after` is the number of seconds to wait, if known."""

    retryable = True


class QuotaExceeded(ProviderError):
    """The account's quota or balance is used up (402, some 429). A retry does not help."""


class Overloaded(ProviderError):
    """The provider is overloaded (503, 529)."""

    retryable = True


class ServerError(ProviderError):
    """The provider failed on its side (500 and other 5xx)."""

    retryable = True


class StreamError(PolyglotError):
    """The response is incomplete or unreadable, or the stream was used in a way that it does not allow."""


class Truncated(StreamError):
    """The response ended without a finish reason or an end marker. `partial` has the content received before."""

    retryable = True


class Malformed(StreamError):
    """A part of the response cannot be parsed, in no form that servers send. `partial` has the content before it.

    What is merely odd is read instead, and stated in the `notes` of the response.
    """


class LimitExceeded(StreamError):
    """The response, or a part of it, is larger than one of `Limits` allows."""


class UnexpectedContentType(StreamError):
    """The body is neither a stream nor JSON, whatever its media type states: for example an HTML page from a proxy."""


class ResponseFormatError(StreamError):
    """The text of a complete response is not the data that `response_format` asks for.

    Attributes:
        text: The text that was read: of the response, or the arguments of its tool call.
        position: Offset of the fault in the text, in characters; None where the text is JSON that does not fit the
            type, or where there is none.
        path: Place of the value that does not fit, such as ``$.cities[2].name``; None where the text is no JSON.
        cause: ``json`` (no JSON), ``type`` (does not fit), ``refusal``, ``cut`` (the response is incomplete) or
            ``none`` (the response has no data).
    """

    def __init__(
        self,
        message: str,
        text: str = "",
        *,
        position: int | None = None,
        path: str | None = None,
        cause: str = "json",
        **facts: Unpack[ErrorFacts],
    ) -> None:
        super().__init__(message, **facts)
        self.text = text
        self.position = position
        self.path = path
        self.cause = cause


class TimedOut(PolyglotError, TimeoutError):
    """A clock of `Timeouts` expired.

    Attributes:
        clock: Name of the clock: ``connect``, ``first``, ``idle``, ``silence`` or ``total``.
    """

    retryable = True

    def __init__(self, message: str, clock: str = "total", **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.clock = clock
        if clock == "total":  # this clock spans all attempts: no time is left for a retry
            self.retryable = False

    def __reduce__(self) -> tuple[type[Self], tuple[str, str], dict[str, object]]:
        return type(self), (self.message, self.clock), self.__dict__


class TransportError(PolyglotError):
    """The request could not be sent, or the connection failed before the response was complete.

    Attributes:
        kind: Kind of failure: ``connect`` (refused, unreachable), ``dns`` (the host name does not resolve), ``tls``
            (certificate or handshake), ``proxy``, ``pool`` (the user's own HTTP client has no free connection),
            ``encoding`` (the compressed body of the response cannot be decompressed) or ``broken`` (reset, or closed in
            the middle of the response).
    """

    retryable = True

    def __init__(self, message: str, kind: str = "broken", **facts: Unpack[ErrorFacts]) -> None:
        super().__init__(message, **facts)
        self.kind = kind
        if kind in _LASTING and "retryable" not in facts:
            self.retryable = False


_LASTING = frozenset({"tls", "pool"})  # kinds that a retry would fail with too
