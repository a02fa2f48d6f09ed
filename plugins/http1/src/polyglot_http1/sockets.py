"""What is done to sockets from outside their reader."""

from __future__ import annotations

import contextlib
import select
import socket

__all__ = ["readable", "shut_down", "waits"]


def shut_down(sock: object) -> None:
    """Shut a socket down for reading and writing, without touching the TLS layer above it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if isinstance(sock, socket.socket):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        else:  # asyncio returns a view of a socket
            sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def readable(sock: socket.socket, seconds: float) -> bool:
    """Return whether a socket can be read without waiting, within `seconds`, be it the end of the connection."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    return bool(select.select([sock], [], [], seconds)[0])


def waits(sock: socket.socket) -> bool:
    """Return whether bytes wait in a socket that its reader has not received; False if it is closed."""
    with contextlib.suppress(OSError, ValueError):
        return sock.fileno() >= 0 and readable(sock, 0.0)
    return False
