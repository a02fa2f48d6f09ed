"""A connection: driver, base URL, model, key, and settings of its calls."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from polyglot_core._values.addresses import base_url_problem, is_this_machine, proxy_problem
from polyglot_core._values.calls import Observers
from polyglot_core._values.formats import MODES
from polyglot_core._values.json_values import plain_text
from polyglot_core._values.kept_property import kept_property
from polyglot_core._values.limits import NUMBERS, Limits, Rate, Retries, Timeouts, folded_numbers
from polyglot_core._values.secret import TRANSPORT_HEADERS, Secret, carries_key, unsendable
from polyglot_core._values.transports import TransportLayer
from polyglot_core.errors import ConfigError

__all__ = ["Connection", "Preset", "Route", "guard", "guarded_headers", "is_this_machine", "proxy_problem"]


class Preset(Struct, frozen=True, kw_only=True):
    """Facts about a provider's endpoint, shipped as a row of data.

    Attributes:
        driver: Driver for the dialect of the endpoint.
        base_url: URL that paths are added to; None if it depends on the user's account and has to be configured.
        api_key_env: Environment variable that holds the key; None if no key is needed.
        model: Model of calls that name none.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key in that header; empty for none.
        facts: Facts for the driver, which defines their meaning.
        data_mode: How data is asked for, if the provider documents another way than schemas: ``tool``; else None.
    """

    driver: str
    base_url: str | None
    api_key_env: str | None = None
    model: str | None = None
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    facts: Mapping[str, Any] = {}
    data_mode: str | None = None


class Route(NamedTuple):
    """How an origin is reached. HTTP connections are shared only by calls with the same route.

    Attributes:
        proxy: URL of the proxy, which may hold a password; None for the proxy from the environment.
        ca: File of trusted certificates, in PEM; None for the default ones.
        transport: Name of the transport, or a layer; None for the installed one, or httpx.
    """

    proxy: Secret | None = None
    ca: str | None = None
    transport: str | TransportLayer | None = None


class Connection(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that calls to one endpoint need. It is complete: nothing is looked up later.

    Text given as `api_key`, or in a header that carries a key, becomes a `Secret` at once, so a connection can be
    printed.

    Attributes:
        name: Name in errors and logs.
        driver: Name of the driver, or ``DISTRIBUTION:NAME``.
        model: Model of calls that name none.
        base_url: URL that paths are added to; None for the driver's default.
        api_key: The key.
        options: Options for every call; the options of a call override them.
        headers: Headers for every request.
        timeouts: The clocks. A number is the limit of each single wait, in seconds; a dict changes some clocks.
        retries: Retries of a failed request. A number is the maximum number of retries; a dict changes some numbers.
        limits: Maximum sizes of a response. A dict changes some of them.
        rate: What the account allows, `Rate` or a dict; None for no rate. Requests wait for it. Requires the package
            polyglot-batch.
        fallbacks: Connections to use, in order, if this one fails before any content of a response was received. Their
            own fallbacks are ignored.
        proxy: URL of a proxy, instead of the one from the environment (HTTPS_PROXY, NO_PROXY, …).
        ca: File of trusted certificates, in PEM, instead of the default ones.
        transport: Name of the transport that sends the requests, or a layer over one (`TransportLayer`); None for the
            installed one, or httpx.
        allow_http: Whether `base_url` may use plain HTTP to another host, which exposes the key and the conversation.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key in that header; empty for none.
        facts: Facts for the driver.
        data_mode: How data is asked for where a call has a `response_format`: ``native``, ``tool``, ``json`` or
            ``markdown``; None for ``native``.
        observers: Called with the events of its calls: functions, names of installed ones, or ``module:function``.
            Those of fallbacks are not called.

    Raises:
        ConfigError: A field has the wrong type, or a number that cannot be used; `base_url` is not an http(s) URL, uses
            plain HTTP to another host without `allow_http`, or holds a user name or password; `proxy` is not the URL of
            a proxy; or a header cannot be sent.
    """

    name: str
    driver: str
    model: str | None = None
    base_url: str | None = None
    api_key: Secret | str | None = None
    options: Mapping[str, Any] = {}
    headers: Mapping[str, str | Secret] = {}
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries(budget=35)
    limits: Limits = Limits()
    rate: Rate | None = None
    fallbacks: tuple[Connection, ...] = ()
    proxy: Secret | str | None = None
    ca: str | None = None
    transport: str | TransportLayer | None = None
    allow_http: bool = False
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"
    facts: Mapping[str, Any] = {}
    data_mode: str | None = None
    observers: Observers = ()

    def __post_init__(self) -> None:
        given = {field: getattr(self, field) for field in _GUARDED}
        for field in given:  # before anything is raised: a traceback can show this connection
            force_setattr(self, field, None)
        guard(given, self.name)
        for field, value in given.items():
            force_setattr(self, field, value)
        for field in _NAMES:
            if isinstance(text := getattr(self, field), str):
                force_setattr(self, field, plain_text(text))
        for field in ("fallbacks", "observers"):
            others: object = getattr(self, field)
            if isinstance(others, Iterable) and not isinstance(others, (str, Mapping)):
                force_setattr(self, field, tuple(others))
        _check_types(self)
        for field, usual in NUMBERS.items():
            if field != "rate" or self.rate is not None:
                force_setattr(self, field, folded_numbers(usual, field, self.name, getattr(self, field)))
        _check_addresses(self)
        _check_headers(self)

    @kept_property
    def secret(self) -> Secret | None:
        """Return the key; None if there is none or an empty one."""
        return self.api_key if isinstance(self.api_key, Secret) and self.api_key else None

    @kept_property
    def route(self) -> Route:
        """Return the route to the endpoint: its proxy and certificates."""
        return Route(self.proxy if isinstance(self.proxy, Secret) and self.proxy else None, self.ca, self.transport)

    @property
    def account(self) -> tuple[Hashable, ...]:
        """Return what identifies the credentials: TCP connections are shared only between calls with the same ones.

        Drivers that obtain credentials of their own do so by `facts`, which then belong to it.
        """
        items = self.headers.items() if self.headers else ()
        secrets = tuple((name.lower(), text) for name, text in items if isinstance(text, Secret))
        own = () if self.secret is not None else tuple((name, _hashable(fact)) for name, fact in self.facts.items())
        return (self.secret, secrets, own)

    def auth_headers(self) -> dict[str, Secret]:
        """Return the header that carries the key; empty if there is no key."""
        key = self.secret
        if key is None:
            return {}
        return {self.auth_header: key.with_prefix(f"{self.auth_scheme} ") if self.auth_scheme else key}

    @kept_property
    def key_header(self) -> dict[str, Secret]:
        """Return the header that carries the key, with its name in lower case; empty if there is no key."""
        return {name.lower(): key for name, key in self.auth_headers().items()}

    @property
    def own_headers(self) -> dict[str, str | Secret]:
        """Return the headers with names in lower case, without that of the key."""
        return {name.lower(): text for name, text in self.headers.items()} if self.headers else {}

    @kept_property
    def kept(self) -> dict[type, Any]:
        """Return what the tools of drivers keep of the connection, by type."""
        return {}

    def with_changes(self, **changes: Any) -> Connection:  # noqa: ANN401 (the values are those of the fields)
        """Return a copy of the connection with some fields changed."""
        guard(changes, self.name)
        return replace(self, **changes)


