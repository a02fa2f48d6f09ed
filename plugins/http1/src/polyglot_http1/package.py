"""What core finds: the two transports."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from polyglot_http1.sync import SyncTransport

if TYPE_CHECKING:
    from polyglot_http1.asynchronous import AsyncTransport

__all__ = ["HTTP1", "TRANSPORT"]


class HTTP1:
    """The package's transports, as `polyglot_core.plugin.TransportPackage` describes them."""

    def sync_transport(self, origin: str, ca: str | None, /) -> SyncTransport:
        """Return a transport to an origin for threads.

        Raises:
            OSError: The certificates cannot be read.
        """
        return SyncTransport(origin, ca)

    def async_transport(self, origin: str, ca: str | None, /) -> AsyncTransport | None:
        """Return a transport to an origin for the running event loop; None unless it is asyncio's.

        Raises:
            OSError: The certificates cannot be read.
        """
        if not _runs_asyncio():
            return None
        from polyglot_http1.asynchronous import AsyncTransport  # noqa: PLC0415 (asyncio is not for threads)

        return AsyncTransport(origin, ca)


def _runs_asyncio() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None  # noqa: SLF001 (documented, for libraries)


TRANSPORT = HTTP1()
"""What the entry point names."""
