"""URLs of a connection: whether they can be used, their origin, and whether a host is this machine."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from polyglot_core._values.secret import Secret

__all__ = ["base_url_problem", "is_this_machine", "origin_of", "proxy_problem"]

_NETLOC = re.compile(r"(\[[0-9a-fA-F:.]+(%[^\[\]]*)?\]|[^\[\]:]*)(:[0-9]*)?")  # a host, in brackets if IPv6; a port

_PROXY_SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
_NO_PROXY = (
    "is not the URL of a proxy, such as http://proxy.example:3128 or http://user:password@proxy.example:3128; in a "
    "password / is written %2F, # is %23, ? is %3F and @ is %40"
)


_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, as in ``https://api.example.com``; RFC 6454, section 4.

    Case and a default port make no difference, and a user name and password are left out. Text that is not a URL is
    returned unchanged: its origin is equal only to itself.
    """
    end = url.find("/", url.find("//") + 2)
    begin = url if end < 0 else url[:end]
    found = _origin.__wrapped__(begin) if "@" in begin else _origin(begin)  # no password is kept
    return url if found is None else found


@lru_cache(maxsize=128)
def _origin(begin: str) -> str | None:
    """Return the origin of a URL, of which the path may be left out; None if it is no URL."""
    try:
        parts = urlsplit(begin)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.netloc:
        return None
    host = parts.netloc.rpartition("@")[2].lower()
    if port is not None or host.endswith(":"):
        host = host.rpartition(":")[0]
    shown = "" if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{port}"
    return f"{parts.scheme}://{host}{shown}"


def base_url_problem(base_url: str, *, allow_http: bool) -> str | None:  # noqa: PLR0911 (one for each problem)
    """Return what is wrong with a base URL, as the end of a sentence; None if nothing is."""
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not _NETLOC.fullmatch(parts.netloc.rpartition("@")[2]):
        return "is not a URL: host or port is malformed"
    if parts.scheme not in {"http", "https"} or not host:
        return "must be an absolute http or https URL, as in https://api.example.com/v1"
    if parts.query or parts.fragment:
        return "holds a query or a fragment; paths are added to it, so it must end before them"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password; give the key as api_key instead"
    if not base_url.isascii() or any(character <= " " for character in base_url):
        return "holds a space, a control character or a character outside ASCII"
    if parts.scheme == "http" and not allow_http and not is_this_machine(host):
        return (
            f"uses plain HTTP to a remote host ({host}), which exposes the key and the conversation. Use https, or set "
            "allow_http to true if you trust the network"
        )
    return None


def proxy_problem(proxy: Secret) -> str | None:
    """Return what is wrong with the URL of a proxy, as the end of a sentence without the URL; None if nothing is."""
    url = proxy.reveal()
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.port != 0 and parts.scheme in _PROXY_SCHEMES
    except ValueError:
        sound = False
    else:
        sound = sound and bool(_NETLOC.fullmatch(parts.netloc.rpartition("@")[2])) and url.isprintable()
        sound = sound and parts.path in {"", "/"} and not (parts.query or parts.fragment or " " in url)
    return None if sound else _NO_PROXY


def is_this_machine(host: str) -> bool:
    """Return True if a host, without port or brackets, is this machine: ``localhost`` or a loopback address."""
    host = host.lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (address.is_loopback or address.is_unspecified) and "%" not in host