_NAMES = ("name", "driver", "model", "base_url", "ca", "transport", "auth_header", "auth_scheme")
"""Fields whose text may be formatted into another, where a member of an enumeration is its name."""

_GUARDED = ("api_key", "proxy", "headers", "auth_header")


def guard(fields: dict[str, Any], name: str | None = None) -> None:
    """Replace text in fields of a connection by a `Secret`, in place, where it is a key or may be one.

    A function that accepts fields does this first, because a traceback can show the variables of every frame. An
    unknown field may be a misspelt ``api_key``, so text in it is a secret too.

    Raises:
        ConfigError: A key or a proxy is not text. It is removed from the fields, so that it is not shown.
    """
    for field in ("api_key", "proxy", *(field for field in fields if field not in Connection.__struct_fields__)):
        if isinstance(fields.get(field), str):
            fields[field] = Secret(plain_text(fields[field]))
    if isinstance(fields.get("headers"), Mapping):
        fields["headers"] = guarded_headers(fields["headers"], fields.get("auth_header"))
    for field in ("api_key", "proxy"):
        if not isinstance(fields.get(field), (Secret, type(None))):
            given = type(fields.pop(field)).__name__
            msg = f"{field} {_of(name)}is {given}, and should be text, or None."
            raise ConfigError(msg, connection=name, phase="configure")


def _of(name: str | None) -> str:
    return "" if name is None else f"of connection {name!r} "


