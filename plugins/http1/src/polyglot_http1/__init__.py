"""A transport for HTTP/1.1 over TCP and TLS: blocking sockets for threads, protocols for asyncio.

Installing it is enough: core finds it by its entry point and uses it for every connection without a proxy, in threads
and on asyncio. ``POLYGLOT_TRANSPORT=httpx``, or ``transport="httpx"`` of a connection, switches it off.
"""

from __future__ import annotations

from polyglot_http1.package import TRANSPORT

__all__ = ["TRANSPORT"]
