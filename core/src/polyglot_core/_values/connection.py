"""A connection: where to ask, through which driver, for which model, with which key."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from polyglot_core._values.addresses import base_url_problem, is_this_machine, proxy_problem
from polyglot_core._values.limits import Limits, Retries, Timeouts, row_problem
from polyglot_core._values.secret import Secret, carries_key, unsendable
from polyglot_core.errors import ConfigError

__all__ = ["Connection", "Preset", "Route", "guard", "is_this_machine", "proxy_problem"]


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
        ConfigError: A field is of a wrong type, or a number in it is of no use; `base_url` is no http(s) URL, leads to
            another machine by http though that is not allowed, or holds a user name or password; `proxy` is not the URL
            of a proxy; or a header cannot be sent.
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
        given = {field: getattr(self, field) for field in _GUARDED}
        for field in given:  # before anything is raised: this connection would be shown in the traceback
            force_setattr(self, field, None)
        guard(given, self.name)
        for field, value in given.items():
            force_setattr(self, field, value)
        others: object = self.fallbacks
        if isinstance(others, Iterable) and not isinstance(others, (str, Mapping)):
            force_setattr(self, "fallbacks", tuple(others))
        _check_types(self)
        _check_addresses(self)
        _check_headers(self)

    @property
    def secret(self) -> Secret | None:
        """The key, or None where there is none or an empty one."""
        return self.api_key if isinstance(self.api_key, Secret) and self.api_key else None

    @property
    def route(self) -> Route:
        """The way to the place."""
        return Route(self.proxy if isinstance(self.proxy, Secret) and self.proxy else None, self.ca)

    @property
    def account(self) -> tuple[Hashable, ...]:
        """What requests are paid from and allowed by: connections to a server are shared only within one.

        Drivers that find credentials of their own do so by the columns of `facts`.
        """
        secrets = tuple((name.lower(), text) for name, text in self.headers.items() if isinstance(text, Secret))
        own = () if self.secret is not None else tuple((name, _hashable(fact)) for name, fact in self.facts.items())
        return (self.secret, secrets, own)

    @classmethod
    def from_dsn(cls, dsn: str) -> Connection:
        """A connection from one line: fields as ``name=value``, separated by commas.

        ``driver=`` or ``preset=`` says where it starts; a dot goes into a mapping. For example
        ``preset=openai,model=gpt-4o,options.temperature=0``. Values of mappings are read as JSON where they are JSON.

        Raises:
            ConfigError: The line names no driver and no preset, or something that is not a field.
        """
        line = Secret(dsn)
        del dsn  # it may hold a key, and this frame is part of the traceback
        return dsn_reader[0](line)

    def auth_headers(self) -> dict[str, Secret]:
        """The header that carries the key; empty where there is no key."""
        key = self.secret
        if key is None:
            return {}
        return {self.auth_header: key.with_prefix(f"{self.auth_scheme} ") if self.auth_scheme else key}

    def with_changes(self, **changes: Any) -> Connection:  # noqa: ANN401 (the values are those of the fields)
        """A connection like this one but for `changes`."""
        guard(changes, self.name)
        return replace(self, **changes)


dsn_reader: list[Callable[[Secret], Connection]] = []
"""What `Connection.from_dsn` calls. Presets are found above this module, so the reader is put here from there."""


_GUARDED = ("api_key", "proxy", "headers", "auth_header")


def guard(fields: dict[str, Any], name: str | None = None) -> None:
    """Make secrets, in place, of what is a key among fields of a connection, or may be one.

    Whoever is given fields does this first, because a traceback can show what each frame on its way holds. A field that
    there is not may be ``api_key`` misspelt, so a text in it is one as well.

    Raises:
        ConfigError: A key or a proxy is no text. It is taken out of the fields, so that it is not shown.
    """
    for field in ("api_key", "proxy", *(field for field in fields if field not in Connection.__struct_fields__)):
        if isinstance(fields.get(field), str):
            fields[field] = Secret(fields[field])
    if isinstance(fields.get("headers"), Mapping):
        fields["headers"] = _guarded(fields["headers"], fields.get("auth_header"))
    for field in ("api_key", "proxy"):
        if not isinstance(fields.get(field), (Secret, type(None))):
            given = type(fields.pop(field)).__name__
            msg = f"{field} {_of(name)}is {given}, and should be a text, or None."
            raise ConfigError(msg, connection=name, phase="configure")


def _of(name: str | None) -> str:
    return "" if name is None else f"of connection {name!r} "


def _guarded(headers: Mapping[str, str | Secret], auth_header: object) -> dict[str, str | Secret]:
    """The headers, with those that carry a key as secrets."""
    return {
        name: Secret(text) if isinstance(text, str) and _is_for_key(name, auth_header) else text
        for name, text in headers.items()
    }


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
    """Say of a field that is of a wrong type that it is, before anything trips over it."""
    for field, (right, expected) in _TYPES.items():
        if not right(getattr(connection, field)):
            given = _contents(getattr(connection, field))
            msg = f"{field} of connection {connection.name!r} is {given}, and should be {expected}."
            raise ConfigError(msg, connection=str(connection.name), phase="configure")
    for field in ("timeouts", "retries", "limits"):
        if problem := row_problem(getattr(connection, field), f"{field} of connection {connection.name!r}"):
            raise ConfigError(problem, connection=connection.name, phase="configure")


def _contents(value: object) -> str:
    """The type of a value; of a mapping or a row also the types of what is in it."""
    if isinstance(value, Mapping):
        inside = {f"{type(key).__name__}: {type(item).__name__}" for key, item in value.items()}
    else:
        inside = {type(item).__name__ for item in value} if isinstance(value, tuple) else set()
    name = type(value).__name__
    return f"{name} of {', '.join(sorted(inside))}" if inside else name


def _is_a(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


_NONE = type(None)
_TEXT, _TEXT_OR_NONE, _DICT = (_is_a(str), "a text"), (_is_a(str, _NONE), "a text, or None"), (_is_a(Mapping), "a dict")
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
        "a dict of texts",
    ),
    "timeouts": (_is_a(Timeouts), "Timeouts, as in Timeouts(idle=60)"),
    "retries": (_is_a(Retries), "Retries, as in Retries(max_retries=3)"),
    "limits": (_is_a(Limits), "Limits, as in Limits(event=33554432)"),
    "fallbacks": (
        lambda others: isinstance(others, tuple) and all(isinstance(other, Connection) for other in others),
        "a list of connections",
    ),
    "ca": (_is_a(str, os.PathLike, _NONE), "the path of a file, or None"),
    "allow_http": (_is_a(bool), "True or False"),
    "auth_header": _TEXT,
    "auth_scheme": _TEXT,
    "facts": _DICT,
}
"""How to tell that a field is of its type, and what that is called. ``api_key`` and ``proxy`` are `guard`'s."""


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
    scheme, key = {connection.auth_header: connection.auth_scheme}, {connection.auth_header: connection.secret or ""}
    for headers in (connection.headers, scheme, key):
        if (header := unsendable(headers)) is None:
            continue
        what = "The key" if isinstance(headers[header], Secret) else f"Header {header!r}"
        msg = (
            f"{what} of connection {connection.name!r} begins or ends with a space, or holds a line break, a control "
            "character or a character outside ASCII, or is not the name of a header, and cannot be sent; check for "
            "stray characters where it was copied from."
        )
        raise ConfigError(msg, connection=connection.name, phase="configure")