def guarded_headers(headers: Mapping[str, str | Secret], auth_header: object) -> dict[str, str | Secret]:
    """Return the headers, with the values of those that carry a key as secrets."""
    plain = {_plain(name): _plain(text) for name, text in headers.items()}
    return {
        name: Secret(text) if isinstance(text, str) and _is_for_key(name, auth_header) else text
        for name, text in plain.items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 (what a user may pass)
    return plain_text(value) if isinstance(value, str) else value


def _hashable(value: object) -> Hashable:
    """Return a value, or its `repr` where it cannot be hashed."""
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _is_for_key(name: object, auth_header: object) -> bool:
    if not isinstance(name, str):
        return False
    return carries_key(name) or (isinstance(auth_header, str) and name.lower() == auth_header.lower())


def _check_types(connection: Connection) -> None:
    """Raise if a field has the wrong type."""
    for field, (right, expected) in _TYPES.items():
        if not right(getattr(connection, field)):
            given = _contents(getattr(connection, field))
            msg = f"{field} of connection {connection.name!r} is {given}, and should be {expected}."
            raise ConfigError(msg, connection=str(connection.name), phase="configure")


def _contents(value: object) -> str:
    """Return the type of a value; for a mapping or a tuple also the types of its items."""
    if isinstance(value, Mapping):
        inside = {f"{type(key).__name__}: {type(item).__name__}" for key, item in value.items()}
    else:
        inside = {type(item).__name__ for item in value} if isinstance(value, tuple) else set()
    name = type(value).__name__
    return f"{name} of {', '.join(sorted(inside))}" if inside else name


def _is_a(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


_NONE = type(None)
_TEXT, _TEXT_OR_NONE, _DICT = (_is_a(str), "text"), (_is_a(str, _NONE), "text, or None"), (_is_a(Mapping), "a dict")
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": _TEXT,
    "driver": _TEXT,
    "model": _TEXT_OR_NONE,
    "base_url": _TEXT_OR_NONE,
    "options": _DICT,
    "headers": (
        lambda headers: (
            isinstance(headers, Mapping)
            and all(isinstance(name, str) and isinstance(text, (str, Secret)) for name, text in headers.items())
        ),
        "a dict of text",
    ),
    "fallbacks": (
        lambda others: isinstance(others, tuple) and all(isinstance(other, Connection) for other in others),
        "a list of connections",
    ),
    "transport": (lambda it: isinstance(it, (str, _NONE)) or hasattr(it, "wrap"), "a transport's name, or a layer"),
    "ca": (_is_a(str, os.PathLike, _NONE), "the path of a file, or None"),
    "allow_http": (_is_a(bool), "True or False"),
    "auth_header": _TEXT,
    "auth_scheme": _TEXT,
    "facts": _DICT,
    "observers": (_is_a(tuple), "a list of functions, or of their names"),
    "data_mode": (lambda mode: mode is None or mode in MODES, f"{', '.join(MODES)}, or None"),
}
"""Check of the type of each field, and the name of that type.

`guard` checks ``api_key`` and ``proxy``, `folded_numbers` the numbers.
"""


def _check_addresses(connection: Connection) -> None:
    problems = {
        "base_url": connection.base_url is not None
        and base_url_problem(connection.base_url, allow_http=connection.allow_http),
        "proxy": isinstance(connection.proxy, Secret) and connection.proxy and proxy_problem(connection.proxy),
    }
    for field, problem in problems.items():
        if problem:
            msg = f"{field} of connection {connection.name!r} {problem}."
            raise ConfigError(msg, connection=connection.name, phase="configure")


def _check_headers(connection: Connection) -> None:
    for name in connection.headers:
        if name.lower() in TRANSPORT_HEADERS:
            msg = f"Header {name!r} of connection {connection.name!r} is written by the HTTP client, and cannot be set."
            raise ConfigError(msg, connection=connection.name, phase="configure")
    scheme, key = {connection.auth_header: connection.auth_scheme}, {connection.auth_header: connection.secret or ""}
    for headers in (connection.headers, scheme, key):
        if (header := unsendable(headers)) is None:
            continue
        what = "The key" if isinstance(headers[header], Secret) else f"Header {header!r}"
        msg = (
            f"{what} of connection {connection.name!r} cannot be sent: it begins or ends with a space, or holds a line "
            "break, a control character or a character outside ASCII, or is not the name of a header. Check for stray "
            "characters where it was copied from."
        )
        raise ConfigError(msg, connection=connection.name, phase="configure")
