"""A connection: where to ask, through which driver, for which model, with which key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from polyglot_core.errors import ConfigError
from polyglot_core.wire import Secret

__all__ = ["Connection", "Limits", "Preset", "Retries", "Route", "Timeouts", "fits"]


class Timeouts(Struct, frozen=True, kw_only=True):
    """The clocks of a call, in seconds; None switches one off.

    Attributes:
        connect: Until there is a connection.
        first: From the call to the first event with meaning, per attempt. Long, because a model may think in silence.
        idle: Between events with meaning.
        silence: Without a single byte, once the answer has begun.
        grace: For what may follow after the model is done; when it runs out the answer is finished.
        total: For the whole call, over all attempts and waits.
    """

    connect: float | None = 5.0
    first: float | None = 600.0
    idle: float | None = 300.0
    silence: float | None = 120.0
    grace: float | None = 2.0
    total: float | None = None


class Retries(Struct, frozen=True, kw_only=True):
    """How often, and after which waits, a request is sent again before anything of an answer has come.

    Attributes:
        limit: How many times at most; 0 never sends again.
        first_wait: Seconds before the first repetition; doubled for each further one.
        longest_backoff: Seconds that a wait which nobody asked for grows to.
        longest_wait: Seconds that a provider may ask to wait; one that asks for more is not asked again.
    """

    limit: int = 2
    first_wait: float = 0.5
    longest_backoff: float = 8.0
    longest_wait: float = 60.0


class Limits(Struct, frozen=True, kw_only=True):
    """How large an answer may be. What goes beyond is a `LimitExceeded`, and nothing of its size is kept.

    Attributes:
        event: Bytes of one line, event or frame that are kept while the rest of it is waited for. Pictures come in one
            event, so it is not small: 1 MiB, as httpx2 has it, would refuse them.
        response: Bytes of one body, after it was inflated.
        inflation: Bytes that one byte of a compressed body may become, on average, once it has become 16 MiB. Text does
            not come near; gzip itself ends at 1032.
        headers: Bytes of the head of an answer. The HTTP client's own limit, 100 KiB, stays in force.
        refusal: Bytes of a refusal's body that are read.
        choices: Answers in one response. Servers number them, and a wrong number must not cost memory.
        tool_calls: Calls to tools in one answer.
    """

    event: int = 16 * 1024 * 1024
    response: int = 256 * 1024 * 1024
    inflation: int = 200
    headers: int = 100 * 1024
    refusal: int = 64 * 1024
    choices: int = 128
    tool_calls: int = 1024


class Preset(Struct, frozen=True, kw_only=True):
    """Facts about a place, shipped as a row of data.

    Attributes:
        driver: Driver that speaks the place's dialect.
        base_url: URL that paths are added to; None where it depends on the user's account and has to be given.
        api_key_env: Environment variable that holds the key; None where no key is needed.
        model: Model that is asked unless the user names one.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key in that header; empty for none.
        facts: Columns that the driver reads; their meaning is the driver's.
    """

    driver: str
    base_url: str | None
    api_key_env: str | None = None
    model: str | None = None
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    facts: Mapping[str, Any] = {}


class Route(NamedTuple):
    """The way to a place: connections are shared only between calls that go the same way.

    Attributes:
        proxy: URL of the proxy, which may hold a password; None for the one that the environment names.
        ca: File of certificates to trust, in PEM; None for the usual ones.
    """

    proxy: Secret | None = None
    ca: str | None = None


class Connection(Struct, frozen=True, kw_only=True):
    """A named entry of the configuration, complete: nothing of it is looked up later.

    A plain text given as `api_key`, or as a header that carries a key, becomes a `Secret` at once, so a connection can
    be printed.

    Attributes:
        name: What errors and logs call it.
        driver: Name of the driver.
        model: Model that is asked unless a call names one.
        base_url: URL that paths are added to; None for the driver's own.
        api_key: The key.
        options: Options for every call; a call's own are laid over them.
        headers: Headers for every request.
        timeouts: The clocks.
        retries: When a request is sent again.
        limits: How large an answer may be.
        fallbacks: Connections that are asked, in order, when this one has failed before anything of an answer came.
            Their own fallbacks are left aside.
        proxy: URL of a proxy, instead of the one that the environment names (HTTPS_PROXY, NO_PROXY, …).
        ca: File of certificates to trust, in PEM, instead of the usual ones.
        allow_http: Whether `base_url` may be http, which anyone on the way can read, beyond this machine.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key in that header; empty for none.
        facts: Columns that the driver reads.

    Raises:
        ConfigError: `base_url` is no http(s) URL, leads to another machine by http though that is not allowed, or holds
            a user name or password; or a header cannot be sent.
    """

    name: str
    driver: str
    model: str | None = None
    base_url: str | None = None
    api_key: Secret | str | None = None
    options: Mapping[str, Any] = {}
    headers: Mapping[str, str | Secret] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    limits: Limits = Limits()
    fallbacks: tuple[Connection, ...] = ()
    proxy: Secret | str | None = None
    ca: str | None = None
    allow_http: bool = False
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    facts: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        for field in ("api_key", "proxy"):
            if isinstance(text := getattr(self, field), str):
                force_setattr(self, field, Secret(text))
        force_setattr(self, "fallbacks", tuple(self.fallbacks))
        _check_types(self)
        _check_base_url(self)
        _check_headers(self.name, {**self.headers, self.auth_header: self.secret or ""})
        force_setattr(self, "headers", _guarded(self.headers, self.auth_header))

    @property
    def secret(self) -> Secret | None:
        """The key, or None where there is none or an empty one."""
        return self.api_key if isinstance(self.api_key, Secret) and self.api_key else None

    @property
    def route(self) -> Route:
        """The way to the place."""
        return Route(self.proxy if isinstance(self.proxy, Secret) and self.proxy else None, self.ca)

    @classmethod
    def from_dsn(cls, dsn: str) -> Connection:
        """A connection from one line: fields as ``name=value``, separated by commas.

        ``driver=`` or ``preset=`` says where it starts; a dot goes into a mapping. For example
        ``preset=openai,model=gpt-4o,options.temperature=0``. Values of mappings are read as JSON where they are JSON.

        Raises:
            ConfigError: The line names no driver and no preset, or something that is not a field.
        """
        return dsn_reader[0](dsn)

    def auth_headers(self) -> dict[str, Secret]:
        """The header that carries the key; empty where there is no key."""
        key = self.secret
        if key is None:
            return {}
        return {self.auth_header: key.with_prefix(f"{self.auth_scheme} ") if self.auth_scheme else key}

    def with_changes(self, **changes: Any) -> Connection:  # noqa: ANN401 (the values are those of the fields)
        """A connection like this one but for `changes`."""
        return replace(self, **changes)


dsn_reader: list[Callable[[str], Connection]] = []
"""What `Connection.from_dsn` calls. Presets are found above this module, so the reader is put here from there."""


_KEY_HEADERS = frozenset({
    "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "x-auth-token", "cookie",
})  # fmt: skip
"""Headers that carry a key at one place or another, in small letters."""


def _guarded(headers: Mapping[str, str | Secret], auth_header: str) -> dict[str, str | Secret]:
    """The headers, with those that carry a key as secrets."""
    names = _KEY_HEADERS | {auth_header.lower()}
    return {
        name: Secret(text) if isinstance(text, str) and name.lower() in names else text
        for name, text in headers.items()
    }


def _check_types(connection: Connection) -> None:
    """Say of a field that is of a wrong type that it is, before anything trips over it."""
    headers: object = connection.headers
    sound = {
        "api_key": isinstance(connection.api_key, (Secret, type(None))),
        "proxy": isinstance(connection.proxy, (Secret, type(None))),
        "base_url": isinstance(connection.base_url, (str, type(None))),
        "options": isinstance(connection.options, Mapping),
        "headers": isinstance(headers, Mapping) and all(isinstance(text, (str, Secret)) for text in headers.values()),
        "timeouts": _is_row(connection.timeouts, Timeouts),
        "retries": _is_row(connection.retries, Retries),
        "limits": _is_row(connection.limits, Limits),
        "fallbacks": all(isinstance(other, Connection) for other in connection.fallbacks),
        "allow_http": isinstance(connection.allow_http, bool),
    }
    for field, right in sound.items():
        if not right:
            msg = f"{field} of connection {connection.name!r} is of a wrong type; see the documentation of Connection."
            raise ConfigError(msg, connection=connection.name, phase="configure")


def _is_row(row: object, kind: type[Struct]) -> bool:
    """Whether it is a row of numbers of this kind, with numbers in it that fit."""
    if not isinstance(row, kind):
        return False
    return all(fits(getattr(row, name), getattr(kind(), name)) for name in kind.__struct_fields__)


def fits(number: object, usual: float | None) -> bool:
    """Whether it is a number, not negative, and whole where the usual one is; a clock may be None."""
    if number is None:
        return usual is None or isinstance(usual, float)
    whole = isinstance(usual, int)
    return not isinstance(number, bool) and isinstance(number, int if whole else (int, float)) and number >= 0


def _check_base_url(connection: Connection) -> None:
    if connection.base_url is None:
        return
    problem = _base_url_problem(connection.base_url, allow_http=connection.allow_http)
    if problem:
        msg = f"base_url of connection {connection.name!r} {problem}."
        raise ConfigError(msg, connection=connection.name, phase="configure")


def _base_url_problem(base_url: str, *, allow_http: bool) -> str | None:  # noqa: PLR0911 (one for each)
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "must be an absolute http or https URL, as in https://api.example.com/v1"
    if parts.query or parts.fragment:
        return "holds a query or a fragment; paths are added to it, so it must end before them"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password; give the key as api_key instead"
    if not base_url.isascii() or any(character <= " " for character in base_url):
        return "holds a space, a control character or a character outside ASCII"
    if parts.scheme == "http" and not allow_http and not _is_this_machine(host):
        return (
            f"leads to {host} by http: whoever is on the way can read the key and the conversation. Use https, or set "
            "allow_http to true if you trust the way"
        )
    return None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _check_headers(name: str, headers: Mapping[str, str | Secret]) -> None:
    for header, value in headers.items():
        text = value.reveal() if isinstance(value, Secret) else value
        if text != text.strip() or not (header + text).isascii() or not (header + text).isprintable():
            del text  # it may be a key, and this frame is part of the traceback
            what = "The key" if isinstance(value, Secret) else f"Header {header!r}"
            msg = (
                f"{what} of connection {name!r} begins or ends with a space, or holds a line break, a control "
                "character or a character outside ASCII, and cannot be sent; check for stray characters where it was "
                "copied from."
            )
            raise ConfigError(msg, connection=name, phase="configure")
