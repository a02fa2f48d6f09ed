"""The addresses of a host, in the order in which to try them (Happy Eyeballs, RFC 8305)."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, TypeAlias

__all__ = ["CONNECTION_ATTEMPT_DELAY", "Address", "interleaved", "literal", "socket_options"]

CONNECTION_ATTEMPT_DELAY = 0.25
"""Seconds after which the next address is tried while the one before has not answered; RFC 8305, section 5."""

Address: TypeAlias = tuple[int, tuple[Any, ...]]
"""An address family, and an address of it."""


def literal(host: str, port: int) -> list[Address]:
    """Return the address if the host is one, so that no name is to be resolved; else an empty list."""
    try:
        version = ip_address(host).version
    except ValueError:
        return []
    return [(socket.AF_INET, (host, port))] if version == 4 else [(socket.AF_INET6, (host, port, 0, 0))]


def interleaved(found: list[Address]) -> list[Address]:
    """Return addresses with their families in turn, the family of the first one first; RFC 8305, section 4."""
    first = [address for address in found if address[0] == found[0][0]]
    others = [address for address in found if address[0] != found[0][0]]
    pairs = chain.from_iterable(zip_longest(first, others))
    return [address for address in pairs if address is not None]


_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 60), ("TCP_KEEPCNT", 5))


def socket_options() -> list[tuple[int, int, int]]:
    """Return the options of a socket: without delay, and a peer that vanished is detected after six minutes."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    return options + [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in _KEEP_ALIVE if hasattr(socket, name)
    ]
