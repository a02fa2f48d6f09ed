"""Encodes the head of a request."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["head_of", "host_and_port"]

_IN_TARGETS = "/%:@!$&'()*+,;=~-._?[]|"
"""Characters that are sent as they are: those of RFC 3986, and what servers accept beside them."""

_PORTS = {"http": 80, "https": 443}


def host_and_port(origin: str) -> tuple[str, int]:
    """Return the host, without brackets, and the port of an origin such as ``https://api.example.com``."""
    parts = urlsplit(origin)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def head_of(method: str, url: str, headers: Mapping[str, str], size: int) -> bytes:
    """Return request line and headers.

    Args:
        method: HTTP method.
        url: An absolute URL.
        headers: Headers, names in lower case; they have been checked for line breaks.
        size: Bytes of the body.
    """
    target, host = _target_and_host(url)
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in headers:
        lines.append(f"host: {host}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if size or method not in _WITHOUT_BODY:
        lines.append(f"content-length: {size}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("ascii")


@lru_cache(maxsize=128)
def _target_and_host(url: str) -> tuple[str, str]:
    """Return the target of the request line, and the host."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return quote(target, safe=_IN_TARGETS), _host(parts.netloc, parts.scheme)


_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})


def _host(netloc: str, scheme: str) -> str:
    """Return the host as the header has it: without credentials, and without the port if it is the default."""
    host = netloc.rpartition("@")[2]
    return host.removesuffix(f":{_PORTS[scheme]}")
